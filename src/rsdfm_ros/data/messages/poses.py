"""Poses: pose messages to matrices.

`T` is the pose of a body in a parent frame; covariances are about the parent's axes (geometry/uncertainty.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.geometry.aerospace import (
    R_ENU_NED,
    R_FLU_FRD,
    covariance_from_px4,
    enu_from_ned,
    flu_from_frd,
    pose_from_px4,
)
from rsdfm_ros.geometry.rotations import matrix_from_quaternion, transform

#: Beyond this a position is a mistake (projected coordinates of UTM stay below).
MAX_POSITION_M = 2e7
_POSITION, _ATTITUDE = slice(0, 3), slice(3, 6)


@dataclass(frozen=True)
class PoseSample:
    """T (4, 4) of a body in its parent frame and its covariance (6, 6): None where the source has none, NaN in the
    block of position or attitude that it does not know."""

    T: NDArray[np.float64]
    covariance: NDArray[np.float64] | None = None

    def known(self, assumed: NDArray[np.float64]) -> PoseSample:
        """With the blocks of `assumed` (6, 6), without correlation, where the source knows none."""
        if self.covariance is None:
            return PoseSample(self.T, assumed)
        if np.isfinite(self.covariance).all():
            return self
        return PoseSample(self.T, np.where(np.isnan(self.covariance), assumed, self.covariance))


@dataclass(frozen=True)
class StampedPose:
    """A sample with its time, the parent frame, the body frame ("" where the message does not name them), and a
    number that changes when the source starts anew at another place."""

    stamp_ns: int
    sample: PoseSample
    frame_id: str
    child_frame_id: str = ""
    reset: int = 0


def pose_matrix(pose: Any) -> NDArray[np.float64]:
    """T (4, 4) of a geometry_msgs/Pose. Raises: MessageError unless finite with a unit quaternion."""
    p, q = pose.position, pose.orientation
    return matrix_of((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def matrix_of(position: Sequence[float], quaternion: Sequence[float]) -> NDArray[np.float64]:
    """T (4, 4) of a position and a quaternion xyzw. Raises: MessageError unless finite with a unit quaternion."""
    xyz, xyzw = np.array(position, np.float64), np.array(quaternion, np.float64)
    if not (np.isfinite(xyz).all() and np.isfinite(xyzw).all()):
        raise MessageError("pose_not_finite", f"expected a finite pose, got {xyz} {xyzw}")
    if np.abs(xyz).max() > MAX_POSITION_M:
        raise MessageError("pose_not_finite", f"expected a position within {MAX_POSITION_M:.0e} m, got {xyz}")
    if abs(math.hypot(*xyzw) - 1.0) > 0.01:
        raise MessageError("pose_not_unit", f"expected a unit quaternion, got {xyzw}")
    return transform(matrix_from_quaternion(xyzw), xyz)


def covariance_from(values: Any) -> NDArray[np.float64] | None:
    """(6, 6) covariance; None if the sender knows none, NaN in the block of position or attitude that it does not know.

    Senders say so with NaN or infinity (MAVROS), with zeros (a message that was not filled in), or with -1 in front of
    zeros (sensor_msgs). Raises: MessageError for variances < 0.
    """
    matrix = np.array(values, dtype=np.float64).reshape(6, 6)
    if matrix[0, 0] == -1 and np.count_nonzero(matrix) == 1:
        return None
    blocks = _POSITION, _ATTITUDE
    unknown = [not np.isfinite(matrix[b, b]).all() or not matrix[b, b].any() for b in blocks]
    if all(unknown):
        return None
    matrix[~np.isfinite(matrix)] = 0.0
    for block, missing in zip(blocks, unknown, strict=True):
        if missing:
            matrix[block, :] = matrix[:, block] = 0.0
            matrix[block, block] = np.nan
    if (np.diag(matrix) < 0).any():
        raise MessageError("covariance", "expected a covariance with variances >= 0")
    return matrix


def extrinsics(values: Sequence[float]) -> NDArray[np.float64]:
    """T_pose_camera (4, 4) from x y z (m) and quaternion x y z w.

    Raises: MessageError unless seven finite numbers with a unit quaternion.
    """
    if len(values) != 7:
        raise MessageError("extrinsics", f"expected x y z qx qy qz qw, got {len(values)} numbers")
    return matrix_of(values[:3], values[3:])


def from_pose_stamped(message: Any) -> StampedPose:
    """geometry_msgs/PoseStamped: no covariance."""
    header = message.header
    stamp = checked_stamp_ns(header.stamp, "pose")
    return StampedPose(stamp, PoseSample(pose_matrix(message.pose)), header.frame_id)


def from_pose_with_covariance(message: Any) -> StampedPose:
    """geometry_msgs/PoseWithCovarianceStamped."""
    header = message.header
    stamp = checked_stamp_ns(header.stamp, "pose")
    sample = PoseSample(pose_matrix(message.pose.pose), covariance_from(message.pose.covariance))
    return StampedPose(stamp, sample, header.frame_id)


def from_odometry(message: Any) -> StampedPose:
    """nav_msgs/Odometry: the pose of child_frame_id in header.frame_id; the twist is not read."""
    posed = from_pose_with_covariance(message)
    return StampedPose(posed.stamp_ns, posed.sample, posed.frame_id, message.child_frame_id)


def from_px4_odometry(message: Any) -> StampedPose:
    """px4_msgs/VehicleOdometry: pose of FRD body axes in NED (or in an FRD world of arbitrary heading), converted to
    FLU axes in ENU (in an FLU world). The time is timestamp_sample (µs), which uXRCE-DDS translates into the time of
    the companion computer. Variances that PX4 does not know (NaN) are left out, as in `covariance_from`.

    Raises: MessageError `pose_frame` for another frame, and as the others.
    """
    worlds = {1: (enu_from_ned, R_ENU_NED), 2: (flu_from_frd, R_FLU_FRD)}
    if int(message.pose_frame) not in worlds:
        raise MessageError("pose_frame", f"expected pose_frame 1 (NED) or 2 (FRD), got {message.pose_frame}")
    convert, R_ros_px4 = worlds[int(message.pose_frame)]
    stamp_us = int(message.timestamp_sample) or int(message.timestamp)
    if stamp_us == 0:
        raise MessageError("stamp_zero", "px4 odometry: timestamp_sample and timestamp are zero")
    q = np.asarray(message.q, np.float64)
    matrix_of(message.position, (q[1], q[2], q[3], q[0]))
    T = convert(pose_from_px4(message.position, q))
    variances = np.concatenate(
        [np.asarray(v, np.float64) for v in (message.position_variance, message.orientation_variance)]
    )
    if (variances < 0).any():
        raise MessageError("covariance", f"expected variances >= 0, got {variances.tolist()}")
    covariance = covariance_from(covariance_from_px4(variances[:3], variances[3:], T, R_ros_px4))
    return StampedPose(stamp_us * 1000, PoseSample(T, covariance), "", "", int(message.reset_counter))


#: Fields that `from_px4_odometry` reads; px4_msgs before PX4 1.14 defines others.
PX4_ODOMETRY = """uint64 timestamp
uint64 timestamp_sample
uint8 pose_frame
float32[3] position
float32[4] q
float32[3] position_variance
float32[3] orientation_variance
uint8 reset_counter
"""
#: Reader of every `pose_type` that is one topic; "tf" is read by data/messages/transforms.py, "geo" by geo/.
POSE_READERS: Mapping[str, Callable[[Any], StampedPose]] = {
    "pose_with_covariance": from_pose_with_covariance,
    "pose": from_pose_stamped,
    "odometry": from_odometry,
    "px4_odometry": from_px4_odometry,
}
GEO = "geo"
POSE_TYPES = (*POSE_READERS, "tf", GEO)
