"""Satellite fixes in a bag: their types, and the origin of the world frame that all UAVs of the bag share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.topic_map import ATTITUDES, FIXES, NAVSAT, TopicMap, UavTopics
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.config import GeoConfig
from rsdfm_ros.data.messages.geo.fixes import FIX_READERS
from rsdfm_ros.data.messages.geo.messages import ORIGIN_TOPIC, origin_of
from rsdfm_ros.data.messages.geo.poses import place_of
from rsdfm_ros.data.messages.geo.world import GeoOrigin


def geo_types(types: Mapping[str, str], topics: UavTopics) -> dict[str, Any]:
    """geo_fix_type and geo_attitude_type of a UAV by the types of its topics; nothing where its poses are no fixes."""
    fix = FIXES.get(types.get(topics.pose, ""))
    if fix is None:
        return {}
    attitude = ATTITUDES.get(types.get(topics.attitude, ""), GeoConfig.geo_attitude_type)
    return {"geo_fix_type": fix, "geo_attitude_type": attitude}


def geo_settings(bag: Bag, topic_map: TopicMap) -> dict[str, dict[str, Any]]:
    """Settings of every UAV whose poses are fixes: their types, and one geo_origin for all: that of the map, else the
    one that the UAVs agreed on, else the first fix in the bag."""
    types = {name: known.type_name for name, known in bag.topics.items()}
    found = {u: g for u, t in topic_map.found(bag.topics).items() if (g := geo_types(types, t))}
    if not found or topic_map.inputs.get("geo_origin"):
        return found
    origin = _agreed(bag) or _first(bag, topic_map, found)
    if origin is None:
        return found
    place = (
        origin.latitude,
        origin.longitude,
        0.0 if origin.altitude_m != origin.altitude_m else origin.altitude_m,
    )
    return {uav: settings | {"geo_origin": place} for uav, settings in found.items()}


def _agreed(bag: Bag) -> GeoOrigin | None:
    known = bag.topics.get(ORIGIN_TOPIC)
    if known is None or known.type_name != NAVSAT or known.problem:
        return None
    origins = []
    for message in bag.messages([ORIGIN_TOPIC]):
        try:
            origins.append(origin_of(bag.decode(message)))
        except MessageError:
            continue
    return min(origins, key=lambda o: o.order, default=None)


def _first(bag: Bag, topic_map: TopicMap, found: Mapping[str, Mapping[str, Any]]) -> GeoOrigin | None:
    """The first fix of any UAV, in the order of recording."""
    names = {f.name for f in dataclasses.fields(GeoConfig)}
    given = {k: v for k, v in topic_map.inputs.items() if k in names}
    topics = topic_map.found(bag.topics)
    configs = {topics[uav].pose: GeoConfig(**given | dict(of)) for uav, of in found.items()}
    for message in bag.messages(sorted(t for t in configs if not bag.topics[t].problem)):
        config = configs[message.topic]
        try:
            fix = FIX_READERS[config.geo_fix_type](bag.decode(message), config.geo_altitude)
        except MessageError:
            continue
        return place_of(fix, config)
    return None
