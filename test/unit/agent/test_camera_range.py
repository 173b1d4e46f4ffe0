"""What weights were trained with, from their manifest, against how a camera looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.agent.camera_range import (
    CameraRange,
    CameraUse,
    camera_range_of,
    ranges_over,
    unlike,
    use_of,
)
from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.model.manifest import ManifestError
from support import public_sets as sets

TRAINED = CameraRange(pitch_deg=(30.0, 70.0), altitude_m=(25.0, 100.0), fov_deg=(45.0, 95.0))


def pose(pitch_deg: float, z: float) -> np.ndarray:
    """A camera that looks north and down."""
    a = np.deg2rad(pitch_deg)
    T = np.eye(4)
    T[:3, 0], T[:3, 1], T[:3, 2] = [1, 0, 0], [0, -np.sin(a), -np.cos(a)], [0, np.cos(a), -np.sin(a)]
    T[:3, 3] = [7.0, -3.0, z]
    return T


@pytest.mark.parametrize("pitch_deg", [0.0, 45.0, 90.0, -10.0])
def test_pitch_altitude_and_field_of_view_are_those_of_the_camera(pitch_deg: float) -> None:
    K = np.array([[320.0, 0, 320.0], [0, 320.0, 180.0], [0, 0, 1]])
    use = use_of(K, 640, pose(pitch_deg, 62.0), GroundPlane(offset=12.0))
    assert use.pitch_deg == pytest.approx(pitch_deg) and use.altitude_m == pytest.approx(50.0)
    assert use.fov_deg == pytest.approx(90.0)


def test_the_manifest_says_what_the_weights_were_trained_with() -> None:
    cameras = {"pitch_deg": [30, 70], "altitude_m": [25.0, 100.0], "fov_deg": [45.0, 95.0]}
    assert camera_range_of({"training": {"cameras": cameras}}) == TRAINED
    assert camera_range_of({"training": {"cameras": {"pitch_deg": [30, 70]}}}).altitude_m is None
    assert camera_range_of({}) == camera_range_of({"training": {"data": {}}}) == CameraRange()


@pytest.mark.parametrize(
    "cameras",
    [
        [30, 70],
        {"yaw_deg": [0, 1]},
        {"pitch_deg": 45},
        {"pitch_deg": [70, 30]},
        {"pitch_deg": [float("nan"), 70]},
        {"pitch_deg": ["low", "high"]},
        {"fov_deg": [True, 90]},
        {"fov_deg": [1, 2, 3]},
    ],
)
def test_ranges_that_are_none_are_refused(cameras: Any) -> None:
    with pytest.raises(ManifestError, match=r"training\.cameras"):
        camera_range_of({"training": {"cameras": cameras}})


def test_everything_outside_of_the_training_is_told_and_nothing_within() -> None:
    assert list(unlike(CameraUse(45.0, 60.0, 75.0), TRAINED)) == []
    assert list(unlike(CameraUse(71.5, 24.0, 96.0), TRAINED)) == [], "flights vary a little"
    assert list(unlike(CameraUse(90.0, 8.0, 120.0), TRAINED)) == [
        "the camera looks 90° below the horizon, the weights were trained with 30 to 70°",
        "the camera is 8 m above the ground, the weights were trained with 25 to 100 m",
        "the lens has 120°, the weights were trained with 45 to 95°",
    ]
    assert list(unlike(CameraUse(90.0, 8.0, 120.0), CameraRange())) == []


def test_training_notes_the_cameras_of_its_data(tmp_path: Path) -> None:
    data = open_dataset(sets.write_air_co_pred(tmp_path, frames=2, scenes=("scene-0-9",)))
    found = ranges_over(data)
    noted = camera_range_of({"training": {"cameras": found}})
    for k in range(2):
        for images in data.images(0, k):
            for image in images:
                use = use_of(image.K, image.size[1], image.T_map_camera, GroundPlane())
                assert not list(unlike(use, noted))
    assert noted.fov_deg is not None and 20 < noted.fov_deg[0] <= noted.fov_deg[1] < 150
