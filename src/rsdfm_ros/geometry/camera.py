"""Pinhole cameras: intrinsics under resizing, projection, viewing rays.

Pixel convention: the left edge of the image is u = 0, the centre of the first pixel is u = 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_LEAST_DEPTH_M = 1e-6
"""Points nearer to the plane through the camera are projected as if they were that far in front of it."""


def intrinsics_from_fov(width: int, height: int, horizontal_fov_rad: float) -> Array:
    """K (3, 3) of a square-pixel camera with its principal point in the middle."""
    f = width / 2 / np.tan(horizontal_fov_rad / 2)
    return np.array([[f, 0.0, width / 2], [0.0, f, height / 2], [0.0, 0.0, 1.0]])


def scaled_intrinsics(K: ArrayLike, size: tuple[int, int], new_size: tuple[int, int]) -> Array:
    """K (3, 3) after resizing an image from `size` to `new_size`, both (height, width) in pixels."""
    sy, sx = new_size[0] / size[0], new_size[1] / size[1]
    return np.diag([sx, sy, 1.0]) @ np.asarray(K, dtype=np.float64)


def project(points: ArrayLike, K: Array, T_map_camera: Array) -> tuple[Array, Array]:
    """Pixels (..., 2) and depths (...) in metres of map points (..., 3); depth ≤ 0 means behind the camera, where
    pixels mean nothing."""
    camera = (np.asarray(points, dtype=np.float64) - T_map_camera[:3, 3]) @ T_map_camera[:3, :3]
    depth = camera[..., 2]
    plane = camera[..., :2] / np.where(np.abs(depth) < _LEAST_DEPTH_M, _LEAST_DEPTH_M, depth)[..., None]
    pixels = plane * np.array([K[0, 0], K[1, 1]]) + np.array([K[0, 2], K[1, 2]])
    pixels[..., 0] += K[0, 1] * plane[..., 1]
    return np.asarray(pixels), np.asarray(depth)


def viewing_rays(pixels: ArrayLike, K: Array, T_map_camera: Array) -> Array:
    """Rays (..., 3) in the map frame per unit of depth: a = R K⁻¹ (u, v, 1)ᵀ, for pixels (..., 2)."""
    uv = np.asarray(pixels, dtype=np.float64)
    homogeneous = np.concatenate([uv, np.ones_like(uv[..., :1])], axis=-1)
    return np.asarray(homogeneous @ (T_map_camera[:3, :3] @ np.linalg.inv(K)).T)
