"""Boxes as markers for RViz and Foxglove."""

from __future__ import annotations

from visualization_msgs.msg import Marker, MarkerArray

from rsdfm_ros.evaluation.frames import Boxes
from rsdfm_ros.geometry.rotations import quaternion_from_yaw
from rsdfm_ros.nodes.convert import time_of

COLOURS = ((0.12, 0.47, 0.71), (0.20, 0.63, 0.17), (1.00, 0.50, 0.00), (0.89, 0.10, 0.11))
"""RGB per class: car, van, truck, bus."""


def box_markers(boxes: Boxes, *, ns: int, frame_id: str, agent: str) -> MarkerArray:
    """One translucent cube per box; the first marker removes those of the previous message."""
    wipe = Marker(action=Marker.DELETEALL, ns=agent)
    wipe.header.stamp, wipe.header.frame_id = time_of(ns), frame_id
    markers = [wipe]
    for row in range(len(boxes)):
        marker = Marker(type=Marker.CUBE, action=Marker.ADD, ns=agent, id=row)
        marker.header = wipe.header
        p, o, s, c = marker.pose.position, marker.pose.orientation, marker.scale, marker.color
        p.x, p.y, p.z = (float(v) for v in boxes.centres[row])
        o.x, o.y, o.z, o.w = (float(v) for v in quaternion_from_yaw(float(boxes.yaws[row])))
        s.x, s.y, s.z = (float(v) for v in boxes.sizes[row])
        c.r, c.g, c.b = COLOURS[int(boxes.classes[row]) % len(COLOURS)]
        c.a = 0.7
        markers.append(marker)
    return MarkerArray(markers=markers)
