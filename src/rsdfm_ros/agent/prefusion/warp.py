"""Maps moved on the lattice: to a corrected pose of the camera, and to a later time.

Both are backward warps: the source of every cell is found in the existing map and interpolated there.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import AgentBev, map_of, rows_of

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


def resampled(
    bev: AgentBev, window: Window, sources: Array, cells: NDArray[np.bool_] | None = None
) -> AgentBev:
    """The map whose cells take their content from `sources` (H, W, 2) in metres; bilinear over seen cells, unseen
    where most of the content is unseen or the source is NaN. cells (H, W): others than these stay as they are."""
    device, (h, w) = bev.features.device, window.shape
    low = np.array([window.i0, window.j0], np.float64)
    place = sources.reshape(-1, 2) / window.cell_size - low - 0.5
    if cells is None:
        first, last = _extent(bev.visible.cpu().numpy())
        some = np.flatnonzero(((place > first - 1.0) & (place < last + 1.0)).all(axis=1))
    else:
        some = np.flatnonzero(cells)
    place = place[some]
    corner = np.floor(np.nan_to_num(place, nan=-4.0)).clip(-4, [h + 4, w + 4]).astype(np.int64)
    corners, shares = _neighbours(corner, place - corner, (h, w))
    target, index = (torch.from_numpy(v).to(device) for v in (some, corners))
    weight = torch.from_numpy(shares).to(device) * bev.visible.flatten()[index]
    mass = weight.sum(dim=1)
    visible = mass > 0.5
    rows, seen, lag_s = rows_of(bev.features), bev.visible.flatten(), bev.lag_s
    if cells is None:
        out, seen = torch.zeros_like(rows), torch.zeros_like(seen)
    else:
        out = rows.index_fill(0, target, 0.0)
    found = F.embedding_bag(
        index[visible],
        rows.to(weight.dtype),
        per_sample_weights=weight[visible] / mass[visible, None],
        mode="sum",
    )
    out.index_copy_(0, target[visible], found.to(out.dtype))
    if lag_s is not None:  # concealed tiles keep their age
        nearest, there = _nearest(place, (h, w))
        taken = lag_s.flatten()[torch.from_numpy(nearest).to(device)] * torch.from_numpy(there).to(device)
        before = torch.zeros_like(lag_s) if cells is None else lag_s
        lag_s = before.flatten().index_copy(0, target, taken.to(lag_s.dtype)).view(h, w)
    return AgentBev(map_of(out, (h, w)), seen.index_copy(0, target, visible).view(h, w), bev.sigma, lag_s)


def _extent(mask: NDArray[np.bool_]) -> tuple[Array, Array]:
    """First and last row and column with a cell of a mask; the last before the first if there is none."""
    if not mask.any():
        return np.zeros(2), np.full(2, -2.0)
    spans = [np.flatnonzero(mask.any(axis=1 - n))[[0, -1]] for n in (0, 1)]
    first, last = np.array(spans, np.float64).T
    return first, last


def _neighbours(
    corner: NDArray[np.int64], share: Array, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The four cells (n, 4) around places, and their bilinear weights (n, 4): 0 for cells that are not there."""
    cells, weights = [], []
    for di, dj in itertools.product((0, 1), (0, 1)):
        i, j = corner[:, 0] + di, corner[:, 1] + dj
        weight = abs(1 - di - share[:, 0]) * abs(1 - dj - share[:, 1])
        there = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
        cells.append(np.where(there, i * shape[1] + j, 0))
        weights.append(np.where(there, weight, 0.0))
    return np.stack(cells, axis=1), np.stack(weights, axis=1).astype(np.float32)


def _nearest(place: Array, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The cell (n,) nearest to places (n, 2), and whether there is one."""
    near = np.rint(np.nan_to_num(place, nan=-4.0)).clip(-4, max(shape) + 4).astype(np.int64)
    there = np.asarray(((near >= 0) & (near < shape)).all(axis=1))
    return np.where(there, near[:, 0] * shape[1] + near[:, 1], 0), there


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
        here, under = _under(window, centre[:2], size, yaw, margin_m)
        left[here] |= under
    for centre, size, yaw, velocity in cases:
        shift = velocity * age_s
        here, under = _under(window, centre[:2] + shift, size, yaw, margin_m)
        sources[here][under] = grid[here][under] - shift
        moved[here] |= under
    out = resampled(bev, window, sources, moved)
    vacated = torch.from_numpy(left & ~moved).to(bev.features.device)
    rows_of(out.features).index_fill_(0, vacated.flatten().nonzero()[:, 0], 0.0)  # out is a map of its own
    return replace(out, visible=out.visible & ~vacated)


def _under(
    window: Window, centre: Array, size: Array, yaw: float, margin_m: float
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """The part of the window around a box, as slices, and the mask of its cells that are under the box."""
    half = size[:2] / 2 + margin_m
    reach = np.hypot(*half)
    (i0, i1), (j0, j1) = (
        np.clip(np.floor((centre[n] + [-reach, reach]) / window.cell_size) - first + [0, 1], 0, count).astype(
            int
        )
        for n, (first, count) in enumerate(((window.i0, window.ni), (window.j0, window.nj)))
    )
    x = ((np.arange(i0, i1) + window.i0 + 0.5) * window.cell_size - centre[0])[:, None]
    y = (np.arange(j0, j1) + window.j0 + 0.5) * window.cell_size - centre[1]
    c, s = np.cos(yaw), np.sin(yaw)
    under = (abs(c * x + s * y) <= half[0]) & (abs(c * y - s * x) <= half[1])
    return (slice(i0, i1), slice(j0, j1)), np.asarray(under)
