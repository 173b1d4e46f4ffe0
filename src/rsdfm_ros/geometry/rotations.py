"""Rotations and rigid transforms. Quaternions are xyzw, as in ROS messages; T_a_b maps points from b to a."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Rotation from an optical camera frame (z forward, x right, y down) to a body frame (x forward, y left, z up).
R_BODY_OPTICAL: Array = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def matrix_from_quaternion(xyzw: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of a quaternion (4,); it need not be exactly normalised. ValueError if it is zero."""
    q = np.asarray(xyzw, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if q.shape != (4,) or not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"expected a finite non-zero quaternion x y z w, got {xyzw!r}")
    x, y, z, w = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(R: ArrayLike) -> Array:
    """Unit quaternion (4,) xyzw with w ≥ 0 of a rotation matrix (3, 3)."""
    m = np.asarray(R, dtype=np.float64)
    # The symmetric matrix whose dominant eigenvector is the quaternion (Bar-Itzhack, 2000): stable everywhere.
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0.0, 0.0, 0.0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0.0, 0.0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0.0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    _, vectors = np.linalg.eigh(k / 3.0)
    q: Array = vectors[:, -1]
    return -q if q[3] < 0 else q


def matrix_from_wxyz(wxyz: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of a quaternion w x y z (4,), as nuScenes stores it; ValueError if it is zero."""
    return matrix_from_quaternion(np.roll(wxyz, -1))


def wxyz_from_matrix(R: ArrayLike) -> list[float]:
    """Unit quaternion w x y z, as nuScenes stores it, of a rotation matrix (3, 3)."""
    x, y, z, w = quaternion_from_matrix(R).tolist()
    return [w, x, y, z]


def quaternion_from_yaw(yaw: float) -> Array:
    """Quaternion (4,) xyzw of a rotation by `yaw` rad about +z."""
    return np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])


def yaw_from_quaternion(xyzw: ArrayLike) -> float:
    """Heading in rad, in [-pi, pi), of the x axis of a rotation."""
    R = matrix_from_quaternion(xyzw)
    return float(wrap_angle(np.arctan2(R[1, 0], R[0, 0])))


def yaws_from_quaternions(xyzw: ArrayLike) -> Array:
    """Headings (N,) as `yaw_from_quaternion` of quaternions (N, 4); ValueError if one is zero or not finite."""
    q = np.asarray(xyzw, dtype=np.float64).reshape(-1, 4)
    with np.errstate(over="ignore"):
        squares = (q * q).sum(axis=1)
    if not np.isfinite(squares).all() or (squares < 1e-18).any():
        raise ValueError("expected finite non-zero quaternions x y z w")
    x, y, z, w = q.T
    return wrap_angle(np.arctan2(2 * (x * y + z * w), squares - 2 * (y * y + z * z)))


def wrap_angle(angle: ArrayLike) -> Array:
    """Angles in rad wrapped to [-pi, pi)."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


def transform(R: ArrayLike, t: ArrayLike) -> Array:
    """Homogeneous (4, 4) transform from a rotation (3, 3) and a translation (3,)."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = t
    return T


def inverse(T: Array) -> Array:
    """Inverse of a rigid (4, 4) transform: T_b_a from T_a_b."""
    return transform(T[:3, :3].T, -T[:3, :3].T @ T[:3, 3])


def rotation_vector(axis_angle: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of a rotation vector (3,) in rad (Rodrigues' formula)."""
    v = np.asarray(axis_angle, dtype=np.float64)
    angle = float(np.linalg.norm(v))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = v / angle
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K))


def is_rigid(T: ArrayLike, tolerance: float = 1e-3) -> bool:
    """Whether T is a finite (4, 4) rigid transform."""
    m = np.asarray(T, dtype=np.float64)
    if m.shape != (4, 4) or not np.isfinite(m).all():
        return False
    R = m[:3, :3]
    orthonormal = bool(np.abs(R @ R.T - np.eye(3)).max() < tolerance) and float(np.linalg.det(R)) > 0
    return orthonormal and bool(np.abs(m[3] - [0, 0, 0, 1]).max() < tolerance)
