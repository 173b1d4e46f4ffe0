"""TF of the lattice: a static transform from the map to the south-west corner of the window that a UAV answers on.

The frame is called `<agent>/lattice`: its x and y axes are east and north, so column n and row m (from below) of
instance_mask and the other images cover x in [n, n + 1) and y in [m, m + 1) cells of it.
"""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped

from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.nodes.convert.optional import optional_module
from rsdfm_ros.nodes.convert.sensors import time_of

PARAMETER = "publish_lattice_tf"


def lattice_transform(
    window: Window, *, agent: str, ns: int, frame_id: str, height_m: float = 0.0
) -> TransformStamped:
    """Transform of the window's first corner in `frame_id`."""
    message = TransformStamped(child_frame_id=f"{agent}/lattice")
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    t = message.transform.translation
    t.x, t.y = (float(v) for v in window.bounds[:2])
    t.z = float(height_m)
    message.transform.rotation.w = 1.0
    return message


class LatticeFrame:
    """Broadcasts the transform where tf2_ros exists, anew when the window changes."""

    def __init__(self, node: Any, wish: str, *, agent: str, frame_id: str) -> None:
        """wish: `auto`, `always` or `never`. Raises: MissingPackage."""
        tf2_ros = optional_module("tf2_ros", wish, PARAMETER)
        self._broadcaster = None if tf2_ros is None else tf2_ros.StaticTransformBroadcaster(node)
        self._agent, self._frame_id = agent, frame_id
        self._sent: Window | None = None

    def show(self, window: Window, ns: int) -> None:
        """Publish the transform of the window, unless it was published already."""
        if self._broadcaster is not None and window != self._sent:
            message = lattice_transform(window, agent=self._agent, ns=ns, frame_id=self._frame_id)
            self._broadcaster.sendTransform(message)
            self._sent = window
