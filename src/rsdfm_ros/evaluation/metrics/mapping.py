"""Accuracy of the mapping: heights of pixels and places of the pixels of objects, against recorded depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.metrics.accumulator import Result
from rsdfm_ros.geometry.camera import viewing_rays
from rsdfm_ros.geometry.ground import Ground, GroundPlane, points_at_heights
from rsdfm_ros.model.perception import AgentBev, Perception

Array = NDArray[np.float64]

BOX_MARGIN_M = 0.15
"""A pixel shows an object when its point lies in the object's box, this much wider and higher; and above the ground."""
LEAST_HEIGHT_M = 0.2
LEAST_MASS = 0.05
"""Pixels of which less of the probability lies on the map have no position."""


class FixedHeight(Perception):
    """A model that assumes one height over level ground for every camera, as some methods do."""

    camera_height_m: float

    @classmethod
    def of(cls, perception: Perception, camera_height_m: float) -> FixedHeight:
        """The same weights with that assumption."""
        other = cls.__new__(cls)
        other.__dict__.update(perception.__dict__)
        other.camera_height_m = camera_height_m
        return other

    def believed_ground(self, T_map_camera: Array) -> GroundPlane:
        """The ground below a camera at the fixed height."""
        return GroundPlane(offset=float(T_map_camera[2, 3]) - self.camera_height_m)

    def perceive(
        self,
        image: NDArray[np.uint8],
        K: Array,
        T_map_camera: Array,
        covariance: Array | None = None,
        ground_height_m: float | None = None,
    ) -> AgentBev:
        """As Perception.perceive, over the assumed ground."""
        believed = self.believed_ground(np.asarray(T_map_camera)).offset
        return super().perceive(image, K, T_map_camera, covariance, believed)


@dataclass
class MappingScore:
    """Errors of all pixels so far: heights m of pixels below the top bin, and positions m of pixels of objects."""

    height_m: list[Array] = field(default_factory=list)
    position_m: list[Array] = field(default_factory=list)
    on_map: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, perception: Perception, view: CameraView, objects: Objects, ground: Ground) -> None:
        """Count the pixels of an image. ground: the true one. Raises: RsdfmError for an image without depth."""
        places, heights, mass = expected_places(perception, view)
        points, known = true_points(view, mass.shape)
        height = ground.height(points)
        shown = known & (height <= max(perception.config.heights_m))
        on_map = mass > LEAST_MASS
        picked = shown & on_map
        # Heights are those above the assumed ground, even where it is wrong.
        estimate = ground.height(places) if perception.config.lift == "absolute" else heights
        self.height_m.append(np.abs(estimate - height.clip(0.0))[picked])
        vehicle = shown & (height > LEAST_HEIGHT_M) & in_boxes(points, objects)
        self.on_map.append(on_map[vehicle])
        vehicle &= on_map
        self.position_m.append(np.linalg.norm((places - points)[vehicle][:, :2], axis=-1))

    def merge(self, other: MappingScore) -> None:
        """Add what another score counted."""
        self.height_m += other.height_m
        self.position_m += other.position_m
        self.on_map += other.on_map

    def result(self) -> Result:
        """Mean absolute error of heights; mean, median, 90th percentile of positions; None where nothing was seen."""
        heights, positions, on_map = (
            np.concatenate([np.zeros(0), *parts]) for parts in (self.height_m, self.position_m, self.on_map)
        )
        return {
            "height_mae_m": float(heights.mean()) if len(heights) else None,
            "position_error_m": float(positions.mean()) if len(positions) else None,
            "position_median_m": float(np.median(positions)) if len(positions) else None,
            "position_p90_m": float(np.percentile(positions, 90)) if len(positions) else None,
            "object_pixels": len(on_map),
            "object_pixels_mapped": float(on_map.mean()) if len(on_map) else None,
        }


