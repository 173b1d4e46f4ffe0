"""Stand-ins for messages of cameras and pose sources: what has the fields of a message is one."""

from __future__ import annotations

from types import SimpleNamespace as Message
from typing import Any

import numpy as np

from rsdfm_ros.geometry.rotations import quaternion_from_matrix

NS = 1_000_000_000


def header(ns: int, frame_id: str = "camera") -> Message:
    return Message(stamp=Message(sec=ns // NS, nanosec=ns % NS), frame_id=frame_id)


def image(
    data: np.ndarray,
    encoding: str,
    width: int,
    height: int,
    *,
    ns: int = NS,
    step: int | None = None,
    big_endian: bool = False,
    frame_id: str = "camera",
) -> Message:
    raw = np.ascontiguousarray(data).tobytes()
    return Message(
        header=header(ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=len(raw) // height if step is None else step,
        data=raw,
    )


def rgb(ns: int, shade: int = 7, size: tuple[int, int] = (6, 8), frame_id: str = "camera") -> Message:
    return image(np.full((*size, 3), shade, np.uint8), "rgb8", size[1], size[0], ns=ns, frame_id=frame_id)


def compressed(data: bytes, said: str = "jpeg", ns: int = NS, frame_id: str = "camera") -> Message:
    return Message(header=header(ns, frame_id), format=said, data=data)


def info(
    K: np.ndarray,
    size: tuple[int, int],
    *,
    d: Any = (0.0,) * 5,
    model: str = "plumb_bob",
    P: np.ndarray | None = None,
    R: np.ndarray | None = None,
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    binning: tuple[int, int] = (0, 0),
    ns: int = NS,
) -> Message:
    """K and P as in ROS, with the centre of the first pixel at 0; roi: x, y, width, height."""
    p = np.zeros((3, 4)) if P is None else np.hstack([P, np.zeros((3, 1))])
    return Message(
        header=header(ns),
        height=size[0],
        width=size[1],
        distortion_model=model,
        d=list(d),
        k=np.asarray(K, float).ravel(),
        r=np.eye(3).ravel() if R is None else np.asarray(R, float).ravel(),
        p=p.ravel(),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=Message(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=False),
    )


def vector(v: Any) -> Message:
    return Message(x=float(v[0]), y=float(v[1]), z=float(v[2]))


def quaternion(R: np.ndarray) -> Message:
    x, y, z, w = (float(v) for v in quaternion_from_matrix(R))
    return Message(x=x, y=y, z=z, w=w)


def bare_pose(T: np.ndarray) -> Message:
    return Message(position=vector(T[:3, 3]), orientation=quaternion(T[:3, :3]))


def pose(T: np.ndarray, ns: int, frame_id: str = "map") -> Message:
    return Message(header=header(ns, frame_id), pose=bare_pose(T))


def pose_with_covariance(
    T: np.ndarray, ns: int, covariance: np.ndarray | None = None, frame_id: str = "map"
) -> Message:
    c = np.zeros((6, 6)) if covariance is None else covariance
    return Message(
        header=header(ns, frame_id), pose=Message(pose=bare_pose(T), covariance=np.asarray(c).ravel())
    )


def odometry(
    T: np.ndarray,
    ns: int,
    covariance: np.ndarray | None = None,
    frame_id: str = "map",
    child: str = "base_link",
) -> Message:
    message = pose_with_covariance(T, ns, covariance, frame_id)
    message.child_frame_id = child
    return message


def transform(parent: str, child: str, T: np.ndarray, ns: int = 0) -> Message:
    return Message(
        header=header(ns, parent),
        child_frame_id=child,
        transform=Message(translation=vector(T[:3, 3]), rotation=quaternion(T[:3, :3])),
    )


def tf(*transforms: Message) -> Message:
    return Message(transforms=list(transforms))


def px4(
    position: Any,
    wxyz: Any,
    us: int,
    *,
    frame: int = 1,
    position_variance: Any = (0.01, 0.02, 0.03),
    orientation_variance: Any = (0.001, 0.002, 0.003),
    reset: int = 0,
) -> Message:
    return Message(
        timestamp=us + 500,
        timestamp_sample=us,
        pose_frame=frame,
        position=np.asarray(position, np.float32),
        q=np.asarray(wxyz, np.float32),
        velocity_frame=frame,
        velocity=np.zeros(3, np.float32),
        angular_velocity=np.zeros(3, np.float32),
        position_variance=np.asarray(position_variance, np.float32),
        orientation_variance=np.asarray(orientation_variance, np.float32),
        velocity_variance=np.zeros(3, np.float32),
        reset_counter=reset,
        quality=100,
    )
