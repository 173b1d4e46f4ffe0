"""Poses: geometry_msgs to matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.geometry.rotations import matrix_from_quaternion, transform


def pose_matrix(pose: Any) -> NDArray[np.float64]:
    """T (4, 4) of a geometry_msgs/Pose. Raises: MessageError unless finite with a unit quaternion."""
    p, q = pose.position, pose.orientation
    return matrix_of((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def matrix_of(position: Sequence[float], quaternion: Sequence[float]) -> NDArray[np.float64]:
    """T (4, 4) of a position and a quaternion xyzw. Raises: MessageError unless finite with a unit quaternion."""
    xyz, xyzw = np.array(position, np.float64), np.array(quaternion, np.float64)
    if not (np.isfinite(xyz).all() and np.isfinite(xyzw).all()):
        raise MessageError("pose_not_finite", f"expected a finite pose, got {xyz} {xyzw}")
    if abs(math.sqrt(float(xyzw @ xyzw)) - 1.0) > 0.01:
        raise MessageError("pose_not_unit", f"expected a unit quaternion, got {xyzw}")
    return transform(matrix_from_quaternion(xyzw), xyz)


def covariance_from(values: Any) -> NDArray[np.float64]:
    """(6, 6) covariance. Raises: MessageError unless finite with variances >= 0."""
    matrix = np.asarray(values, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(matrix).all() or (np.diag(matrix) < 0).any():
        raise MessageError("covariance", "expected a finite covariance with variances >= 0")
    return matrix


def extrinsics(values: Sequence[float]) -> NDArray[np.float64]:
    """T_pose_camera (4, 4) from x y z (m) and quaternion x y z w.

    Raises: MessageError unless seven finite numbers with a unit quaternion.
    """
    if len(values) != 7:
        raise MessageError("extrinsics", f"expected x y z qx qy qz qw, got {len(values)} numbers")
    return matrix_of(values[:3], values[3:])