def mapping_scores(
    variants: dict[str, Perception], frames: Iterable[WorldFrame], ground: Ground, limit_m: float = 64.0
) -> dict[str, MappingScore]:
    """Scores of models, or of one model with several assumed grounds, over all images of frames with depth.

    ground: the true one · limit_m: objects farther from the origin, in x or y, do not count.
    """
    scores = {name: MappingScore() for name in variants}
    for frame in frames:
        near = (np.abs(frame.objects.centres[:, :2]) <= limit_m).all(axis=1)
        objects = frame.objects.select(near)
        for view in frame.views:
            for name, perception in variants.items():
                scores[name].add(perception, view, objects, ground)
    return scores


def expected_places(perception: Perception, view: CameraView) -> tuple[Array, Array, Array]:
    """Of every pixel of the encoder's output, under its distribution over bins: the mean place (h, w, 3) in the map
    frame, the mean bin (h, w), and the share of the distribution (h, w) that lies on the map.

    As in `true_points`, a pixel of the output is the pixel of the image nearest to it: the figures measure errors of
    heights and of the ground, not the spacing of pixels.
    """
    config, bins = perception.config, perception.bins_of(view.image)[..., :-1].astype(np.float64)
    rays, centre = _nearest(view, bins.shape[:2])[2], view.T_map_camera[:3, 3]
    if config.lift == "absolute":
        depths = np.asarray(config.bins)
        points = centre + depths[:, None] * rays[..., None, :]
        valid = np.broadcast_to(depths <= config.max_depth_m, bins.shape)
    else:
        fixed = isinstance(perception, FixedHeight)
        ground = perception.believed_ground(view.T_map_camera) if fixed else perception.ground
        points, valid = points_at_heights(rays, centre, config.bins, ground, max_depth_m=config.max_depth_m)
    weights = bins * valid
    mass = weights.sum(axis=-1)
    shares = weights / np.maximum(mass, 1e-9)[..., None]
    return (shares[..., None] * points).sum(axis=-2), shares @ np.asarray(config.bins), mass


def true_points(view: CameraView, size: tuple[int, ...]) -> tuple[Array, NDArray[np.bool_]]:
    """True points of a grid of `size` = (h, w) over the image, from the recorded pixels nearest to it: points (h, w, 3)
    in the map frame, and a mask of the known ones. Raises: RsdfmError for an image without depth."""
    if view.depth is None:
        raise RsdfmError("the mapping is scored with depth, which these images lack: simulate with --depth")
    v, u, rays = _nearest(view, size)
    depth = view.depth[np.ix_(v, u)].astype(np.float64)
    return view.T_map_camera[:3, 3] + depth[..., None] * rays, depth > 0


def in_boxes(points: Array, objects: Objects) -> NDArray[np.bool_]:
    """Mask of the points (..., 3) in the box of any object, BOX_MARGIN_M wider."""
    inside = np.zeros(points.shape[:-1], bool)
    for centre, size, yaw in zip(objects.centres, objects.sizes, objects.yaws, strict=True):
        offset = points - centre
        c, s = np.cos(yaw), np.sin(yaw)
        along, across = c * offset[..., 0] + s * offset[..., 1], c * offset[..., 1] - s * offset[..., 0]
        local = np.abs(np.stack([along, across, offset[..., 2]], axis=-1))
        inside |= (local <= size / 2 + BOX_MARGIN_M).all(axis=-1)
    return inside


def _nearest(view: CameraView, size: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Rows (h,) and columns (w,) of the pixels nearest to a grid of (h, w) over an image, and their rays (h, w, 3)."""
    rows, columns = view.image.shape[:2]
    v = ((np.arange(size[0]) + 0.5) * rows / size[0]).astype(np.intp)
    u = ((np.arange(size[1]) + 0.5) * columns / size[1]).astype(np.intp)
    return v, u, viewing_rays(np.stack(np.meshgrid(u + 0.5, v + 0.5), axis=-1), view.K, view.T_map_camera)
