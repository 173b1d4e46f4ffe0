"""Frames that the poses of a bag come in, for maps that do not say it: all UAVs must share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.topic_map import FIXES, POSES, TopicMap, UavTopics
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.geometry.lattice import FRAME_ID


@dataclass(frozen=True)
class PoseFrames:
    """world: the frame that all poses are brought to · own: frames of the UAVs that the map has a pose_origin of."""

    world: str
    own: Mapping[str, str]


def pose_frames(bag: Bag, topic_map: TopicMap) -> PoseFrames:
    """Frames of the poses of a bag: those of the map, else those that the first poses name, else the usual one. Raises:
    BagError if the map names none and the poses of UAVs without a pose_origin contradict each other."""
    frames = _frames(bag, topic_map.found(bag.topics))
    own = {uav: frames.get(uav, "") for uav in topic_map.pose_origins}
    if topic_map.frame_id:
        return PoseFrames(topic_map.frame_id, own)
    shared = {uav: frame for uav, frame in frames.items() if uav not in own}
    if problem := _problem(shared):
        raise BagError(
            bag.path,
            problem,
            "give their pose_origins in the topic map, or evaluate one UAV alone with uavs: [NAME]",
        )
    return PoseFrames(next((frame for frame in shared.values() if frame), FRAME_ID), own)


def contradiction(bag: Bag, topic_map: TopicMap) -> str:
    """A sentence on UAVs whose poses come in different frames, where the map takes any; "" if there are none."""
    if topic_map.frame_id:
        return ""
    frames = _frames(bag, topic_map.found(bag.topics))
    return _problem({uav: frame for uav, frame in frames.items() if uav not in topic_map.pose_origins})


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
        if known is None or known.type_name in FIXES:  # a fix names the frame of its antenna
            continue
        if known.type_name in POSES and known.messages and not known.problem:
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
