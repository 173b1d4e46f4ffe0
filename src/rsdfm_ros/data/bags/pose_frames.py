"""Frames that the poses of a bag come in, for maps that do not say it: all UAVs must share one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.topic_map import POSES, TopicMap, UavTopics
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.geometry.lattice import FRAME_ID


def pose_frame(bag: Bag, topic_map: TopicMap) -> str:
    """The frame that the poses of all UAVs are in: that of the map, else the one that the first poses name, else the
    usual one. Raises: BagError if the map names none and the poses contradict each other."""
    if topic_map.frame_id:
        return topic_map.frame_id
    frames = _frames(bag, topic_map.found(bag.topics))
    if problem := _problem(frames):
        raise BagError(
            bag.path,
            problem,
            "record poses in a common frame, or evaluate one UAV alone (uavs: [NAME] in the topic map)",
        )
    return next((frame for frame in frames.values() if frame), FRAME_ID)


def contradiction(bag: Bag, topic_map: TopicMap) -> str:
    """A sentence on UAVs whose poses come in different frames, where the map takes any; "" if there are none."""
    return "" if topic_map.frame_id else _problem(_frames(bag, topic_map.found(bag.topics)))


def _problem(frames: Mapping[str, str]) -> str:
    first: dict[str, str] = {}
    for uav, frame in frames.items():
        if frame:
            first.setdefault(frame, uav)
    if len(first) < 2:
        return ""
    shown = ", ".join(f"of {uav} in {frame[:80]!r}" for frame, uav in list(first.items())[:4])
    return f"poses {shown}: how these frames lie to each other is unknown, so their UAVs cannot be fused"


def _frames(bag: Bag, found: Mapping[str, UavTopics]) -> dict[str, str]:
    """The frame that the first readable pose of each UAV names."""
    uavs: dict[str, list[str]] = {}
    for uav, topics in found.items():
        known = bag.topics.get(topics.pose)
        if known is not None and known.type_name in POSES and known.messages and not known.problem:
            uavs.setdefault(topics.pose, []).append(uav)
    frames: dict[str, str] = {}
    left = set(uavs)
    for message in bag.messages(sorted(uavs)) if uavs else ():
        if message.topic not in left:
            continue
        try:
            header: Any = getattr(bag.decode(message), "header", None)
        except MessageError:
            continue
        left.discard(message.topic)
        frame = "" if header is None else str(header.frame_id).lstrip("/")
        frames |= dict.fromkeys(uavs[message.topic], frame)
        if not left:
            break
    return {uav: frames[uav] for uav in found if uav in frames}
