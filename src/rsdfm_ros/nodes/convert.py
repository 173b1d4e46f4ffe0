"""Sensor messages to arrays and back. What comes in is checked; what goes out is filled from bytes."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix, transform

NS = 1_000_000_000
MAX_PIXELS = 64_000_000


class MessageError(RsdfmError):
    """A message whose content cannot be used. `reason` is the slug it is counted by."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def stamp_ns(time: Time) -> int:
    """A ROS time in ns."""
    return int(time.sec) * NS + int(time.nanosec)


def time_of(ns: int) -> Time:
    """ns as a ROS time."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def image_from_message(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, a view of the message where it is rgb8 without padding.

    Raises: MessageError for another encoding than rgb8 or bgr8, or sizes that contradict each other.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    if message.encoding not in ("rgb8", "bgr8"):
        raise MessageError("image_encoding", f"expected rgb8 or bgr8, got encoding {message.encoding!r}")
    if not 0 < height * width <= MAX_PIXELS or step < 3 * width:
        raise MessageError("image_size", f"{width} x {height} pixels with a row step of {step} bytes")
    data = np.frombuffer(message.data, np.uint8)
    if len(data) != step * height:
        raise MessageError("image_size", f"expected {step * height} bytes of image, got {len(data)}")
    image = data.reshape(height, step)[:, : 3 * width].reshape(height, width, 3)
    return image if message.encoding == "rgb8" else image[..., ::-1]


def image_to_message(image: NDArray[np.uint8], ns: int, frame_id: str) -> Image:
    """rgb8 message of an (H, W, 3) RGB image."""
    message = Image(height=image.shape[0], width=image.shape[1], encoding="rgb8", step=3 * image.shape[1])
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())
    return message


def intrinsics_from_message(message: CameraInfo) -> NDArray[np.float64]:
    """K (3, 3) in pixels with the left edge of the image at 0.

    ROS puts the centre of the first pixel at 0, we put it at 0.5: half a pixel is added to the principal point.
    Raises: MessageError unless K is a finite pinhole matrix without distortion.
    """
    K = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.array_equal(K[2], [0, 0, 1]):
        raise MessageError("camera_info", f"expected a finite pinhole matrix k, got {K.ravel().tolist()}")
    if any(abs(d) > 1e-6 for d in message.d):
        raise MessageError(
            "camera_distorted", "expected rectified images (all d zero): put image_proc before"
        )
    K = K.copy()
    K[:2, 2] += 0.5
    return K


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


def pose_matrix(pose: Pose) -> NDArray[np.float64]:
    """T (4, 4) of a pose. Raises: MessageError unless finite with a unit quaternion."""
    p, q = pose.position, pose.orientation
    xyz, xyzw = np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])
    if not (np.isfinite(xyz).all() and np.isfinite(xyzw).all()):
        raise MessageError("pose_not_finite", f"expected a finite pose, got {xyz} {xyzw}")
    if abs(math.sqrt(float(xyzw @ xyzw)) - 1.0) > 0.01:
        raise MessageError("pose_not_unit", f"expected a unit quaternion, got {xyzw}")
    return transform(matrix_from_quaternion(xyzw), xyz)


def fill_pose(pose: Pose, T: NDArray[np.float64]) -> None:
    """Write T (4, 4) into a pose."""
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in T[:3, 3])
    q = quaternion_from_matrix(T[:3, :3])
    o = pose.orientation
    o.x, o.y, o.z, o.w = (float(v) for v in q)


def covariance_from(values: Any) -> NDArray[np.float64]:
    """(6, 6) covariance. Raises: MessageError unless finite with variances >= 0."""
    matrix = np.asarray(values, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(matrix).all() or (np.diag(matrix) < 0).any():
        raise MessageError("covariance", "expected a finite covariance with variances >= 0")
    return matrix


def pose_to_message(
    T: NDArray[np.float64], covariance: NDArray[np.float64], ns: int, frame_id: str
) -> PoseWithCovarianceStamped:
    """Stamped pose of T (4, 4) with its (6, 6) covariance."""
    message = PoseWithCovarianceStamped()
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    fill_pose(message.pose.pose, T)
    message.pose.covariance = np.ascontiguousarray(covariance, dtype=np.float64).ravel()
    return message


def extrinsics(values: tuple[float, ...]) -> NDArray[np.float64]:
    """T_pose_camera (4, 4) from x y z (m) and quaternion x y z w.

    Raises: MessageError unless seven finite numbers with a unit quaternion.
    """
    pose = Pose()
    if len(values) != 7:
        raise MessageError("extrinsics", f"expected x y z qx qy qz qw, got {len(values)} numbers")
    p, o = pose.position, pose.orientation
    p.x, p.y, p.z, o.x, o.y, o.z, o.w = (float(v) for v in values)
    return pose_matrix(pose)
