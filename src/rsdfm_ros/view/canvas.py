"""Drawing into a rerun recording: boxes, maps, lines, images and points of plots at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES as VEHICLES
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.boxes import bev_corners
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import quaternion_from_matrix, quaternion_from_yaw
from rsdfm_ros.view import maps
from rsdfm_ros.view.projection import box_lines
from rsdfm_ros.view.viewer import blueprint, require_rerun

Colour = tuple[int, ...]

DATES_FROM_NS = 10**17
"""Stamps from here on (1973) are dates, earlier ones mission time."""
JPEG_QUALITY = 85
IMAGE_PLANE_M = 8.0
"""Distance between a camera and its image plane in the 3D view."""
PATH_HEIGHT_M = 0.3
CLASS_COLOURS: tuple[Colour, ...] = ((31, 119, 180), (51, 160, 44), (255, 127, 0), (227, 26, 28))
"""RGB per class: car, van, truck, bus."""
TRUTH_COLOUR: Colour = (120, 178, 255)
PATH_COLOUR: Colour = (240, 228, 66)
STILL_COLOURS: dict[str, Colour] = {"roads": (70, 78, 90), "buildings": (120, 130, 146)}


@dataclass(frozen=True)
class Placement:
    """A camera as in CameraView, without its image; size: (height, width)."""

    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    size: tuple[int, int]


class Canvas:
    """A recording with a clock. Entities are named by paths such as /map/uav1/boxes."""

    def __init__(self, recording: Any) -> None:
        self._rr, self._out = require_rerun(), recording
        self._dates: bool | None = None

    def at(self, ns: int) -> None:
        """Draw at this stamp from now on."""
        if self._dates is None:
            self._dates = ns >= DATES_FROM_NS
        if self._dates:
            self._out.set_time("stamp", timestamp=np.datetime64(ns, "ns"))
        else:
            self._out.set_time("stamp", duration=np.timedelta64(ns, "ns"))

    def arrange(
        self,
        agents: Sequence[str],
        cameras: Sequence[tuple[str, str]],
        window: Window | None,
        contributing: Collection[str],
        covered: bool,
    ) -> None:
        """Names and colours of everything, and the views; arguments as in `blueprint`."""
        rr = self._rr
        classes = dict(maps.CLASSES)
        for number, agent in enumerate(agents):
            colour = maps.uav_colour(number)
            classes[maps.uav_class(number)] = (agent, colour)
            for plot in ("bytes", "latency_ms"):
                self.log(
                    f"/plots/{plot}/{agent}", rr.SeriesLines(colors=[colour], names=[agent]), static=True
                )
            for variant, width in (("collaborative", 2.0), ("single", 0.7)):
                name = f"{agent} {variant}"
                lines = rr.SeriesLines(colors=[colour], names=[name], widths=[width])
                self.log(f"/plots/iou/{name}", lines, static=True)
        context = [rr.AnnotationInfo(id=i, label=n, color=c) for i, (n, c) in classes.items()]
        self.log("/bev", rr.AnnotationContext(context), static=True)
        self.log("/map", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        # Colours go by the order of appearance, views by name, uav2 before uav10.
        by_name = sorted(agents, key=lambda name: (len(name), name))
        self._out.send_blueprint(blueprint(by_name, cameras, window, contributing, covered))

    def camera(self, path: str, view: CameraView) -> None:
        """An image where it was taken."""
        rr, T = self._rr, view.T_map_camera
        height, width = view.image.shape[:2]
        self.log(path, rr.Transform3D(translation=T[:3, 3], quaternion=quaternion_from_matrix(T[:3, :3])))
        pinhole = rr.Pinhole(
            image_from_camera=view.K,
            resolution=[width, height],
            camera_xyz=rr.ViewCoordinates.RDF,
            image_plane_distance=IMAGE_PLANE_M,
        )
        self.log(path, pinhole)
        self.log(f"{path}/image", rr.Image(view.image).compress(jpeg_quality=JPEG_QUALITY))

    def projected(self, path: str, placement: Placement, boxes: Boxes, colour: Colour | None) -> None:
        """Boxes in an image; by class without a colour."""
        lines, rows = box_lines(boxes, placement.K, placement.T_map_camera, placement.size)
        colours = [colour] if colour is not None else [class_colour(boxes.classes[r]) for r in rows]
        width = -0.6 if colour is not None else -1.2  # negative: in points of the screen
        self.log(path, self._rr.LineStrips2D(lines, colors=colours, radii=[width]))

    def solid(self, path: str, boxes: Boxes, colour: Colour | None, labels: Sequence[str]) -> None:
        """Boxes in 3D; by class without a colour."""
        turns = np.array([quaternion_from_yaw(float(y)) for y in boxes.yaws]).reshape(-1, 4)
        archetype = self._rr.Boxes3D(
            centers=boxes.centres,
            sizes=boxes.sizes,
            quaternions=turns,
            colors=[colour or class_colour(c) for c in boxes.classes],
            labels=list(labels),
            show_labels=False,
        )
        self.log(path, archetype)

    def flat(self, path: str, boxes: Boxes, window: Window, colour: Colour | None = None) -> None:
        """Boxes on a map, with a line from the middle to the front; by class without a colour."""
        corners = bev_corners(boxes.centres, boxes.sizes, boxes.yaws)
        front = (corners[:, :1] + corners[:, 3:]) / 2
        middle = np.asarray(boxes.centres, dtype=np.float64).reshape(-1, 3)[:, None, :2]
        ring = np.concatenate([corners, corners[:, :1], front, middle], axis=1)
        colours = [colour or class_colour(c) for c in boxes.classes]
        self.log(path, self._rr.LineStrips2D(maps.pixels(ring, window), colors=colours, radii=[-0.8]))

    def map(self, path: str, classes: NDArray[np.uint8], window: Window | None) -> None:
        """A map of classes (ni, nj), drawn as large as `window`."""
        if window is not None and classes.shape != window.shape:
            # On the larger cells of the features: as many pixels as the other maps, so that they lie on each other.
            factor = max(1, window.ni // classes.shape[0])
            classes = np.repeat(np.repeat(classes, factor, axis=0), factor, axis=1)
        self.log(path, self._rr.SegmentationImage(maps.north_up(classes), draw_order=-10.0))

    def flat_paths(self, path: str, positions: NDArray[np.float64], window: Window) -> None:
        """Trajectories (N, K, 2) on a map."""
        strips = maps.pixels(positions, window)
        self.log(path, self._rr.LineStrips2D(strips, colors=[PATH_COLOUR], radii=[-0.8]))

    def solid_paths(self, path: str, positions: NDArray[np.float64], labels: Sequence[str]) -> None:
        """Trajectories (N, K, 2) above the ground."""
        heights = np.full((*positions.shape[:2], 1), PATH_HEIGHT_M)
        solid = np.concatenate([positions, heights], axis=2)
        lines = self._rr.LineStrips3D(solid, colors=[PATH_COLOUR], labels=list(labels), show_labels=False)
        self.log(path, lines)

    def track(self, path: str, points: NDArray[np.float64], colour: Colour) -> None:
        """Past positions of a camera: points (N, 3)."""
        self.log(path, self._rr.LineStrips3D([points], colors=[colour], radii=[-1.0]))

    def still(
        self, name: str, polygons: Sequence[Sequence[tuple[float, float]]], window: Window | None
    ) -> None:
        """Polygons of the static scene, `roads` or `buildings`, on the ground and on the map."""
        closed = [np.array([*p, p[0]], dtype=np.float64) for p in polygons if len(p)]
        colours = [STILL_COLOURS[name]]
        solid = [np.column_stack([p, np.zeros(len(p))]) for p in closed]
        self.log(f"/map/{name}", self._rr.LineStrips3D(solid, colors=colours), static=True)
        if window is not None:
            flat = [maps.pixels(p, window) for p in closed]
            lines = self._rr.LineStrips2D(flat, colors=colours, draw_order=-5.0)
            self.log(f"/bev/still/{name}", lines, static=True)

    def point(self, path: str, value: float) -> None:
        """A point of a plot."""
        self.log(path, self._rr.Scalars(float(value)))

    def log(self, path: str, archetype: Any, *, static: bool = False) -> None:
        """Any archetype. Every part of the path is taken literally."""
        self._out.log([p for p in path.split("/") if p], archetype, static=static)


def class_name(number: int) -> str:
    """Name of a class of vehicles."""
    return VEHICLES[int(number)] if 0 <= int(number) < len(VEHICLES) else f"class {number}"


def class_colour(number: int) -> Colour:
    """RGB of a class of vehicles."""
    return CLASS_COLOURS[int(number) % len(CLASS_COLOURS)]
