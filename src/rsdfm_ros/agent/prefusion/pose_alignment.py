"""Pose alignment: maps are moved to the most probable poses, given the objects that agents have in common.

The objects are the boxes sent beside the features (wire/boxes.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.prefusion.warp import warp_to_pose
from rsdfm_ros.geometry.alignment import DEFAULT, Correction, Sighting, align
from rsdfm_ros.geometry.box_matching import AlignmentConfig
from rsdfm_ros.geometry.ground import Ground, GroundPlane, position_sigma, surface
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.exchange import MAX_SIGMA_M
from rsdfm_ros.model.maps import AgentBev


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
    """Whether the position uncertainty of the map is too large for fusion; also if any of it is not finite."""
    seen = bev.sigma[bev.visible]
    if not bool(bev.sigma.isfinite().all()):
        return True
    return bool(len(seen)) and not float(seen.mean()) <= MAX_POSITION_SIGMA_M


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


def _sighting(view: View, ground: Ground) -> Sighting:
    assert view.boxes is not None
    camera = view.T_map_camera[:3, 3]
    above_ground = camera - [0.0, 0.0, float(ground.elevation(camera[:2]))]
    return Sighting(view.boxes, above_ground, view.covariance)
