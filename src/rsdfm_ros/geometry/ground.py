"""The ground prior: from a viewing ray to points at known heights above the local ground plane.

algorithm: for a ray a (per unit of depth), a camera centre C and the plane n·X = c,
    H   = n·C − c            camera height over the ground
    d_g = −H / (n·a)         depth at which the ray meets the ground
    d_k = d_g (1 − h_k / H)  depth at which it is at height h_k: "relative depth" (RS-DFM, arXiv 2406.07032)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GroundPlane:
    """The plane n·X = c in the map frame, n of unit length and pointing up."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    offset: float = 0.0

    def height(self, points: ArrayLike) -> Array:
        """Signed height (...) in metres of points (..., 3) above the plane."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ np.asarray(self.normal) - self.offset)


def points_at_heights(
    rays: ArrayLike,
    centre: ArrayLike,
    heights: ArrayLike,
    plane: GroundPlane,
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
    H = float(plane.height(C))
    descent = -(a @ np.asarray(plane.normal))
    below = descent > horizon_margin
    ground_depth = H / np.where(below, descent, 1.0)
    valid = (below & (ground_depth <= max_depth_m) & (H > 0))[..., None] & (h < H)
    depth = ground_depth[..., None] * (1.0 - h / H if H > 0 else np.zeros_like(h))
    return C + depth[..., None] * a[..., None, :], valid


def ground_shift(points: ArrayLike, centre: ArrayLike) -> Array:
    """How ground points move when the pose of the camera that sees them does: J (..., 2, 6) at points (..., 3).

    First order: with r = X − C, a rotation δθ about the map axes and a shift δC move the point at which the ray
    meets the ground by δX = δC + δθ×r − r (δC + δθ×r)_z / r_z, so δX_xy = J (δC, δθ).
    """
    r = np.asarray(points, dtype=np.float64) - np.asarray(centre, dtype=np.float64)
    zero, one = np.zeros(r.shape[:-1]), np.ones(r.shape[:-1])
    x, y, z = r[..., 0], r[..., 1], r[..., 2]
    # Rows: the three components of δC + δθ×r as linear functions of (δC, δθ).
    moved = np.stack(
        [
            np.stack([one, zero, zero, zero, z, -y], axis=-1),
            np.stack([zero, one, zero, -z, zero, x], axis=-1),
            np.stack([zero, zero, one, y, -x, zero], axis=-1),
        ],
        axis=-2,
    )
    slope = r[..., :2] / np.where(np.abs(z) < 1e-6, -1e-6, z)[..., None]
    return np.asarray(moved[..., :2, :] - slope[..., :, None] * moved[..., 2:, :])


def position_sigma(points: ArrayLike, centre: ArrayLike, covariance: ArrayLike) -> Array:
    """Standard deviation (...) in metres of ground points (..., 3) seen from a camera with pose covariance (6, 6).

    The root of the trace of the 2 × 2 covariance of :func:`ground_shift`. At 50 m height and 45°, 1° of pitch gives
    1.75 m and 1 m of altitude gives 1.0 m.
    """
    cov = np.asarray(covariance, dtype=np.float64)
    if not cov.any():
        return np.zeros(np.shape(points)[:-1])
    J = ground_shift(points, centre)
    variance = np.einsum("...ia,ab,...ib->...", J, cov, J)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
