"""Pose covariances: transformation between frames, and the upper triangle in which messages carry them.

Covariances are (6, 6) in the order x y z (m), rotation about x y z (rad), about the axes of the parent frame (as in
geometry_msgs/PoseWithCovariance): the true pose is R = exp(δθ) R̄, t = t̄ + δt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.geometry.rotations import quaternion_from_matrix, rotation_vector, transform

Array = NDArray[np.float64]

POSE_TRIANGLE = np.triu_indices(6)
"""Rows and columns of the upper triangle of a (6, 6) covariance, row after row."""
TRIANGLE_NUMBERS = len(POSE_TRIANGLE[0])


def cross_matrix(v: Array) -> Array:
    """(3, 3) matrix [v]× with [v]× w = v × w."""
    x, y, z = v
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def covariance_of_child(T_parent_body: Array, covariance: Array, T_body_camera: Array) -> Array:
    """Covariance of T_parent_camera = T_parent_body · T_body_camera with an exact T_body_camera.

    With the lever l = R_parent_body t_body_camera the camera moves by δt + δθ × l; rotations stay the same.
    """
    lever = T_parent_body[:3, :3] @ T_body_camera[:3, 3]
    if not covariance.any() or not lever.any():
        return covariance
    J = np.eye(6)
    J[:3, 3:] = -cross_matrix(lever)
    return np.asarray(J @ covariance @ J.T)


def covariance_in_parent(T_map_parent: Array, covariance: Array) -> Array:
    """The same covariance about the axes of `map` instead of those of `parent`, whose pose in `map` is exact."""
    R = T_map_parent[:3, :3]
    J = np.zeros((6, 6))
    J[:3, :3] = J[3:, 3:] = R
    return np.asarray(J @ covariance @ J.T)


def interpolate(before: Array, after: Array, share: float) -> Array:
    """The pose (4, 4) at `share` in [0, 1] of the way: position linear, rotation about one axis at a constant rate."""
    turn = rotation_logarithm(before[:3, :3].T @ after[:3, :3])
    t = (1.0 - share) * before[:3, 3] + share * after[:3, 3]
    return transform(before[:3, :3] @ rotation_vector(share * turn), t)


def rotation_logarithm(R: Array) -> Array:
    """Rotation vector (3,) in rad, at most π long, of a rotation matrix (3, 3)."""
    q = quaternion_from_matrix(R)
    half = float(np.linalg.norm(q[:3]))
    if half < 1e-12:
        return np.zeros(3)
    return np.asarray(2.0 * np.arctan2(half, q[3]) / half * q[:3])


def upper_triangle(covariance: Array) -> NDArray[np.float32]:
    """(21,) the upper triangle of a covariance (6, 6), row after row, in single precision."""
    with np.errstate(over="ignore"):  # receivers refuse what is not finite
        triangle: NDArray[np.float32] = np.asarray(covariance, np.float64)[POSE_TRIANGLE].astype(np.float32)
    return triangle


def from_upper_triangle(triangle: ArrayLike) -> Array:
    """The symmetric (6, 6) covariance of its upper triangle (21,). ValueError for another length."""
    values = np.asarray(triangle, np.float64)
    if values.shape != (TRIANGLE_NUMBERS,):
        raise ValueError(f"expected {TRIANGLE_NUMBERS} numbers, got an array of shape {values.shape}")
    covariance = np.empty((6, 6))
    covariance[POSE_TRIANGLE] = values
    covariance.T[POSE_TRIANGLE] = values
    return covariance
