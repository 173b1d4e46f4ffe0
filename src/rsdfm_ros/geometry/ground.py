"""The ground prior: from a viewing ray to points at known heights above the ground.

algorithm: for a ray a (per unit of depth), a camera centre C and the plane n·X = c,
    H   = n·C − c            camera height over the ground
    d_g = −H / (n·a)         depth at which the ray meets the ground
    d_k = d_g (1 − h_k / H)  depth at which it is at height h_k: "relative depth" (RS-DFM, arXiv 2406.07032)
Over terrain (height_grid.py), d_k is where the ray first comes down to h_k above it.

A ground model is a plane or a grid of heights. Both know the ground below a position (`elevation`, `normals`) and the
height of points above it (`height`): along the normal for a plane, vertically for a grid, the same where it is level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.geometry.height_grid import GroundError, HeightGrid, meet_terrain

Array = NDArray[np.float64]

LEAST_UPRIGHT = 0.5
"""Smallest z of a plane's unit normal: beyond 60° it is no ground to fly over."""


@dataclass(frozen=True)
class GroundPlane:
    """The plane n·X = c in the map frame, n of unit length and pointing up."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    offset: float = 0.0

    def height(self, points: ArrayLike) -> Array:
        """Signed height (...) in metres of points (..., 3) above the plane."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ np.asarray(self.normal) - self.offset)

    def elevation(self, xy: ArrayLike) -> Array:
        """z (...) in metres of the plane at map positions (..., 2)."""
        across = np.asarray(xy, dtype=np.float64) @ np.asarray(self.normal[:2])
        return np.asarray((self.offset - across) / self.normal[2])

    def normals(self, xy: ArrayLike) -> Array:
        """The normal (..., 3) at map positions (..., 2): everywhere the same."""
        return np.broadcast_to(np.asarray(self.normal), (*np.shape(xy)[:-1], 3))


Ground = GroundPlane | HeightGrid
"""A ground model."""


def sloped_plane(normal: tuple[float, float, float], height_m: float) -> GroundPlane:
    """The plane with a normal of any length that passes the map's z axis at `height_m`. Raises: GroundError."""
    n = np.asarray(normal, dtype=np.float64)
    length = float(np.linalg.norm(n))
    if not (np.isfinite(length) and length > 0 and n[2] / length >= LEAST_UPRIGHT):
        raise GroundError(
            f"the normal of the ground must point up, at most 60° off the vertical, got {tuple(map(float, n))}"
        )
    if not np.isfinite(height_m):
        raise GroundError(f"the height of the ground must be finite, got {height_m}")
    n /= length
    return GroundPlane((float(n[0]), float(n[1]), float(n[2])), float(n[2] * height_m))


def points_at_heights(
    rays: ArrayLike,
    centre: ArrayLike,
    heights: ArrayLike,
    ground: Ground,
    *,
    max_depth_m: float = 300.0,
    horizon_margin: float = 0.02,
) -> tuple[Array, NDArray[np.bool_]]:
    """Points X_k (..., D, 3) at which rays (..., 3) reach the heights (D,), and their validity (..., D).

    A point is invalid when its ray does not descend by at least `horizon_margin` metres per metre of depth
    (n·a > −ε), when the ground is farther than `max_depth_m`, or when the height is not below the camera.
    """
    a = np.asarray(rays, dtype=np.float64)
    C = np.asarray(centre, dtype=np.float64)
    h = np.asarray(heights, dtype=np.float64)
    if isinstance(ground, HeightGrid):
        depth = meet_terrain(a, C, h, ground, max_depth_m, horizon_margin)
        valid = np.isfinite(depth)
        depth = np.where(valid, depth, 0.0)
        return C + depth[..., None] * a[..., None, :], valid
    H = float(ground.height(C))
    descent = -(a @ np.asarray(ground.normal))
    below = descent > horizon_margin
    ground_depth = H / np.where(below, descent, 1.0)
    valid = (below & (ground_depth <= max_depth_m) & (H > 0))[..., None] & (h < H)
    depth = ground_depth[..., None] * (1.0 - h / H if H > 0 else np.zeros_like(h))
    return C + depth[..., None] * a[..., None, :], valid


def surface(ground: Ground, xy: ArrayLike) -> tuple[Array, Array]:
    """Points (..., 3) on the ground at map positions (..., 2), and the unit normals (..., 3) there."""
    position = np.asarray(xy, dtype=np.float64)
    points = np.concatenate([position, ground.elevation(position)[..., None]], axis=-1)
    return points, ground.normals(position)


def ground_shift(points: ArrayLike, centre: ArrayLike, normals: ArrayLike = (0.0, 0.0, 1.0)) -> Array:
    """Jacobian of ground points by the pose of the camera that sees them: J (..., 2, 6) at points (..., 3).

    First order: with r = X − C, a rotation δθ about the map axes and a shift δC move the point at which the ray
    meets the ground, whose normal (..., 3) there is n, by δX = s − r (n·s)/(n·r) with s = δC + δθ×r, so δX_xy =
    J (δC, δθ).
    """
    return np.moveaxis(_shift_rows(points, centre, normals), (0, 1), (-2, -1))


def _shift_rows(points: ArrayLike, centre: ArrayLike, normals: ArrayLike) -> Array:
    """The Jacobian of ground_shift as (2, 6, ...).

    With v = e_i − r_i n / (n·r), row i is v·s = v·δC + (r × v)·δθ. Every component is an array of its own, which NumPy
    works through several times faster than through arrays of small matrices.
    """
    r = np.asarray(points, np.float64) - np.asarray(centre, np.float64)
    n = np.asarray(normals, np.float64)
    x, y, z = r[..., 0], r[..., 1], r[..., 2]
    nx, ny, nz = n[..., 0], n[..., 1], n[..., 2]
    # A ray cannot be parallel to or leave the slope that it sees: limit it to the least descent.
    towards = np.minimum(x * nx + y * ny + z * nz, -1e-6)
    J = np.empty((2, 6, *towards.shape))
    for i, (row, along) in enumerate(zip(J, (x, y), strict=True)):
        slope = along / towards
        row[0], row[1], row[2] = float(i == 0) - slope * nx, float(i == 1) - slope * ny, -slope * nz
        row[3] = y * row[2] - z * row[1]
        row[4] = z * row[0] - x * row[2]
        row[5] = x * row[1] - y * row[0]
    return J


def position_sigma(
    points: ArrayLike, centre: ArrayLike, covariance: ArrayLike, normals: ArrayLike = (0.0, 0.0, 1.0)
) -> Array:
    """Standard deviation (...) in metres of ground points (..., 3) seen from a camera with pose covariance (6, 6).

    The root of the trace of the 2 × 2 covariance of :func:`ground_shift`. At 50 m height and 45°, 1° of pitch gives
    1.75 m and 1 m of altitude gives 1.0 m. normals (..., 3): of the ground at the points.
    """
    cov = np.asarray(covariance, dtype=np.float64)
    if not cov.any():
        return np.zeros(np.shape(points)[:-1])
    variance = sum(
        (row * np.tensordot(cov, row, 1)).sum(axis=0) for row in _shift_rows(points, centre, normals)
    )
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
