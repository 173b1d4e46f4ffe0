"""Boxes in images: projected corners, silhouettes and the visible share of each object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNS = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float64) * 0.5
SILHOUETTE_SHARE = (0.88, 0.94, 0.93, 0.97)
"""Share of the projected box that an unoccluded vehicle of each class covers: the upper end over random
views, since a hull of a box is wider than a cabin.
"""
MIN_SILHOUETTE_PX = 6.0


def box_corners(
    centres: NDArray[np.float64], sizes: NDArray[np.float64], yaws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Corners (N, 8, 3) of upright boxes in the map frame."""
    local = _SIGNS[None] * sizes[:, None]
    c, s = np.cos(yaws)[:, None], np.sin(yaws)[:, None]
    x, y = local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y, local[..., 2]], -1) + centres[:, None]


def project(
    points: NDArray[np.float64], K: NDArray[np.float64], T_map_camera: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Image points (..., 3) as u, v in pixels and depth in metres along the optical axis."""
    p = (points - T_map_camera[:3, 3]) @ T_map_camera[:3, :3]
    z = np.where(np.abs(p[..., 2]) < 1e-6, 1e-6, p[..., 2])
    uv = p[..., :2] / z[..., None] * np.array([K[0, 0], K[1, 1]]) + np.array([K[0, 2], K[1, 2]])
    return np.concatenate([uv, p[..., 2:]], -1)


def silhouette_areas(
    corners: NDArray[np.float64], K: NDArray[np.float64], T: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """Area in pixels (N,) of the hull of each projected box inside the image; 0 when outside or behind."""
    image = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    out = np.zeros(len(corners))
    for n, p in enumerate(project(corners, K, T)):
        low, high = p.min(0), p.max(0)
        if low[2] < 0.5 or high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
            continue
        hull = cv2.convexHull(p[:, :2].astype(np.float32))
        if low[0] >= 0 and low[1] >= 0 and high[0] <= width and high[1] <= height:
            out[n] = cv2.contourArea(hull)
        else:
            out[n] = cv2.intersectConvexConvex(hull, image)[0]
    return out


def visibility(
    visible_px: NDArray[np.float64], areas: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share (N,) in [0, 1] of the unoccluded silhouette that is seen."""
    expected = areas * np.array(SILHOUETTE_SHARE)[classes]
    return np.where(areas > MIN_SILHOUETTE_PX, np.clip(visible_px / np.maximum(expected, 1.0), 0.0, 1.0), 0.0)
