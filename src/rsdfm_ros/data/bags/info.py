"""Content of a bag: topics, rates, gaps, clocks, cameras and poses by UAV, inputs that an evaluation lacks, damage."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.pose_frames import contradiction
from rsdfm_ros.data.bags.topic_map import (
    ATTITUDES,
    FEATURES,
    FIXES,
    IMAGES,
    INFO,
    POINT,
    POSES,
    STATUS,
    TF,
    TRANSFORMS,
    TRUTH,
    TopicMap,
)
from rsdfm_ros.data.bags.types import has_header
from rsdfm_ros.data.messages.stamps import NS

GAP_FACTOR = 3.0
"""A pause this many times the usual period is a gap."""
_STAMPED = frozenset({*IMAGES, *POSES, TRUTH, FEATURES})
"""Types of messages that are of no use without a stamp; camera_info without one is that of all images."""
OTHER_CLOCK_S = 60.0
"""Upper limit of a message's transmission time."""


def header_stamp_ns(raw: bytes) -> int | None:
    """Stamp of a serialised message that begins with a header; None if the bytes cannot hold one."""
    if len(raw) < 12 or raw[0] != 0 or raw[1] not in (0, 1):
        return None
    order = "little" if raw[1] else "big"
    seconds = int.from_bytes(raw[4:8], order, signed=True)  # type: ignore[arg-type]
    nanoseconds = int.from_bytes(raw[8:12], order)  # type: ignore[arg-type]
    return seconds * NS + nanoseconds if nanoseconds < NS else None


@dataclass
class _Tally:
    """Counts of one topic while the bag is read."""

    bytes: int = 0
    log_ns: array[int] = field(default_factory=lambda: array("q"))
    stamp_ns: array[int] = field(default_factory=lambda: array("q"))
    unstamped: int = 0
    zero: int = 0

    def figures(self) -> dict[str, Any]:
        log = np.frombuffer(self.log_ns, np.int64)
        stamps = np.frombuffer(self.stamp_ns, np.int64)
        times = np.unique(stamps if len(stamps) and stamps.any() else log)
        periods = np.diff(times) / 1e9
        usual = float(np.median(periods)) if len(periods) else None
        gaps = [] if usual is None else [float(p) for p in periods if p > GAP_FACTOR * usual]
        out: dict[str, Any] = {
            "bytes": self.bytes,
            "rate_hz": None if not usual else 1.0 / usual,
            "instants": len(times),
            "gaps": len(gaps),
            "longest_gap_s": max(gaps, default=None),
        }
        if self.zero:
            out["zero_stamps"] = self.zero
        if len(stamps):
            offsets = (log - stamps)[stamps > 0] / 1e9 if len(log) == len(stamps) else np.zeros(0)
            out["stamps_back"] = int((np.diff(stamps) < 0).sum())
            out["log_minus_stamp_s"] = float(np.median(offsets)) if len(offsets) else None
            out["log_minus_stamp_spread_s"] = float(np.ptp(offsets)) if len(offsets) else None
        return out


def bag_info(bag: Bag, topic_map: TopicMap) -> dict[str, Any]:
    """Read the whole bag once and describe it, as values for JSON."""
    tallies: dict[str, _Tally] = {name: _Tally() for name in bag.topics}
    stamped: dict[str, bool] = {}
    first, last = None, None
    for message in bag.messages():
        tally = tallies[message.topic]
        tally.bytes += len(message.raw)
        tally.log_ns.append(message.log_ns)
        kind = message.type_name
        if kind not in stamped:
            store = bag.types.store(kind)
            stamped[kind] = store is not None and has_header(kind, store)
        if stamped[kind]:
            stamp = header_stamp_ns(message.raw)
            if stamp is None:
                tally.unstamped += 1
            else:
                tally.stamp_ns.append(stamp)
                tally.zero += stamp == 0
        first = message.log_ns if first is None else first
        last = message.log_ns
    topics = {}
    for name, topic in bag.topics.items():
        tally = tallies[name]
        topics[name] = {"type": topic.type_name, "messages": len(tally.log_ns), **tally.figures()}
        problem = topic.problem or bag.types.unknown.get(topic.type_name, "")
        if problem:
            topics[name]["problem"] = problem
    uavs, missing = _uavs(topics, topic_map)
    if problem := contradiction(bag, topic_map):
        missing.append(f"a common frame: {problem}")
    start = 0 if first is None else first
    return {
        "bag": str(bag.path),
        "storage": bag.storage,
        "files_bytes": bag.size_bytes,
        "messages": sum(len(t.log_ns) for t in tallies.values()),
        "start_s": start / 1e9,
        "duration_s": 0.0 if last is None else (last - start) / 1e9,
        "topics": topics,
        "map": topic_map.name,
        "uavs": uavs,
        "ground_truth": _has(topics, topic_map.ground_truth, (TRUTH,)),
        "missing": missing,
        "clock": _clock(topics),
        "type_differences": list(bag.types.differences),
        "damage": list(bag.damage),
    }


