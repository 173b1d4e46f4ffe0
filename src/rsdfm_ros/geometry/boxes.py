"""Upright boxes seen from above: corners, rasterisation to the lattice, overlap.

A box is centre (x, y[, z]) and size (length, width[, height]) in metres and a yaw in rad, counter-clockwise
from +x to the box's front, all in the ``map`` frame. Only x, y, length, width and yaw are used here.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.geometry.box_table import BoxTable
from rsdfm_ros.geometry.lattice import Window

# Corners in units of half the length and half the width: front left, rear left, rear right, front right.
_CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
_CORNERS_3D = np.array([(i, j, k) for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
_NEXT = np.array([1, 2, 3, 0])
_TOUCH_M = 1e-9  # points this close to an edge count as inside


class IdentifiedBoxes(Protocol):
    """Boxes with ids (N,), such as :class:`rsdfm_ros.data.frame.Objects`."""

    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def centres(self) -> NDArray[np.float64]: ...
    @property
    def sizes(self) -> NDArray[np.float64]: ...
    @property
    def yaws(self) -> NDArray[np.float64]: ...


def bev_boxes(boxes: BoxTable) -> NDArray[np.float64]:
    """Boxes as rows (N, 5): x, y, length, width (m), yaw (rad): the form that the overlap functions take."""
    yaws = np.asarray(boxes.yaws, dtype=np.float64)
    return np.concatenate([_plane(boxes.centres), _plane(boxes.sizes), yaws[:, None]], axis=1)


def bev_corners(centres: ArrayLike, sizes: ArrayLike, yaws: ArrayLike) -> NDArray[np.float64]:
    """Corners (N, 4, 2) in metres, counter-clockwise: front left, rear left, rear right, front right."""
    yaw = np.asarray(yaws, dtype=np.float64).reshape(-1)
    centre, half = _plane(centres)[:, None], _plane(sizes)[:, None] / 2.0
    local = _CORNERS[None] * half
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    return (
        np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]], -1) + centre
    )


def box_corners(centres: ArrayLike, sizes: ArrayLike, yaws: ArrayLike) -> NDArray[np.float64]:
    """Corners (N, 8, 3) in metres; corner 4 i + 2 j + k is at the front if i, on the left if j, on top if k."""
    yaw = np.asarray(yaws, dtype=np.float64).reshape(-1)
    local = _CORNERS_3D[None] * np.asarray(sizes, dtype=np.float64).reshape(-1, 1, 3)
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y = local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y, local[..., 2]], -1) + np.asarray(centres, dtype=np.float64).reshape(-1, 1, 3)


def rasterise(objects: IdentifiedBoxes, window: Window) -> NDArray[np.int32]:
    """Object ids (ni, nj) int32 on `window`, 0 where no box is; see :func:`rasterise_boxes`."""
    return rasterise_boxes(objects.ids, objects.centres, objects.sizes, objects.yaws, window)


def rasterise_boxes(
    ids: ArrayLike, centres: ArrayLike, sizes: ArrayLike, yaws: ArrayLike, window: Window
) -> NDArray[np.int32]:
    """The id (ni, nj) int32 of the box that contains each cell's centre, 0 for none; the later box wins a
    conflict.

    ids (N,) positive · centres (N, ≥2), sizes (N, ≥2) m · yaws (N,) rad. Points on an edge are inside.
    """
    yaw = np.asarray(yaws, dtype=np.float64).reshape(-1)
    count = len(yaw)
    out = np.zeros(window.shape, dtype=np.int32)
    if count == 0:
        return out
    id_values = np.asarray(ids).reshape(count)
    if (id_values <= 0).any() or (id_values > np.iinfo(np.int32).max).any():
        raise ValueError("ids of rasterised boxes must be positive 32-bit integers")
    centre, half = _plane(centres), _plane(sizes) / 2.0
    c, s = np.cos(yaw), np.sin(yaw)
    reach = np.stack(
        [abs(c) * half[:, 0] + abs(s) * half[:, 1], abs(s) * half[:, 0] + abs(c) * half[:, 1]], -1
    )
    x_min, y_min, x_max, y_max = window.bounds
    near = ((centre + reach) >= (x_min, y_min)).all(1) & ((centre - reach) <= (x_max, y_max)).all(1)
    places = np.flatnonzero(near)
    lows = np.maximum(window.cells((centre - reach)[places]), 0)
    highs = np.minimum(window.cells((centre + reach)[places]) + 1, window.shape)
    for n, low, high in zip(places, lows, highs, strict=True):
        if (low >= high).any():
            continue
        dx = (np.arange(low[0], high[0]) + window.i0 + 0.5)[:, None] * window.cell_size - centre[n, 0]
        dy = (np.arange(low[1], high[1]) + window.j0 + 0.5)[None, :] * window.cell_size - centre[n, 1]
        inside = (abs(c[n] * dx + s[n] * dy) <= half[n, 0]) & (abs(c[n] * dy - s[n] * dx) <= half[n, 1])
        out[low[0] : high[0], low[1] : high[1]][inside] = id_values[n]
    return out


def intersection_areas(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas (P,) in m² of the overlap of P pairs of boxes, a and b each (P, 5) rows of :func:`bev_boxes`.

    The overlap of two convex quadrilaterals is the hull of: corners of one inside the other, and crossings of
    edges. These (at most 24 points) are sorted around their mean and summed by the shoelace formula.
    """
    # Work relative to a's centre: keeps precision far from the origin.
    origin = a[:, None, :2]
    corners_a = bev_corners(a[:, :2], a[:, 2:4], a[:, 4]) - origin
    corners_b = bev_corners(b[:, :2], b[:, 2:4], b[:, 4]) - origin
    crossings, crosses = _edge_crossings(corners_a, corners_b)
    points = np.concatenate([corners_a, corners_b, crossings], axis=1)
    valid = np.concatenate(
        [
            _inside(corners_a, b[:, :2] - a[:, :2], b[:, 2:4], b[:, 4]),
            _inside(corners_b, np.zeros((len(a), 2)), a[:, 2:4], a[:, 4]),
            crosses,
        ],
        axis=1,
    )
    count = valid.sum(axis=1)
    mean = (points * valid[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
    offset = points - mean[:, None]
    angle = np.where(valid, np.arctan2(offset[..., 1], offset[..., 0]), np.inf)
    order = np.argsort(angle, axis=1)
    ring = np.take_along_axis(offset, order[..., None], axis=1)
    # Places behind the last valid point repeat the first one: they add nothing to the shoelace sum.
    ring = np.where((np.arange(points.shape[1])[None] < count[:, None])[..., None], ring, ring[:, :1])
    following = np.roll(ring, -1, axis=1)
    area = 0.5 * (ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0]).sum(axis=1)
    return np.where(count >= 3, np.maximum(area, 0.0), 0.0)


def rotated_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union (N, M) seen from above; a (N, 5), b (M, 5) rows of :func:`bev_boxes`."""
    rows_a = np.asarray(a, dtype=np.float64).reshape(-1, 5)
    rows_b = np.asarray(b, dtype=np.float64).reshape(-1, 5)
    out = np.zeros((len(rows_a), len(rows_b)))
    radius_a = np.hypot(rows_a[:, 2], rows_a[:, 3]) / 2.0
    radius_b = np.hypot(rows_b[:, 2], rows_b[:, 3]) / 2.0
    distance = np.hypot(*(rows_a[:, None, :2] - rows_b[None, :, :2]).transpose(2, 0, 1))
    first, second = np.nonzero(distance < radius_a[:, None] + radius_b[None])
    if len(first) == 0:
        return out
    overlap = intersection_areas(rows_a[first], rows_b[second])
    union = rows_a[first, 2] * rows_a[first, 3] + rows_b[second, 2] * rows_b[second, 3] - overlap
    out[first, second] = np.clip(
        np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0), 0.0, 1.0
    )
    return out


def _plane(values: ArrayLike) -> NDArray[np.float64]:
    """The first two columns (N, 2); nothing at all counts as N = 0."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, :2] if array.size else np.zeros((0, 2))


def _inside(
    points: NDArray[np.float64],
    centre: NDArray[np.float64],
    size: NDArray[np.float64],
    yaw: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether points (P, K, 2) lie in the box of their row (edges included)."""
    d = points - centre[:, None]
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    along, across = c * d[..., 0] + s * d[..., 1], c * d[..., 1] - s * d[..., 0]
    half = size / 2.0 + _TOUCH_M
    return np.asarray((abs(along) <= half[:, :1]) & (abs(across) <= half[:, 1:]))


def _edge_crossings(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Crossings (P, 16, 2) of the edges of a with those of b, both (P, 4, 2), and which exist (P, 16)."""
    p, r = a[:, :, None], (a[:, _NEXT] - a)[:, :, None]
    q, s = b[:, None, :], (b[:, _NEXT] - b)[:, None, :]
    denominator = _cross(r, s)
    parallel = abs(denominator) < 1e-12
    safe = np.where(parallel, 1.0, denominator)
    t, u = _cross(q - p, s) / safe, _cross(q - p, r) / safe
    exists = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = p + t[..., None] * r
    return points.reshape(len(a), 16, 2), exists.reshape(len(a), 16)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
