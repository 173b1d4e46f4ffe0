"""From the numbers of a data set to our frames: a right-handed map with the ground at z = 0, optical cameras.

With axes `unreal` the world is x forward, y right, z up (left-handed), and a quaternion holds roll, pitch and yaw of
Unreal and CARLA (pitch up and yaw clockwise from above are positive) as extrinsic rotations about x, y, z. Flipping y
makes the world right-handed: there, roll stays and pitch and yaw change sign, which is a change of sign of y and z of
the quaternion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.description import Description, DescriptionError
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, matrix_from_wxyz, transform

Array = NDArray[np.float64]

NANOSECONDS_FROM = 9 * 10**15
"""Timestamps from here on (the year 2255 in microseconds, April 1970 in nanoseconds) are nanoseconds."""


def positions(xyz: Array, description: Description) -> Array:
    """Positions (..., 3) m in a right-handed world."""
    return xyz * [1.0, -1.0, 1.0] if description.axes == "unreal" else xyz.copy()


def rotations(wxyz: Array, description: Description) -> Array:
    """Quaternions (..., 4) wxyz in a right-handed world."""
    return wxyz * [1.0, 1.0, -1.0, -1.0] if description.axes == "unreal" else wxyz


def transforms(translations: Array, wxyz: Array, description: Description) -> Array:
    """Rigid transforms (N, 4, 4) of translations (N, 3) and quaternions (N, 4) wxyz."""
    pairs = zip(positions(translations, description), rotations(wxyz, description), strict=True)
    return np.array([transform(matrix_from_wxyz(q), t) for t, q in pairs]).reshape(-1, 4, 4)


def camera_pose(T_map_ego: Array, T_ego_camera: Array, description: Description) -> Array:
    """(4, 4) optical camera frame to the world, of the two transforms of the tables."""
    T = T_ego_camera if description.extrinsics == "calibrated_sensor" else T_map_ego @ T_ego_camera
    if description.camera_axes == "forward":
        T = T @ transform(R_BODY_OPTICAL, np.zeros(3))
    return np.asarray(T)


def nanoseconds(timestamps: NDArray[np.int64], description: Description) -> NDArray[np.int64]:
    """Stamps in ns of the timestamps of the tables; :class:`DescriptionError` if they do not fit into 64 bits."""
    large = bool((np.abs(timestamps) >= NANOSECONDS_FROM).any())
    if description.timestamps == "ns" or (description.timestamps == "auto" and large):
        return timestamps
    if large:
        problem = f"timestamps reach {int(np.abs(timestamps).max())}, which are no microseconds"
        raise DescriptionError(description.name, problem, "set timestamps: ns")
    return timestamps * 1000
