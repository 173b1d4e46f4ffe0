"""Vehicles that other stations report, as late-fusion peers of a UAV; without ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rsdfm_ros.data.messages.answers.cpm import CpmObjects
from rsdfm_ros.data.outputs import Boxes

MAX_STATIONS = 64
"""Stations that are remembered; of more, the one that has been silent for longest is forgotten."""

Merge = Callable[[Sequence[Boxes]], Boxes]
"""One box per object out of the boxes of several agents."""


class Stations:
    """The newest message of every station. A station that repeats or goes back in time is not taken."""

    def __init__(self) -> None:
        self._newest: dict[int, CpmObjects] = {}

    def take(self, objects: CpmObjects) -> bool:
        """Remember a message; whether it is newer than the last one of its station."""
        known = self._newest.pop(objects.station, None)
        fresh = known is None or objects.stamp_ns > known.stamp_ns
        self._newest[objects.station] = objects if fresh or known is None else known
        while len(self._newest) > MAX_STATIONS:
            del self._newest[next(iter(self._newest))]
        return fresh

    def clear(self) -> None:
        """Forget everything."""
        self._newest.clear()

    def merged(self, own: Boxes, stamp_ns: int, max_age_s: float, merge: Merge) -> tuple[Boxes, list[str]]:
        """The boxes of the UAV and of all stations heard within `max_age_s` of its stamp, moved there at constant
        velocity, and the names of these stations."""
        parts, names = [own], []
        for station, objects in sorted(self._newest.items()):
            age_s = (stamp_ns - objects.stamp_ns) / 1e9
            if abs(age_s) <= max_age_s:
                centres = objects.boxes.centres.copy()
                centres[:, :2] += objects.boxes.velocities * age_s
                parts.append(replace(objects.boxes, centres=centres))
                names.append(f"station{station}")
        return merge(parts), names
