"""Images of several cameras of one UAV that belong together. Free of ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsdfm_ros.data.messages.poses import PoseSample

#: A camera that was silent for this long is not waited for until it delivers again.
SILENT_S = 1.0
_MAX_OPEN = 8


@dataclass(frozen=True)
class CameraImage:
    """An image message of one camera (its number), its time, when it arrived (steady clock), and the stamp that its own
    camera_info has."""

    camera: int
    stamp_ns: int
    message: Any
    arrived_s: float
    info_ns: int


@dataclass(frozen=True)
class PosedImage:
    """One image with the camera_info and the pose (PoseSample of T_map_camera) that belong to it."""

    image: CameraImage
    info: Any
    pose: PoseSample


@dataclass(frozen=True)
class Group:
    """Images of one instant, in the order of the cameras; stamp_ns is the first one's."""

    images: tuple[CameraImage, ...]

    @property
    def stamp_ns(self) -> int:
        return self.images[0].stamp_ns

    @property
    def arrived_s(self) -> float:
        """Arrival time of the first of them."""
        return min(p.arrived_s for p in self.images)


class Grouper:
    """Collects images whose stamps differ by at most `tolerance_ns`.

    A group is complete when every camera is in it, or as soon as each missing camera has a later image or has been
    silent for SILENT_S, and at the latest after `wait_s`: a failing camera delays the others by at most one such wait
    per image, and not at all after a second.
    """

    def __init__(self, cameras: int, tolerance_ns: int, wait_s: float) -> None:
        self._cameras, self._tolerance_ns, self._wait_s = range(cameras), tolerance_ns, wait_s
        self._open: list[dict[int, CameraImage]] = []
        self._newest: dict[int, CameraImage] = {}
        self._first_s: float | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._open, self._newest, self._first_s = [], {}, None

    def add(self, image: CameraImage) -> list[Group]:
        """The groups that this image completes, oldest first."""
        if self._first_s is None:
            self._first_s = image.arrived_s
        self._newest[image.camera] = image
        for group in self._open:
            near = abs(_first(group).stamp_ns - image.stamp_ns) <= self._tolerance_ns
            if near and image.camera not in group:
                group[image.camera] = image
                break
        else:
            self._open.append({image.camera: image})
        return self.due(image.arrived_s)

    def due(self, now_s: float) -> list[Group]:
        """The groups that need not or must not wait any longer at `now_s` of the steady clock, oldest first."""
        self._open.sort(key=lambda g: _first(g).stamp_ns)
        surplus = len(self._open) - _MAX_OPEN
        given = [g for n, g in enumerate(self._open) if n < surplus or self._is_due(g, now_s)]
        self._open = [g for g in self._open if not any(g is other for other in given)]
        return [Group(tuple(g[c] for c in sorted(g))) for g in given]

    def _is_due(self, group: dict[int, CameraImage], now_s: float) -> bool:
        if now_s - min(p.arrived_s for p in group.values()) >= self._wait_s:
            return True
        return all(c in group or self._cannot_complete(c, group, now_s) for c in self._cameras)

    def _cannot_complete(self, camera: int, group: dict[int, CameraImage], now_s: float) -> bool:
        newest = self._newest.get(camera)
        if newest is None:
            return self._first_s is not None and now_s - self._first_s > SILENT_S
        later = newest.stamp_ns > _first(group).stamp_ns + self._tolerance_ns
        return later or now_s - newest.arrived_s > SILENT_S


def _first(group: dict[int, CameraImage]) -> CameraImage:
    return next(iter(group.values()))
