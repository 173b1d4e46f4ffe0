"""Sizes of the ROS messages that travel: each is built and serialised (CDR) from this package's .msg files.

Works without ROS: the rosbags library reads the definitions. What DDS and UDP add per message is not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.bags.types import PACKAGE, typestore
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.rotations import quaternion_from_matrix, quaternion_from_yaw

FRAME_ID = "map"


def feature_message(
    payload: bytes,
    *,
    agent: str,
    stamp_ns: int,
    frame: int,
    index: int,
    count: int,
    fingerprint: int,
    T_map_camera: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> bytes:
    """A serialised FeaturePacket."""
    t = typestore().types
    message = t[f"{PACKAGE}/msg/FeaturePacket"](
        header=_header(stamp_ns),
        agent=agent,
        frame=frame,
        packet_index=index,
        packet_count=count,
        fingerprint=fingerprint,
        camera_pose=_pose(T_map_camera[:3, 3], quaternion_from_matrix(T_map_camera[:3, :3])),
        covariance=np.asarray(covariance, dtype=np.float64).reshape(36),
        payload=np.frombuffer(payload, dtype=np.uint8),
    )
    return bytes(typestore().serialize_cdr(message, f"{PACKAGE}/msg/FeaturePacket"))


def object_array_message(boxes: Boxes, *, agent: str, stamp_ns: int, frame: int) -> bytes:
    """A serialised ObjectArray."""
    t = typestore().types
    vector = t["geometry_msgs/msg/Vector3"]
    objects = []
    for n in range(len(boxes)):
        objects.append(
            t[f"{PACKAGE}/msg/Object3D"](
                class_id=int(boxes.classes[n]),
                score=float(boxes.scores[n]),
                pose=_pose(boxes.centres[n], quaternion_from_yaw(float(boxes.yaws[n]))),
                size=vector(*(float(v) for v in boxes.sizes[n])),
                velocity=vector(*(float(v) for v in boxes.velocities[n]), 0.0),
                covariance=np.zeros(9, dtype=np.float32),
                id=0,
                contributors=[],
            )
        )
    message = t[f"{PACKAGE}/msg/ObjectArray"](
        header=_header(stamp_ns), agent=agent, frame=frame, objects=objects
    )
    return bytes(typestore().serialize_cdr(message, f"{PACKAGE}/msg/ObjectArray"))


def boxes_of_message(data: bytes) -> Boxes:
    """The boxes of a serialised ObjectArray."""
    message: Any = typestore().deserialize_cdr(data, f"{PACKAGE}/msg/ObjectArray")
    found = message.objects
    n = len(found)
    turns = np.array([(o.pose.orientation.z, o.pose.orientation.w) for o in found]).reshape(n, 2)
    return Boxes(
        classes=np.array([o.class_id for o in found], dtype=np.int64),
        scores=np.array([o.score for o in found], dtype=np.float64),
        centres=np.array([(o.pose.position.x, o.pose.position.y, o.pose.position.z) for o in found]).reshape(
            n, 3
        ),
        sizes=np.array([(o.size.x, o.size.y, o.size.z) for o in found]).reshape(n, 3),
        yaws=2.0 * np.arctan2(turns[:, 0], turns[:, 1]),
        velocities=np.array([(o.velocity.x, o.velocity.y) for o in found]).reshape(n, 2),
    )


def demand_message(
    tiles: NDArray[np.int32],
    values: NDArray[np.uint8],
    *,
    agent: str,
    stamp_ns: int,
    frame: int,
    fingerprint: int,
    cell_size: float,
) -> bytes:
    """A serialised DemandMap of tiles (M, 2) with values (M, 4)."""
    message = typestore().types[f"{PACKAGE}/msg/DemandMap"](
        header=_header(stamp_ns),
        agent=agent,
        frame=frame,
        fingerprint=fingerprint,
        cell_size=cell_size,
        tile_i=np.ascontiguousarray(tiles[:, 0], np.int32),
        tile_j=np.ascontiguousarray(tiles[:, 1], np.int32),
        values=np.ascontiguousarray(values, np.uint8).ravel(),
    )
    return bytes(typestore().serialize_cdr(message, f"{PACKAGE}/msg/DemandMap"))


def demand_of_message(data: bytes) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Tiles (M, 2) and values (M, 4) of a serialised DemandMap."""
    message: Any = typestore().deserialize_cdr(data, f"{PACKAGE}/msg/DemandMap")
    return np.stack([message.tile_i, message.tile_j], axis=1), np.asarray(message.values).reshape(-1, 4)


def _header(stamp_ns: int) -> Any:
    t = typestore().types
    stamp = t["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return t["std_msgs/msg/Header"](stamp=stamp, frame_id=FRAME_ID)


def _pose(position: NDArray[np.float64], xyzw: NDArray[np.float64]) -> Any:
    t = typestore().types
    return t["geometry_msgs/msg/Pose"](
        position=t["geometry_msgs/msg/Point"](*(float(v) for v in position)),
        orientation=t["geometry_msgs/msg/Quaternion"](*(float(v) for v in xyzw)),
    )
