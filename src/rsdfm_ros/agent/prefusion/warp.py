"""Maps moved on the lattice: to a corrected pose of the camera, and to a later time.

Both are backward warps: the source of every cell is found in the existing map and interpolated there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.perception import AgentBev

Array = NDArray[np.float64]

#: Assumed height of content above the ground: the middle of a car.
CONTENT_HEIGHT_M = 0.8
#: Smaller displacements than this share of a cell are not worth the blur of interpolating.
MIN_SHIFT_CELLS = 0.25


def source_points(
    window: Window, T_believed: Array, T_corrected: Array, ground: Ground = GroundPlane()
) -> Array:
    """Source points (H, W, 2) in metres: the place of every cell's content in a map made with the reported pose.

    Exact for points at CONTENT_HEIGHT_M above level ground, and nearly so on terrain: the pixel that sees the cell's
    centre from the corrected pose is projected from the reported one. NaN where the corrected camera does not look down
    at the cell.
    """
    xy = window.centres()
    z = ground.elevation(xy) + CONTENT_HEIGHT_M
    points = np.concatenate([xy, z[..., None]], axis=-1)
    turn = T_believed[:3, :3] @ T_corrected[:3, :3].T
    rays = (points - T_corrected[:3, 3]) @ turn.T
    steep = rays[..., 2] < -1e-3 * np.linalg.norm(rays, axis=-1)
    scale = (z - T_believed[2, 3]) / np.where(steep, rays[..., 2], -1.0)
    found = T_believed[:2, 3] + rays[..., :2] * scale[..., None]
    found[~steep] = np.nan
    return np.asarray(found)


def resampled(bev: AgentBev, window: Window, sources: Array) -> AgentBev:
    """The map whose cells take their content from `sources` (H, W, 2) in metres; bilinear over seen cells, unseen
    where most of the content is unseen or the source is NaN."""
    low = np.array([window.i0, window.j0], np.float64) * window.cell_size
    extent = np.array([window.ni, window.nj], np.float64) * window.cell_size
    unit = 2.0 * (sources - low) / extent - 1.0
    # grid_sample takes the last axis of the map first; values far outside mean no source.
    grid = torch.from_numpy(np.nan_to_num(unit[..., ::-1], nan=4.0).astype(np.float32).copy())
    grid = grid.to(bev.features.device)[None]
    seen = bev.visible[None].to(bev.features.dtype)
    stack = torch.cat([bev.features * seen, seen])[None]
    sampled = F.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    mass = sampled[-1]
    visible = mass > 0.5
    features = sampled[:-1] / mass.clamp_min(0.5) * visible
    lag_s = bev.lag_s
    if lag_s is not None:  # concealed tiles keep their age
        lag_s = F.grid_sample(lag_s[None, None], grid, mode="nearest", align_corners=False)[0, 0]
    return replace(bev, features=features, visible=visible, lag_s=lag_s)


def warp_to_pose(
    bev: AgentBev, window: Window, T_believed: Array, T_corrected: Array, ground: Ground = GroundPlane()
) -> AgentBev:
    """The map as if it had been made with the corrected pose; the very same map if nothing it sees moves by
    MIN_SHIFT_CELLS."""
    sources = source_points(window, T_believed, T_corrected, ground)
    shift = np.linalg.norm(sources - window.centres(), axis=-1)[bev.visible.cpu().numpy()]
    if np.nan_to_num(shift, nan=np.inf).max(initial=0.0) < MIN_SHIFT_CELLS * window.cell_size:
        return bev
    return resampled(bev, window, sources)


def compensate_motion(
    bev: AgentBev,
    window: Window,
    centres: Array,
    sizes: Array,
    yaws: Array,
    velocities: Array,
    age_s: float,
    *,
    margin_m: float = 1.0,
    min_speed: float = 0.7,
) -> AgentBev:
    """The map with the content under every moving box where that box is `age_s` later.

    centres (N, ≥2) m, sizes (N, ≥2) m, yaws (N,) rad and velocities (N, 2) m/s at the time of the map. A box takes
    `margin_m` around it along; slower boxes than `min_speed` m/s stay. The place that a box leaves is filled from its
    surroundings; content at its new place is overwritten.
    """
    fast = np.hypot(*np.asarray(velocities, np.float64).reshape(-1, 2).T) >= min_speed
    if age_s <= 0 or not fast.any():
        return bev
    grid = window.centres()
    sources = grid.copy()
    moved, left = np.zeros(window.shape, bool), np.zeros(window.shape, bool)
    cases = list(zip(centres[fast], sizes[fast], yaws[fast], velocities[fast], strict=True))
    for centre, size, yaw, _ in cases:
        left |= _under(grid, centre[:2], size, yaw, margin_m)
    for centre, size, yaw, velocity in cases:
        shift = velocity * age_s
        here = _under(grid, centre[:2] + shift, size, yaw, margin_m)
        sources[here] = grid[here] - shift
        moved |= here
    out = resampled(bev, window, sources)
    vacated = torch.from_numpy(left & ~moved).to(bev.features.device)
    return replace(out, features=out.features * ~vacated, visible=out.visible & ~vacated)


def _under(grid: Array, centre: Array, size: Array, yaw: float, margin_m: float) -> NDArray[np.bool_]:
    d = grid - centre
    c, s = np.cos(yaw), np.sin(yaw)
    along, across = c * d[..., 0] + s * d[..., 1], c * d[..., 1] - s * d[..., 0]
    return np.asarray((abs(along) <= size[0] / 2 + margin_m) & (abs(across) <= size[1] / 2 + margin_m))
