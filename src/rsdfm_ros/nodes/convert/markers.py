"""Boxes and trajectories as markers for RViz and Foxglove.

Namespaces can be switched on and off one by one: `boxes/<class>`, `heading/<class>`, `velocity`, `labels` on `markers`;
`paths`, `path_ids` on `paths`. A marker keeps its namespace and id while its object exists, so that viewers move it in
place; markers of lost objects are deleted one by one, so that nothing flickers. The lifetime removes the markers of a
UAV that has ended.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.data.messages.stamps import NS
from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.geometry.rotations import quaternion_from_yaw
from rsdfm_ros.nodes.convert.sensors import time_of

Colour = tuple[float, float, float]

COLOURS: tuple[Colour, ...] = (
    (0.12, 0.47, 0.71),
    (0.20, 0.63, 0.17),
    (1.00, 0.50, 0.00),
    (0.89, 0.10, 0.11),
)
"""RGB per class: car, van, truck, bus."""
PATH_COLOURS: tuple[Colour, ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.80, 0.47, 0.65),
    (0.84, 0.37, 0.00),
)
"""RGB of trajectories, by id: neighbours differ for colour-blind people too."""
MOVING_M_S = 0.5
"""Slower objects get no velocity arrow."""
PATH_HEIGHT_M = 0.3
"""Height of paths, so that the ground does not hide them."""


class MarkerSet:
    """Markers of one publisher: every message deletes the markers of the one before that it does not contain."""

    def __init__(self, frame_id: str) -> None:
        self._frame_id = frame_id
        self._shown: dict[tuple[str, int], Marker] = {}

    def update(self, markers: Iterable[Marker], ns: int, lifetime_s: float) -> MarkerArray:
        """The message that shows exactly `markers`, at stamp ns. lifetime_s: 0 for ever."""
        stamp, lifetime = time_of(ns), _duration(lifetime_s)
        shown: dict[tuple[str, int], Marker] = {}
        for marker in markers:
            marker.header.stamp, marker.header.frame_id = stamp, self._frame_id
            marker.lifetime = lifetime
            shown[marker.ns, marker.id] = marker
        gone = []
        for name, number in self._shown.keys() - shown.keys():
            marker = Marker(ns=name, id=number, action=Marker.DELETE)
            marker.header.stamp, marker.header.frame_id = stamp, self._frame_id
            gone.append(marker)
        self._shown = shown
        return MarkerArray(markers=[*gone, *shown.values()])


def box_markers(boxes: Boxes) -> list[Marker]:
    """Per box a translucent cube, a line from its middle to its front, class, id and score, and an arrow of the
    coming second if it moves. All of them are tracked."""
    assert boxes.ids is not None
    markers = []
    for row in range(len(boxes)):
        number = int(boxes.classes[row])
        name, colour = class_name(number), COLOURS[number % len(COLOURS)]
        identity = int(boxes.ids[row])
        centre, size, yaw = boxes.centres[row], boxes.sizes[row], float(boxes.yaws[row])
        cube = _marker(Marker.CUBE, f"boxes/{name}", identity, colour, 0.6)
        p, o, s = cube.pose.position, cube.pose.orientation, cube.scale
        p.x, p.y, p.z = (float(v) for v in centre)
        o.x, o.y, o.z, o.w = (float(v) for v in quaternion_from_yaw(yaw))
        s.x, s.y, s.z = (float(v) for v in size)
        top = float(centre[2] + size[2] / 2) + 0.05
        ahead = np.array([np.cos(yaw), np.sin(yaw)]) * (0.5 * size[0] + 0.8)
        heading = _marker(Marker.LINE_STRIP, f"heading/{name}", identity, colour, 1.0, width_m=0.25)
        heading.points = [_point(centre[:2], top), _point(centre[:2] + ahead, top)]
        text = _marker(Marker.TEXT_VIEW_FACING, "labels", identity, (1.0, 1.0, 1.0), 1.0)
        text.pose.position = _point(centre[:2], top + 1.5)
        text.scale.z, text.text = 1.6, f"{name} #{identity} {float(boxes.scores[row]):.2f}"
        markers += [cube, heading, text]
        velocity = boxes.velocities[row]
        if float(np.hypot(*velocity)) >= MOVING_M_S:
            arrow = _marker(Marker.ARROW, "velocity", identity, (1.0, 1.0, 1.0), 0.9, width_m=0.3)
            arrow.scale.y = 0.8  # of the head; its length follows
            arrow.points = [_point(centre[:2], top), _point(centre[:2] + velocity, top)]
            markers.append(arrow)
    return markers


def path_markers(tracks: Tracks) -> list[Marker]:
    """Per trajectory a line over its positions, and its id and score at the end of it."""
    markers = []
    for row, number in enumerate(int(i) for i in tracks.ids):
        colour = PATH_COLOURS[number % len(PATH_COLOURS)]
        line = _marker(Marker.LINE_STRIP, "paths", number, colour, 1.0, width_m=0.3)
        line.points = [_point(p, PATH_HEIGHT_M) for p in tracks.positions[row]]
        text = _marker(Marker.TEXT_VIEW_FACING, "path_ids", number, colour, 1.0)
        text.pose.position = _point(tracks.positions[row][-1], 2.5)
        text.scale.z, text.text = 1.4, f"#{number} {float(tracks.scores[row]):.2f}"
        markers += [line, text]
    return markers


def class_name(number: int) -> str:
    """Name of a class."""
    return CLASSES[number] if 0 <= number < len(CLASSES) else f"class{number}"


def _marker(kind: int, ns: str, number: int, colour: Colour, alpha: float, width_m: float = 0.0) -> Marker:
    marker = Marker(type=kind, action=Marker.ADD, ns=ns, id=number)
    marker.pose.orientation.w = 1.0
    marker.color.r, marker.color.g, marker.color.b = colour
    marker.color.a, marker.scale.x = alpha, width_m
    return marker


def _point(xy: np.ndarray, z: float) -> Point:
    return Point(x=float(xy[0]), y=float(xy[1]), z=float(z))


def _duration(seconds: float) -> Duration:
    ns = round(seconds * NS)
    return Duration(sec=ns // NS, nanosec=ns % NS)
