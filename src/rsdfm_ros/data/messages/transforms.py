"""Transforms: tf2_msgs/TFMessage to poses between any two connected frames, without tf2.

Online nodes and the offline reader of bags use this same tree, so that both interpolate alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.pose_buffer import PoseBuffer
from rsdfm_ros.data.messages.poses import PoseSample, matrix_of
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.geometry.rotations import inverse

MAX_FRAMES = 1000
MAX_NAME = 256
FRESH_NS = 1_000_000_000
"""A moving frame keeps its parent while transforms to it are at most this old."""
_MAX_DEPTH = 64


class TransformTree:
    """Frames by name with their parent; tolerance_ns, max_gap_ns, max_speed_mps: of moving frames, see PoseBuffer."""

    def __init__(self, *, tolerance_ns: int, max_gap_ns: int, max_speed_mps: float = 0.0) -> None:
        self._limits = {"tolerance_ns": tolerance_ns, "max_gap_ns": max_gap_ns}
        self._max_speed_mps = max_speed_mps
        self._parents: dict[str, str] = {}
        self._fixed: dict[str, NDArray[np.float64]] = {}
        self._moving: dict[str, PoseBuffer] = {}

    def clear(self) -> None:
        """Clear all moving frames; fixed frames are published once and stay."""
        for child in self._moving:
            del self._parents[child]
        self._moving = {}

    def add(self, transform: Any, *, fixed: bool) -> bool:
        """Take a geometry_msgs/TransformStamped; returns whether the frame's older poses were dropped (PoseBuffer.add).

        A frame has one parent. Moving ones keep theirs while it is published: transforms to another one are refused. Of
        fixed ones the newest counts, and is refused in words only, so that a corrected one needs no restart.

        Raises: MessageError `transform` for impossible names, `two_parents`, and as `matrix_of` and PoseBuffer.add.
        """
        parent, child = _name(transform.header.frame_id), _name(transform.child_frame_id)
        if not 0 < len(parent) <= MAX_NAME or not 0 < len(child) <= MAX_NAME or parent == child:
            raise MessageError("transform", f"a transform from {child[:80]!r} to {parent[:80]!r}")
        if child not in self._parents and len(self._parents) >= MAX_FRAMES:
            raise MessageError("transform", f"expected at most {MAX_FRAMES} frames, got {child!r} too")
        t, q = transform.transform.translation, transform.transform.rotation
        T = matrix_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        before = self._parents.get(child, parent)
        conflict = before != parent
        if conflict and not fixed and child in self._moving:
            stamp = checked_stamp_ns(transform.header.stamp, f"transform of {child!r}")
            if stamp <= self._moving[child].newest_ns + FRESH_NS:
                raise _two_parents(child, before, parent, before)
            conflict = False  # the former parent is not published any longer
        if before != parent or (child in self._fixed) != fixed:
            self._fixed.pop(child, None)
            self._moving.pop(child, None)
        older = False
        if fixed:
            self._fixed[child] = T
        else:
            stamp = checked_stamp_ns(transform.header.stamp, f"transform of {child!r}")
            if child not in self._moving:
                self._moving[child] = PoseBuffer(**self._limits, max_speed_mps=self._max_speed_mps)
            self._parents[child] = parent
            older = self._moving[child].add(stamp, PoseSample(T))
        self._parents[child] = parent
        if conflict:
            raise _two_parents(child, before, parent, parent)
        return older

    def ready(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether `at` can decide: the frames are connected and everything that moves is known beyond that instant."""
        links = self._links(target, source)
        return links is not None and all(
            child in self._fixed or self._moving[child].ready(stamp_ns) for up in links for child in up
        )

    def at(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """T_target_source (4, 4) at an instant for which the tree is ready. Raises: MessageError `no_pose`."""
        links = self._links(target, source)
        if links is None:
            raise MessageError("no_pose", self.missing(target, source))
        up_target, up_source = (self._product(up, stamp_ns) for up in links)
        return np.asarray(inverse(up_target) @ up_source)

    def missing(self, target: str, source: str) -> str:
        """A sentence about why two frames are not connected."""
        unknown = [f for f in (_name(target), _name(source)) if f not in self._known()]
        if unknown:
            return (
                f"TF does not know {' and '.join(map(repr, unknown))}; it knows {sorted(self._known())[:20]}"
            )
        return f"TF does not connect {source!r} with {target!r}"

    def _known(self) -> set[str]:
        return set(self._parents) | set(self._parents.values())

    def _links(self, target: str, source: str) -> tuple[list[str], list[str]] | None:
        """The frames between each of the two and their nearest common ancestor."""
        a, b = self._ancestry(_name(target)), self._ancestry(_name(source))
        for depth, frame in enumerate(b):
            if frame in a:
                return a[: a.index(frame)], b[:depth]
        return None

    def _ancestry(self, frame: str) -> list[str]:
        chain = [frame]
        while chain[-1] in self._parents:
            chain.append(self._parents[chain[-1]])
            if len(chain) > _MAX_DEPTH:
                raise MessageError("transform", f"the parents of {frame!r} are a loop or too many")
        return chain

    def _product(self, children: list[str], stamp_ns: int) -> NDArray[np.float64]:
        T = np.eye(4)
        for child in children:
            here = self._fixed[child] if child in self._fixed else self._moving[child].at(stamp_ns).T
            T = here @ T
        return T


def _two_parents(child: str, first: str, second: str, used: str) -> MessageError:
    return MessageError(
        "two_parents",
        f"frame {child!r} has two parents, {first!r} and {second!r}, of which {used!r} is used: two nodes publish it",
    )


def _name(frame: str) -> str:
    return str(frame).lstrip("/")
