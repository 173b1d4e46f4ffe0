"""The ground of a scene in evaluation, where the map does not begin at the origin of the tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros.data.description import FILE_NAME
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.nuscenes import SceneWriter, merge
from rsdfm_ros.data.presets import PRESETS
from rsdfm_ros.evaluation.scenes import open_scenes
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform

WORLD_XY = np.array([500.0, -300.0])
"""Places of the vehicles in the world of the tables."""
BASE_M = 120.0
FRAMES = 7


def hill() -> HeightGrid:
    """A slope along x and y, 120 m up, over ±60 m around the vehicles."""
    i, j = np.meshgrid(np.arange(61), np.arange(61), indexing="ij")
    heights = (BASE_M + 0.1 * (i - 30) - 0.2 * (j - 30)).astype(np.float32)
    return HeightGrid(heights, WORLD_XY[0] - 60.0, WORLD_XY[1] - 60.0, 2.0)


def frame(k: int) -> WorldFrame:
    """Vehicles that stand on the hill, and a camera above them."""
    xy = WORLD_XY + np.array([[-30.0, 5.0], [10.0 + k, 20.0], [25.0, -40.0]])
    sizes = np.tile([4.5, 1.9, 1.6], (3, 1))
    z = hill().elevation(xy) + sizes[:, 2] / 2
    objects = Objects(
        np.array([1, 2, 3]),
        np.zeros(3, np.int64),
        np.column_stack([xy, z]),
        sizes,
        np.zeros(3),
        np.zeros((3, 2)),
        np.ones((3, 1)),
    )
    T = transform(R_BODY_OPTICAL, [*WORLD_XY, BASE_M + 50.0])
    image = np.zeros((24, 32, 3), np.uint8)
    view = CameraView("uav1", image, intrinsics_from_fov(32, 24, 1.3), T)
    return WorldFrame(k, k * 500_000_000, (view,), objects)


@pytest.mark.parametrize("origin", ["world", "cameras", (480.0, -290.0)])
@pytest.mark.parametrize("ground", [0.0, BASE_M, "boxes"])
def test_objects_stand_on_the_ground_of_their_scene_wherever_its_map_begins(
    tmp_path: Path, origin: str | tuple[float, float], ground: float | str
) -> None:
    writer = SceneWriter(tmp_path, "scene-hill", dem=hill())
    for k in range(FRAMES):
        writer.add(frame(k))
    writer.finish()
    merge(tmp_path)
    description = dataclasses.replace(PRESETS["nuscenes"], origin=origin, ground_height_m=ground)
    (tmp_path / FILE_NAME).write_text(description.to_yaml())
    (scene,) = open_scenes(tmp_path, 1)
    found = scene.ground()
    assert found is not None
    objects = scene.objects(3)
    bottoms = objects.centres[:, 2] - objects.sizes[:, 2] / 2
    np.testing.assert_allclose(found.elevation(objects.centres[:, :2]), bottoms, atol=1e-3)
