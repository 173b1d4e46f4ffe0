"""Preparation of maps before they are fused: one function for the offline methods, recorded bags and the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rsdfm_ros.agent.options import PreFusionOptions
from rsdfm_ros.agent.prefusion.latency import compensate_latency
from rsdfm_ros.agent.prefusion.pose_alignment import align_poses
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.geometry.alignment import Correction
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.wire.boxes import SideBoxes

MISPLACED, CONTRADICTS = "misplaced", "contradicts"
"""Reasons for leaving out a peer: its pose is too uncertain; its map is inconsistent with that of the ego."""


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
    options: PreFusionOptions,
    own_boxes: Callable[[], SideBoxes | None],
    *,
    ground: Ground = GroundPlane(),
    believed: Callable[[View, Sequence[View]], Sequence[View]] | None = None,
) -> Prepared:
    """The ego's view and those of its peers, ready to be fused at the ego's time.

    own_boxes: the ego's detections without peers, called only if poses are corrected · believed: the consistency check,
    which gives those of the peers that are consistent with the ego. Names must differ. Without any peer nothing is
    done.
    """
    if not peers:
        return Prepared(own, ())
    if options.compensate_latency:
        peers = [compensate_latency(p, window) for p in peers]
    views, left_out, corrections = list(peers), dict[str, str](), dict[str, Correction]()
    if options.align_poses and any(v.covariance.any() for v in (own, *views)):
        named = [own.name, *(v.name for v in views)]
        own, placed, found = align_poses(replace(own, boxes=own_boxes()), views, window, ground=ground)
        corrections = {name: c for name, c in zip(named, found, strict=True) if c.matches}
        left_out |= _missing(views, placed, MISPLACED)
        views = placed
    if options.reject_inconsistent and believed is not None:
        consistent = list(believed(own, views))
        left_out |= _missing(views, consistent, CONTRADICTS)
        views = consistent
    return Prepared(own, tuple(views), corrections, left_out)


def _missing(before: Sequence[View], after: Sequence[View], why: str) -> dict[str, str]:
    kept = {v.name for v in after}
    return {v.name: why for v in before if v.name not in kept}
