"""Aerospace axes (NED world, FRD body, as in PX4) and those of ROS (ENU world, FLU body, REP-103).

World: NED is (north, east, down), ENU is (east, north, up): swap the first two, negate the third.
Body: FRD is (forward, right, down), FLU is (forward, left, up): negate the second and third.
Both changes are their own inverse, so the same functions convert either way. A rotation changes on both sides:
R_enu_flu = R_enu_ned · R_ned_frd · R_frd_flu.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.geometry.rotations import matrix_from_quaternion, transform

Array = NDArray[np.float64]

#: NED to ENU and ENU to NED.
R_ENU_NED: Array = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
#: FRD to FLU and FLU to FRD, of a body or of a world frame with an arbitrary heading.
R_FLU_FRD: Array = np.diag([1.0, -1.0, -1.0])


def enu_from_ned(T_ned_frd: ArrayLike) -> Array:
    """T_enu_flu (4, 4) of a pose T_ned_frd (4, 4), or the other way round."""
    return _changed(T_ned_frd, R_ENU_NED)


def flu_from_frd(T_world_frd: ArrayLike) -> Array:
    """T_flu_flu (4, 4) of a body's pose in a world frame that is itself forward-right-down, or the other way round."""
    return _changed(T_world_frd, R_FLU_FRD)


def pose_from_px4(position: ArrayLike, wxyz: ArrayLike) -> Array:
    """T (4, 4) of PX4's position (3,) m and Hamilton quaternion (4,), scalar first, that turns body into world."""
    w, x, y, z = np.asarray(wxyz, np.float64)
    return transform(matrix_from_quaternion([x, y, z, w]), np.asarray(position, np.float64))


def covariance_from_px4(
    position_variance: ArrayLike, orientation_variance: ArrayLike, T_enu_flu: Array, R_ros_px4: Array
) -> Array:
    """(6, 6) covariance about the world's ROS axes: variances of position (3,) m² about PX4's world axes and of
    orientation (3,) rad² about the FRD body axes. T_enu_flu (4, 4): the converted pose · R_ros_px4: R_ENU_NED, or
    R_FLU_FRD for a world that is forward-right-down.
    """
    R = np.asarray(T_enu_flu, np.float64)[:3, :3] @ R_FLU_FRD
    out = np.zeros((6, 6))
    out[:3, :3] = R_ros_px4 @ np.diag(np.asarray(position_variance, np.float64)) @ R_ros_px4.T
    out[3:, 3:] = R @ np.diag(np.asarray(orientation_variance, np.float64)) @ R.T
    return out


def _changed(T: ArrayLike, R_world: Array) -> Array:
    T = np.asarray(T, np.float64)
    return transform(R_world @ T[:3, :3] @ R_FLU_FRD, R_world @ T[:3, 3])
