"""Latency compensation and pose alignment of maps before fusion.

The boxes sent beside the features (wire/boxes.py) give the moving objects and those that agents have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from rsdfm_ros.agent.prefusion.map_signature import MapSignature
from rsdfm_ros.agent.prefusion.warp import compensate_motion, warp_to_pose
from rsdfm_ros.geometry.alignment import DEFAULT, AlignmentConfig, Correction, Sighting, align
from rsdfm_ros.geometry.ground import Ground, GroundPlane, position_sigma, surface
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.exchange import MAX_SIGMA_M
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.wire.boxes import SideBoxes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One agent's map, the pose (4, 4) and covariance (6, 6) it was made with, its boxes if known, its age in s, and
    the agent's name."""

    bev: AgentBev
    T_map_camera: Array
    covariance: Array
    boxes: SideBoxes | None = None
    age_s: float = 0.0
    name: str = ""


def compensate_latency(view: View, window: Window) -> View:
    """The view with moving boxes and the features under them shifted to the ego's time; the age stays, because old
    features remain less certain."""
    boxes = view.boxes
    if boxes is None or view.age_s <= 0:
        return view
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * view.age_s
    best = np.argsort(-boxes.scores, kind="stable")[:MOST_MOVING]
    sure = best[boxes.scores[best] >= MOVING_SCORE]
    bev = compensate_motion(
        view.bev,
        window,
        boxes.centres[sure],
        boxes.sizes[sure],
        boxes.yaws[sure],
        boxes.velocities[sure],
        view.age_s,
    )
    return replace(view, bev=bev, boxes=replace(boxes, centres=centres))


MOVING_SCORE = 0.3
"""Boxes below this score do not move features."""
MOST_MOVING = 64
"""Boxes of one agent that move features, best first: a bound on the processing time of a message."""


def align_poses(
    own: View,
    peers: Sequence[View],
    window: Window,
    *,
    ground: Ground = GroundPlane(),
    config: AlignmentConfig = DEFAULT,
) -> tuple[View, list[View], list[Correction]]:
    """All views as made with the most probable poses, given the objects that agents have in common; with the
    corrections of own and peers. Views without boxes, and all views if no pose is uncertain, stay as they are; peers
    whose position uncertainty exceeds MAX_POSITION_SIGMA_M are left out."""
    views = [own, *peers]
    known = [n for n, v in enumerate(views) if v.boxes is not None]
    corrections = [Correction(np.zeros(6), v.covariance) for v in views]
    if not any(v.covariance.any() for v in views):
        return own, list(peers), corrections
    for n, correction in zip(known, align([_sighting(views[n], ground) for n in known], config), strict=True):
        corrections[n] = correction
        if correction.matches:
            views[n] = corrected(views[n], correction, window, ground)
    return views[0], [v for v in views[1:] if not pose_too_uncertain(v.bev)], corrections


def pose_too_uncertain(bev: AgentBev) -> bool:
    """Whether the position uncertainty of the map is too large for fusion."""
    seen = bev.sigma[bev.visible]
    return bool(len(seen)) and float(seen.mean()) > MAX_POSITION_SIGMA_M


MAX_POSITION_SIGMA_M = 4.0
"""Mean position uncertainty of the seen cells beyond which a peer's map is not fused."""


def corrected(view: View, correction: Correction, window: Window, ground: Ground = GroundPlane()) -> View:
    """The view as if made with the corrected pose; its position uncertainty is the remaining one."""
    pose = correction.pose(view.T_map_camera)
    bev = warp_to_pose(view.bev, window, view.T_map_camera, pose, ground)
    points, normals = surface(ground, window.centres())
    sigma = position_sigma(points, pose[:3, 3], correction.covariance, normals).clip(0.0, MAX_SIGMA_M)
    remaining = torch.from_numpy(sigma.astype(np.float32)).to(bev.sigma.device)
    return replace(
        view,
        bev=replace(bev, sigma=remaining),
        T_map_camera=pose,
        covariance=correction.covariance,
    )


def resemblance(a: AgentBev, b: AgentBev) -> float | None:
    """Map consistency: how much better two maps fit where they are than shifted, in [-1, 1]
    (MapSignature.resemblance)."""
    return MapSignature.of(a).resemblance(MapSignature.of(b))


def reject_inconsistent(own: View, peers: Sequence[View], at_least: float) -> list[View]:
    """The peers whose map consistency with the ego is `at_least`, or that cover other places: the rest is false or
    badly misplaced. All peers at -1."""
    if at_least <= -1.0:
        return list(peers)
    outline = MapSignature.of(own.bev)
    judged = [(p, outline.resemblance(MapSignature.of(p.bev))) for p in peers]
    return [p for p, value in judged if value is None or value >= at_least]


def _sighting(view: View, ground: Ground) -> Sighting:
    assert view.boxes is not None
    b = view.boxes
    camera = view.T_map_camera[:3, 3]
    above_ground = camera - [0.0, 0.0, float(ground.elevation(camera[:2]))]
    return Sighting(b.centres, b.sizes, b.scores, above_ground, view.covariance)
