"""Feature packets: rsdfm_ros/FeaturePacket to the inbox's envelopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdfm_ros.agent.inbox import Envelope, Refused, checked_pose
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.data.messages.stamps import stamp_ns

MAX_NAME = 64


def envelope_of(message: Any, *, topic_agent: str, frame_id: str) -> Envelope:
    """The checked fields around the payload.

    topic_agent: the name that the topic belongs to; packets in the name of another UAV are refused. frame_id: our
    lattice frame. Raises: Refused.
    """
    if message.agent != topic_agent:
        raise Refused("agent_name", f"{message.agent[:MAX_NAME]!r} speaks on the topic of {topic_agent!r}")
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
