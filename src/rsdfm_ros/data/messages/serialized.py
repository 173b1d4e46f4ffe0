"""Odometry as it comes over the wire: stamp and pose alone, without the thirty objects of its message class.

The serialisation is CDR: four bytes that name the order of bytes, then the fields in order, numbers at multiples of
their size, strings with their length before them. Only the little-endian one is read, which is what ROS middlewares
send on the machines that this package runs on.
"""

from __future__ import annotations

import struct

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.poses import PoseSample, StampedPose, matrix_of
from rsdfm_ros.data.messages.stamps import NS, checked_ns

LITTLE_ENDIAN = b"\x00\x01"
_HEAD = 4
_STAMP, _LENGTH, _POSE = struct.Struct("<iI"), struct.Struct("<I"), struct.Struct("<7d")


def odometry_pose(data: bytes) -> StampedPose:
    """The pose of a serialised nav_msgs/Odometry, without its covariance.

    Raises: MessageError `serialized` for bytes that are none; `stamp`, `stamp_zero`, `pose_not_finite`, `pose_not_unit`
    as the readers of messages.
    """
    try:
        if data[:2] != LITTLE_ENDIAN:
            raise MessageError("serialized", f"odometry: expected little-endian CDR, got {data[:2].hex()}")
        sec, nanosec = _STAMP.unpack_from(data, _HEAD)
        frame_id, at = _string(data, _HEAD + _STAMP.size)
        child_frame_id, at = _string(data, at)
        at += -(at - _HEAD) % 8
        x, y, z, *xyzw = _POSE.unpack_from(data, at)
    except (struct.error, UnicodeDecodeError) as error:
        raise MessageError(
            "serialized", f"odometry: {len(data)} bytes that cannot be read: {error}"
        ) from error
    stamp_ns = checked_ns(sec, nanosec, "odometry")
    return StampedPose(stamp_ns, PoseSample(matrix_of((x, y, z), xyzw)), frame_id, child_frame_id)


def odometry_stamp_ns(data: bytes) -> int:
    """The stamp of a serialised odometry, unchecked. Raises: MessageError `serialized`."""
    if data[:2] != LITTLE_ENDIAN or len(data) < _HEAD + _STAMP.size:
        raise MessageError("serialized", f"odometry: expected little-endian CDR, got {data[:12].hex()}")
    sec, nanosec = _STAMP.unpack_from(data, _HEAD)
    return int(sec) * NS + int(nanosec)


def _string(data: bytes, at: int) -> tuple[str, int]:
    """A string and where the next field may begin."""
    at += -(at - _HEAD) % 4
    (length,) = _LENGTH.unpack_from(data, at)
    begin, end = at + _LENGTH.size, at + _LENGTH.size + length
    if end > len(data):
        raise struct.error(f"a string of {length} bytes")
    return data[begin : max(begin, end - 1)].decode(), end