def _clock(topics: dict[str, Any]) -> dict[str, Any]:
    """Difference between log times and stamps: seconds, and a sentence if they come from different clocks."""
    offsets = [t["log_minus_stamp_s"] for t in topics.values() if t.get("log_minus_stamp_s") is not None]
    offset = float(np.median(offsets)) if offsets else None
    other = offset is not None and abs(offset) > OTHER_CLOCK_S
    zero = [
        f"all stamps on {name} are zero"
        for name, t in topics.items()
        if t.get("zero_stamps") == t["messages"] > 0
    ]
    if other:
        zero.append("stamps and log times come from different clocks, such as simulated and real time")
    return {"log_minus_stamp_s": offset, "note": "; ".join(zero)}


def _uavs(topics: dict[str, Any], topic_map: TopicMap) -> tuple[dict[str, Any], list[str]]:
    uavs: dict[str, Any] = {}
    missing: list[str] = []
    found = topic_map.found(topics)
    if not found:
        missing.append(
            f"no topic of the map {topic_map.name!r} has images of a UAV: write one for this bag (docs/bags.md)"
        )
    for name, wanted in found.items():
        cameras = {}
        for camera, of in wanted.cameras.items():
            cameras[camera] = {
                "image": _has(topics, of.image, IMAGES),
                "info": of.intrinsics is not None or _has(topics, of.info, (INFO,)),
            }
            missing += _absence(topics, of.image, IMAGES, f"images of {name}'s {camera}")
            if of.intrinsics is None:
                missing += _absence(topics, of.info, (INFO,), f"intrinsics of {name}'s {camera}")
        pose, kinds = ("/tf", (TRANSFORMS,)) if wanted.pose == TF else (wanted.pose, tuple(POSES))
        missing += _absence(topics, pose, kinds, f"poses of {name}")
        if topics.get(pose, {}).get("type") in FIXES:
            missing += _absence(topics, wanted.attitude, tuple(ATTITUDES), f"attitudes of {name}")
        uavs[name] = {
            "cameras": cameras,
            "pose": _has(topics, pose, kinds),
            "features": _has(topics, wanted.features, (FEATURES,)),
            "status": _has(topics, wanted.status, (STATUS,)),
            "ground": _has(topics, wanted.ground, (POINT,)),
        }
    if not topic_map.ground_truth:
        missing.append(
            "ground truth: the map names no topic for it; there can be no accuracy, only agreement"
        )
    else:
        note = "ground truth: there can be no accuracy, only agreement"
        missing += [f"{note} ({p})" for p in _absence(topics, topic_map.ground_truth, (TRUTH,), "truth")]
    return uavs, missing


def _has(topics: dict[str, Any], topic: str, kinds: tuple[str, ...]) -> bool:
    return not _absence(topics, topic, kinds, "")


def _absence(topics: dict[str, Any], topic: str, kinds: tuple[str, ...], what: str) -> list[str]:
    """A sentence on why a topic cannot be used; none if it can."""
    known = topics.get(topic)
    if not topic or known is None:
        return [f"{what}: no topic {topic or '(none in the map)'}"]
    if known["type"] not in kinds:
        return [f"{what}: {topic} is a {known['type']}, expected {' or '.join(kinds)}"]
    if not known["messages"]:
        return [f"{what}: no message on {topic}"]
    if known["type"] in _STAMPED and known.get("zero_stamps", 0) == known["messages"]:
        return [
            f"{what}: all {known['messages']} stamps on {topic} are zero: the sender must fill in header.stamp"
        ]
    return [f"{what}: {topic}: {known['problem']}"] if "problem" in known else []
