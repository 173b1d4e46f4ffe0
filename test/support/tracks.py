"""Predicted motions as a message, object by object: what the bytes that nodes write are compared with."""

from __future__ import annotations

from geometry_msgs.msg import Point
from rsdfm_ros.msg import Trajectory, TrajectoryArray

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.data.outputs import Tracks
from rsdfm_ros.nodes.convert.sensors import time_of


def tracks_to_message(tracks: Tracks, *, agent: str, frame: int, ns: int, frame_id: str) -> TrajectoryArray:
    """Predicted motions; positions lie on the ground (z = 0)."""
    message = TrajectoryArray(agent=agent, frame=frame % 2**32)
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    for row in range(len(tracks.ids)):
        item = Trajectory(id=int(tracks.ids[row]), score=float(tracks.scores[row]))
        steps = tracks.positions[row]
        item.positions = [Point(x=float(x), y=float(y)) for x, y in steps]
        item.time_offsets_s = [FRAME_PERIOD_S * k for k in range(len(steps))]
        message.trajectories.append(item)
    return message
