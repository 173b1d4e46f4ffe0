"""Match pictures with poses by stamp. Free of ROS."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Image = TypeVar("Image")
Pose = TypeVar("Pose")


class StampMatcher(Generic[Image, Pose]):
    """The newest picture and the pose of the same instant.

    A pose with exactly the picture's stamp is taken at once. Otherwise, as soon as a pose newer than the picture is
    there, the nearest one within `tolerance_ns` is taken; if there is none, the picture is dropped. Only the newest
    picture waits: an older one that still waits is dropped. `dropped` counts.
    """

    def __init__(self, tolerance_ns: int, keep: int = 100) -> None:
        self._tolerance_ns = tolerance_ns
        self._keep = keep
        self._poses: OrderedDict[int, Pose] = OrderedDict()
        self._waiting: tuple[int, Image] | None = None
        self.dropped = 0

    def clear(self) -> None:
        """Forget everything, after the clock jumped back."""
        self._poses.clear()
        self._waiting = None

    def add_image(self, stamp_ns: int, image: Image) -> tuple[int, Image, Pose] | None:
        """(stamp, picture, pose) if the pose is already known."""
        if self._waiting is not None:
            self.dropped += 1
        self._waiting = (stamp_ns, image)
        return self._match()

    def add_pose(self, stamp_ns: int, pose: Pose) -> tuple[int, Image, Pose] | None:
        """(stamp, picture, pose) if this pose completes the waiting picture."""
        self._poses[stamp_ns] = pose
        while len(self._poses) > self._keep:
            self._poses.popitem(last=False)
        return self._match()

    def _match(self) -> tuple[int, Image, Pose] | None:
        if self._waiting is None:
            return None
        stamp_ns, image = self._waiting
        best: int | None = stamp_ns if stamp_ns in self._poses else None
        if best is None:
            if not any(s > stamp_ns for s in self._poses):
                return None
            best = min(self._poses, key=lambda s: abs(s - stamp_ns))
            if abs(best - stamp_ns) > self._tolerance_ns:
                self._waiting = None
                self.dropped += 1
                return None
        self._waiting = None
        return stamp_ns, image, self._poses[best]
