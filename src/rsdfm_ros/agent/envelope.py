"""Fields of a FeaturePacket around its payload, converted and checked: all of them are untrusted. Free of ROS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.wire.errors import WireError

MAX_NAME = 64
"""Characters of a UAV's name that are repeated in messages."""


@dataclass(frozen=True)
class Envelope:
    """The fields of a FeaturePacket around its payload, converted and finite."""

    agent: str
    stamp_ns: int
    frame: int
    index: int
    count: int
    fingerprint: int
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]


class Refused(WireError):
    """An envelope that contradicts itself, its topic or the packets before it."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def envelope_of(message: Any, *, topic_agent: str, frame_id: str) -> Envelope:
    """The checked fields around the payload.

    topic_agent: the name that the topic belongs to; packets in the name of another UAV are refused. frame_id: our
    lattice frame. Raises: Refused.
    """
    if message.agent != topic_agent:
        raise Refused("agent_name", f"{message.agent[:MAX_NAME]!r} sends on the topic of {topic_agent!r}")
    if message.header.frame_id != frame_id:
        raise Refused("frame_id", f"expected features in frame {frame_id!r}, got {message.header.frame_id!r}")
    p, q = message.camera_pose.position, message.camera_pose.orientation
    checked_pose((p.x, p.y, p.z), (q.x, q.y, q.z, q.w), message.covariance)
    return Envelope(
        agent=message.agent,
        stamp_ns=stamp_ns(message.header.stamp),
        frame=int(message.frame),
        index=int(message.packet_index),
        count=int(message.packet_count),
        fingerprint=int(message.fingerprint),
        T_map_camera=pose_matrix(message.camera_pose),
        covariance=np.asarray(message.covariance, dtype=np.float64).reshape(6, 6).copy(),
    )


def checked_pose(position: Sequence[float], xyzw: Sequence[float], covariance: Sequence[float]) -> None:
    """Raise Refused unless a pose is finite, near-unit and its covariance symmetric with no negative variance."""
    if not all(map(math.isfinite, (*position, *xyzw))):
        raise Refused("pose_not_finite", f"pose {position} {xyzw}")
    if abs(math.sqrt(sum(v * v for v in xyzw)) - 1.0) > 0.01:
        raise Refused("pose_not_unit", f"orientation {xyzw} is no unit quaternion")
    if max(abs(v) for v in position) > 1e6:
        raise Refused("pose_far", f"position {position} is beyond 1000 km")
    matrix = np.asarray(covariance, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(matrix).all():
        raise Refused("covariance_not_finite", "covariance is not finite")
    if (np.diag(matrix) < 0).any() or np.abs(matrix - matrix.T).max() > 1e-6 * max(1.0, np.abs(matrix).max()):
        raise Refused("covariance_invalid", "covariance is not symmetric with variances >= 0")
