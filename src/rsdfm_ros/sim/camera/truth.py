"""Boxes in images: silhouettes and how much of each object a camera sees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.camera import project

SILHOUETTE_SHARE = (0.88, 0.94, 0.93, 0.97)
"""Share of the projected box that an unoccluded vehicle of each class covers: the upper end over random
views, since a hull of a box is wider than a cabin.
"""
MIN_SILHOUETTE_PX = 6.0


def silhouette_areas(
    corners: NDArray[np.float64], K: NDArray[np.float64], T: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """Area in pixels (N,) of the hull of each projected box inside the image; 0 when outside or behind."""
    image = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    out = np.zeros(len(corners))
    for n, (pixels, depth) in enumerate(zip(*project(corners, K, T), strict=True)):
        low, high = pixels.min(0), pixels.max(0)
        if depth.min() < 0.5 or high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
            continue
        hull = cv2.convexHull(pixels.astype(np.float32))
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
