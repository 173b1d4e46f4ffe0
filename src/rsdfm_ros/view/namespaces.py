"""UAVs below further namespaces, such as /team/uav1: a fleet's `namespace_prefix` puts them there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from rsdfm_ros.data.bags.topic_map import UAV, TopicMap, UavTopics, default_map

_IMAGE = default_map().uav.cameras["camera"].image
_BELOW = re.compile(
    r"(?P<above>(?:/[A-Za-z_][A-Za-z0-9_]{0,63}){0,8})"
    + re.escape(_IMAGE).replace(re.escape(UAV), r"(?P<uav>[A-Za-z][A-Za-z0-9_]{0,63})")
)


def found_below(topic_map: TopicMap, topics: Iterable[str]) -> dict[str, UavTopics]:
    """As `topic_map.found`; with our own topics (`default_map`), UAVs below further namespaces too, by their own name.

    Of two UAVs with one name, the one in the shorter namespace counts.
    """
    known = set(topics)
    if topic_map != default_map():
        return topic_map.found(known)
    above = {m["above"] for topic in known if (m := _BELOW.fullmatch(topic))}
    found: dict[str, UavTopics] = {}
    for prefix in sorted(above, key=lambda prefix: (len(prefix), prefix)):
        for name, uav in _under(topic_map, prefix).found(known).items():
            found.setdefault(name, uav)
    return dict(sorted(found.items()))


def _under(topic_map: TopicMap, prefix: str) -> TopicMap:
    uav = topic_map.uav
    cameras = {
        name: dataclasses.replace(camera, image=prefix + camera.image, info=prefix + camera.info)
        for name, camera in uav.cameras.items()
    }
    names = {
        name: prefix + topic
        for name in ("pose", "features", "status", "ground", "attitude")
        if (topic := getattr(uav, name))
    }
    return dataclasses.replace(topic_map, uav=dataclasses.replace(uav, cameras=cameras, **names))
