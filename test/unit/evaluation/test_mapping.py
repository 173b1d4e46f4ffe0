"""Figures of the mapping against images of a painted world whose depth is known in closed form."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.metrics.mapping import FixedHeight, in_boxes, mapping_scores, true_points
from rsdfm_ros.geometry.camera import viewing_rays
from rsdfm_ros.geometry.ground import Ground, GroundPlane, points_at_heights, sloped_plane
from rsdfm_ros.model.perception import Perception
from support.cameras import oblique_camera, pixel_grid
from support.tiny_model import CONFIG, K

BOX = Objects(
    ids=np.array([1]),
    classes=np.array([0]),
    centres=np.array([[30.0, 8.0, 1.0]]),
    sizes=np.array([[200.0, 200.0, 2.0]]),
    yaws=np.array([0.4]),
    velocities=np.zeros((1, 2)),
    visibility=np.ones((1, 1)),
)
"""A table that fills the image: every pixel shows its top."""


class Oracle(Perception):
    """Says of every pixel what it is told to, instead of looking."""

    told: np.ndarray

    def bins_of(self, image: np.ndarray) -> np.ndarray:
        h, w = self.config.image_height // 2, self.config.image_width // 2
        return np.broadcast_to(self.told.astype(np.float32), (h, w, len(self.told)))


def oracle(told: np.ndarray, **changes: Any) -> Oracle:
    made = Oracle.random(dataclasses.replace(CONFIG, **changes))
    assert isinstance(made, Oracle)
    made.told = told
    return made


def table(ground: Ground, T: np.ndarray, height: float = 2.0) -> CameraView:
    """An image of a surface `height` over the ground."""
    rays = viewing_rays(pixel_grid(64, 96, 1), K, T)
    points, valid = points_at_heights(rays, T[:3, 3], [height], ground)
    depth = np.where(valid, (points - T[:3, 3]) @ T[:3, 2], 0.0)[..., 0]
    return CameraView("uav1", np.zeros((64, 96, 3), np.uint8), K, T, depth=depth.astype(np.float32))


def scores_of(
    perception: Perception, view: CameraView, ground: Ground, objects: Objects = BOX
) -> dict[str, Any]:
    frame = WorldFrame(0, 0, (view,), objects)
    return dict(mapping_scores({"x": perception}, [frame], ground)["x"].result())


def told(height: float, bins: tuple[float, ...] = CONFIG.heights_m) -> np.ndarray:
    """A distribution whose mean is a height."""
    k = int(np.searchsorted(bins, height)) - 1
    share = (height - bins[k]) / (bins[k + 1] - bins[k])
    out = np.zeros(len(bins) + 1)
    out[k], out[k + 1] = 1 - share, share
    return out


def test_the_true_height_gives_the_true_place_and_a_wrong_one_is_off_by_what_geometry_says() -> None:
    T = oblique_camera(40.0, 50.0)
    view = table(GroundPlane(), T)
    right = scores_of(oracle(told(2.0)), view, GroundPlane())
    assert right["height_mae_m"] < 1e-3 and right["object_pixels"] > 1000
    assert right["position_error_m"] < 1e-3
    low = scores_of(oracle(told(1.0)), view, GroundPlane())
    assert low["height_mae_m"] == pytest.approx(1.0, abs=1e-3)
    # 1 m of height along rays that fall by the tangent of 25° to 75°.
    assert 1 / np.tan(np.deg2rad(75)) < low["position_error_m"] < 1 / np.tan(np.deg2rad(25))


@pytest.mark.parametrize("ground", [GroundPlane(offset=20.0), sloped_plane((0.1, 0.05, 1.0), 3.0)])
def test_heights_count_from_the_ground_that_is_there(ground: Ground) -> None:
    T = oblique_camera(60.0, 50.0)
    T[2, 3] += float(ground.elevation(T[:2, 3]))
    objects = dataclasses.replace(BOX, sizes=np.array([[200.0, 200.0, 200.0]]))
    here = scores_of(oracle(told(2.0)).on_ground(ground), table(ground, T), ground, objects)
    assert here["height_mae_m"] < 5e-3 and here["position_error_m"] < 2e-2


def test_believing_in_a_fixed_height_misplaces_what_is_seen_from_another() -> None:
    view = table(GroundPlane(), oblique_camera(80.0, 50.0))
    perception = oracle(told(2.0))
    fixed = FixedHeight.of(perception, 50.0)
    figures = scores_of(perception, view, GroundPlane())["position_error_m"]
    assert figures < 1e-3 < 15.0 < scores_of_fixed(fixed, perception, view)
    same = FixedHeight.of(perception, 80.0)
    assert scores_of_fixed(same, perception, view) == pytest.approx(figures)


def scores_of_fixed(fixed: FixedHeight, like: Oracle, view: CameraView) -> float:
    fixed.bins_of = like.bins_of  # type: ignore[method-assign]
    return float(scores_of(fixed, view, GroundPlane())["position_error_m"])


def test_an_absolute_lift_is_judged_by_its_depths() -> None:
    T = oblique_camera(40.0, 89.9)  # straight down: the table is as deep everywhere
    depths = tuple(np.arange(20.0, 60.0, 2.0).tolist())
    perception = oracle(told(38.0, depths), lift="absolute", depths_m=depths)
    figures = scores_of(perception, table(GroundPlane(), T), GroundPlane())
    assert figures["height_mae_m"] < 0.1 and figures["position_error_m"] < 0.1


def test_what_is_thrown_away_is_not_mapped() -> None:
    nothing = np.zeros(len(CONFIG.heights_m) + 1)
    nothing[-1] = 1.0
    figures = scores_of(oracle(nothing), table(GroundPlane(), oblique_camera()), GroundPlane())
    assert figures["object_pixels_mapped"] == 0.0 and figures["position_error_m"] is None


def test_points_in_turned_boxes_are_found() -> None:
    box = dataclasses.replace(BOX, sizes=np.array([[4.0, 2.0, 1.5]]), yaws=np.array([np.pi / 2]))
    offsets = np.array([[0.9, 1.9, 0.7], [1.9, 0.0, 0.0], [0.0, 2.1, 0.0], [0.0, 2.2, 0.0], [0, 0, 1.0]])
    assert in_boxes(box.centres[0] + offsets, box).tolist() == [True, False, True, False, False]


def test_pictures_without_depth_are_refused() -> None:
    view = dataclasses.replace(table(GroundPlane(), oblique_camera()), depth=None)
    with pytest.raises(RsdfmError, match="--depth"):
        true_points(view, (32, 48))
