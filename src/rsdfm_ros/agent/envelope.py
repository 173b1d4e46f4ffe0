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
from rsdfm_ros.geometry.uncertainty import TRIANGLE_NUMBERS, from_upper_triangle
from rsdfm_ros.wire.errors import WireError

MAX_NAME = 64
"""Characters of a UAV's name that are repeated in messages."""
MAX_POSE_SIGMA_M = 1000.0
"""Largest standard deviation of a received position: a window of features is some 100 m wide, and a map that may lie a
kilometre away is never fused (agent/prefusion/pose_alignment.py). Larger values only harm the arithmetic."""
MAX_POSE_SIGMA_RAD = math.pi
"""Largest standard deviation of a received rotation: half a turn, with which nothing is known of it."""
COVARIANCE_TOLERANCE = 1e-6
"""Asymmetry and negative eigenvalues of a covariance up to this share of its largest entry, at least of 1, come from
rounding."""


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
    """An envelope that contradicts itself, its topic or the packets before it. blames: it is a fault of its publisher,
    and may lead to quarantine."""

    def __init__(self, reason: str, text: str, *, blames: bool = True) -> None:
        self.reason, self.blames = reason, blames
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
    if len(message.covariance) != TRIANGLE_NUMBERS:
        raise Refused(
            "other_definition",
            f"a FeaturePacket with a covariance of {len(message.covariance)} numbers, expected the "
            f"{TRIANGLE_NUMBERS} of its upper triangle: sent or recorded by another version of rsdfm_ros",
        )
    covariance = from_upper_triangle(message.covariance)
    checked_pose((p.x, p.y, p.z), (q.x, q.y, q.z, q.w), covariance)
    return Envelope(
        agent=message.agent,
        stamp_ns=stamp_ns(message.header.stamp),
        frame=int(message.frame),
        index=int(message.packet_index),
        count=int(message.packet_count),
        fingerprint=int(message.fingerprint),
        T_map_camera=pose_matrix(message.camera_pose),
        covariance=covariance,
    )


def checked_pose(position: Sequence[float], xyzw: Sequence[float], covariance: NDArray[np.float64]) -> None:
    """Raise Refused unless a pose is finite and near-unit, and its covariance (6, 6) is one: finite, symmetric,
    positive semi-definite, with standard deviations up to MAX_POSE_SIGMA_M and MAX_POSE_SIGMA_RAD."""
    if not all(map(math.isfinite, (*position, *xyzw))):
        raise Refused("pose_not_finite", f"pose {position} {xyzw}")
    if not abs(math.hypot(*xyzw) - 1.0) <= 0.01:
        raise Refused("pose_not_unit", f"orientation {xyzw} is no unit quaternion")
    if not max(abs(v) for v in position) <= 1e6:
        raise Refused("pose_far", f"position {position} is beyond 1000 km")
    if not np.isfinite(covariance).all():
        raise Refused("covariance_not_finite", "covariance is not finite")
    largest = float(np.abs(covariance).max())
    slack = COVARIANCE_TOLERANCE * max(1.0, largest)
    with np.errstate(over="ignore"):  # of differences of huge numbers
        symmetric = bool(np.abs(covariance - covariance.T).max() <= slack)
    if not (symmetric and (np.diag(covariance) >= 0).all()):
        raise Refused("covariance_invalid", "covariance is not symmetric with variances >= 0")
    most = np.repeat([MAX_POSE_SIGMA_M**2, MAX_POSE_SIGMA_RAD**2], 3) * (1.0 + COVARIANCE_TOLERANCE)
    if not (np.diag(covariance) <= most).all():
        raise Refused(
            "covariance_too_large",
            f"variances {np.diag(covariance)} exceed those of {MAX_POSE_SIGMA_M:.0f} m and half a turn",
        )
    # No entry of a covariance exceeds the largest variance: others are refused before the eigenvalues are taken.
    if not (largest <= most.max() and np.linalg.eigvalsh(covariance).min() >= -slack):
        raise Refused("covariance_invalid", "covariance is not positive semi-definite")
