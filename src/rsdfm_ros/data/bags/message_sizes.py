"""Sizes of the ROS messages that are sent: each is built and serialised (CDR) from this package's .msg files.

Works without ROS: the rosbags library reads the definitions. The overhead of DDS and UDP per message is not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.bags.types import PACKAGE, typestore
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.geometry.rotations import quaternion_from_matrix
from rsdfm_ros.geometry.uncertainty import upper_triangle


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
        covariance=upper_triangle(covariance),
        payload=np.frombuffer(payload, dtype=np.uint8),
    )
    return bytes(typestore().serialize_cdr(message, f"{PACKAGE}/msg/FeaturePacket"))


def demand_message(
    tiles: NDArray[np.int32],
    values: NDArray[np.uint8] | None,
    *,
    agent: str,
    stamp_ns: int,
    frame: int,
    fingerprint: int,
    cell_size: float,
) -> bytes:
    """A serialised DemandMap of tiles (M, 2) with values (M, 4), None where all of them is wanted. tiles: a rectangle,
    at least one, the second index fastest."""
    corner, size = tiles[0], tiles[-1] - tiles[0] + 1
    message = typestore().types[f"{PACKAGE}/msg/DemandMap"](
        header=_header(stamp_ns),
        agent=agent,
        frame=frame,
        fingerprint=fingerprint,
        cell_size=cell_size,
        tile_i0=int(corner[0]),
        tile_j0=int(corner[1]),
        tiles_i=int(size[0]),
        tiles_j=int(size[1]),
        values=np.empty(0, np.uint8) if values is None else np.ascontiguousarray(values, np.uint8).ravel(),
    )
    return bytes(typestore().serialize_cdr(message, f"{PACKAGE}/msg/DemandMap"))


def read_demand_message(data: bytes) -> Any:
    """A serialised DemandMap as a message, for agent.interest.demand.demand_of."""
    return typestore().deserialize_cdr(data, f"{PACKAGE}/msg/DemandMap")


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
