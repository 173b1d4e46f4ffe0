"""Arrays to sensor messages, filled from bytes; data/messages/ reads received ones."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.messages.stamps import NS
from rsdfm_ros.geometry.rotations import quaternion_from_matrix


def time_of(ns: int) -> Time:
    """ns as a ROS time."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def image_to_message(image: NDArray[np.uint8], ns: int, frame_id: str) -> Image:
    """rgb8 message of an (H, W, 3) RGB image."""
    message = Image(height=image.shape[0], width=image.shape[1], encoding="rgb8", step=3 * image.shape[1])
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())
    return message


def intrinsics_to_message(
    K: NDArray[np.float64], size: tuple[int, int], ns: int, frame_id: str
) -> CameraInfo:
    """CameraInfo of an undistorted camera with images of `size` (height, width)."""
    message = CameraInfo(height=size[0], width=size[1], distortion_model="plumb_bob")
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    k = K.copy()
    k[:2, 2] -= 0.5
    message.d = [0.0] * 5
    message.k = k.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.concatenate([k, np.zeros((3, 1))], axis=1).ravel()
    return message


def fill_pose(pose: Pose, T: NDArray[np.float64]) -> None:
    """Write T (4, 4) into a pose."""
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in T[:3, 3])
    q = quaternion_from_matrix(T[:3, :3])
    o = pose.orientation
    o.x, o.y, o.z, o.w = (float(v) for v in q)


def pose_to_message(
    T: NDArray[np.float64], covariance: NDArray[np.float64], ns: int, frame_id: str
) -> PoseWithCovarianceStamped:
    """Stamped pose of T (4, 4) with its (6, 6) covariance."""
    message = PoseWithCovarianceStamped()
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    fill_pose(message.pose.pose, T)
    message.pose.covariance = np.ascontiguousarray(covariance, dtype=np.float64).ravel()
    return message
