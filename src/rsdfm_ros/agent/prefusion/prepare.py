"""Preparation of maps before they are fused: one function for the offline methods, recorded bags and the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rsdfm_ros.agent.prefusion.pose_alignment import (
    View,
    align_poses,
    compensate_latency,
    reject_inconsistent,
)
from rsdfm_ros.geometry.alignment import Correction
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.exchange import DEFAULT_THRESHOLDS
from rsdfm_ros.wire.boxes import SideBoxes

MISPLACED, CONTRADICTS = "misplaced", "contradicts"
"""Reasons for leaving out a peer: its pose is too uncertain; its map is inconsistent with that of the ego."""


@dataclass(frozen=True)
class PreFusionOptions:
    """Pre-fusion options: compensate latency, correct poses by common boxes, leave out peers whose maps are
    inconsistent with the ego's. resemblance: smallest map consistency of a peer that is used."""

    move: bool = True
    correct: bool = True
    doubt: bool = True
    resemblance: float = DEFAULT_THRESHOLDS["resemblance"]

    @property
    def needs_boxes(self) -> bool:
        """Whether boxes of peers are needed."""
        return self.move or self.correct


@dataclass(frozen=True)
class Prepared:
    """Maps to be fused. corrections: of the agents whose poses were corrected, by name · left_out: why, by name."""

    own: View
    peers: tuple[View, ...]
    corrections: Mapping[str, Correction] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def prepare(
    own: View,
    peers: Sequence[View],
    window: Window,
    care: PreFusionOptions,
    own_boxes: Callable[[], SideBoxes | None],
    *,
    ground: Ground = GroundPlane(),
) -> Prepared:
    """The ego's view and those of its peers, ready to be fused at the ego's time.

    own_boxes: the ego's detections without peers, called only if poses are corrected. Names must differ. Without any
    peer nothing is done.
    """
    if not peers:
        return Prepared(own, ())
    if care.move:
        peers = [compensate_latency(p, window) for p in peers]
    views, left_out, corrections = list(peers), dict[str, str](), dict[str, Correction]()
    if care.correct and any(v.covariance.any() for v in (own, *views)):
        named = [own.name, *(v.name for v in views)]
        own, placed, found = align_poses(replace(own, boxes=own_boxes()), views, window, ground=ground)
        corrections = {name: c for name, c in zip(named, found, strict=True) if c.matches}
        left_out |= _missing(views, placed, MISPLACED)
        views = placed
    if care.doubt:
        alike = reject_inconsistent(own, views, care.resemblance)
        left_out |= _missing(views, alike, CONTRADICTS)
        views = alike
    return Prepared(own, tuple(views), corrections, left_out)


def _missing(before: Sequence[View], after: Sequence[View], why: str) -> dict[str, str]:
    kept = {v.name for v in after}
    return {v.name: why for v in before if v.name not in kept}
