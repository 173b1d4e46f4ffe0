"""Our rotations against transforms3d, axis by axis, and against tf_transformations where that is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsdfm_ros.data.convert.airv2x import body_pose
from rsdfm_ros.data.griffin.files import read_pose
from rsdfm_ros.geometry.aerospace import enu_from_ned
from rsdfm_ros.geometry.rotations import (
    matrix_from_quaternion,
    matrix_from_wxyz,
    quaternion_from_matrix,
    quaternion_from_yaw,
    rotation_vector,
    transform,
    wxyz_from_matrix,
    yaw_from_quaternion,
)

transforms3d: Any = pytest.importorskip(
    "transforms3d", reason="`make setup` installs it (requirements/dev.txt)"
)

ANGLES = (-170.0, -90.0, -35.0, 0.0, 20.0, 89.0, 135.0)
AXES = np.eye(3)
RANDOM = np.random.default_rng(7).normal(size=(40, 4))


def xyzw(wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.roll(wxyz, -1)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("degrees", ANGLES)
def test_turns_about_one_axis(axis: int, degrees: float) -> None:
    angle = float(np.deg2rad(degrees))
    expected = transforms3d.axangles.axangle2mat(AXES[axis], angle)
    np.testing.assert_allclose(rotation_vector(AXES[axis] * angle), expected, atol=1e-12)
    q = transforms3d.quaternions.axangle2quat(AXES[axis], angle)
    np.testing.assert_allclose(matrix_from_wxyz(q), expected, atol=1e-12)
    np.testing.assert_allclose(matrix_from_quaternion(xyzw(q)), expected, atol=1e-12)
    if axis == 2:
        np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_yaw(angle)), expected, atol=1e-12)
        assert yaw_from_quaternion(xyzw(q)) == pytest.approx(angle, abs=1e-12)


def test_any_quaternion_and_back() -> None:
    for q in RANDOM:
        expected = transforms3d.quaternions.quat2mat(q)
        np.testing.assert_allclose(matrix_from_wxyz(q), expected, atol=1e-12)
        back = transforms3d.quaternions.mat2quat(expected)
        for found in (wxyz_from_matrix(expected), np.roll(quaternion_from_matrix(expected), 1)):
            np.testing.assert_allclose(found, back if back[0] >= 0 else -back, atol=1e-9)
        yaw = transforms3d.euler.quat2euler(q, "sxyz")[2]
        assert yaw_from_quaternion(xyzw(q)) == pytest.approx(yaw, abs=1e-9)


@pytest.mark.parametrize(
    "angles", [(10.0, 0.0, 0.0), (0.0, 25.0, 0.0), (0.0, 0.0, -70.0), (5.0, -12.0, 130.0)]
)
def test_angles_about_fixed_axes(angles: tuple[float, float, float], tmp_path: Path) -> None:
    roll, pitch, yaw = np.deg2rad(angles)
    path = tmp_path / "pose.json"
    path.write_text(
        json.dumps(dict(zip(("x", "y", "z", "roll", "pitch", "yaw"), (1, 2, 3, *angles), strict=True)))
    )
    fixed = transforms3d.euler.euler2mat(roll, pitch, yaw, "sxyz")
    np.testing.assert_allclose(
        read_pose(path), transforms3d.affines.compose([1, 2, 3], fixed, np.ones(3)), atol=1e-12
    )
    # CARLA: left-handed, so that pitch up and yaw clockwise are positive.
    carla = transforms3d.euler.euler2mat(roll, -pitch, -yaw, "sxyz")
    x, y, z = 1.0, 2.0, 3.0
    found = body_pose([x, y, z, angles[0], angles[2], angles[1]])
    np.testing.assert_allclose(found, transforms3d.affines.compose([x, -y, z], carla, np.ones(3)), atol=1e-12)


def test_aerospace_axes_axis_by_axis() -> None:
    """Heading from north, nose up and right wing down of NED are yaw from east, nose down and left wing up of ENU."""
    for roll, pitch, heading in ((20, 0, 0), (0, 15, 0), (0, 0, 60), (-10, 5, 200)):
        r, p, h = np.deg2rad([roll, pitch, heading])
        ned = transform(transforms3d.euler.euler2mat(r, p, h, "sxyz"), [1.0, 2.0, -3.0])
        enu = transforms3d.euler.euler2mat(r, -p, np.pi / 2 - h, "sxyz")
        np.testing.assert_allclose(enu_from_ned(ned)[:3, :3], enu, atol=1e-12)
        np.testing.assert_allclose(enu_from_ned(ned)[:3, 3], [2.0, 1.0, 3.0], atol=1e-12)


def test_the_same_as_tf_transformations() -> None:
    tf: Any = pytest.importorskip("tf_transformations", reason="it comes with a ROS installation")
    for q in RANDOM:
        unit = xyzw(q / np.linalg.norm(q))
        matrix = tf.quaternion_matrix(unit)
        np.testing.assert_allclose(matrix_from_quaternion(unit), matrix[:3, :3], atol=1e-9)
        back = np.asarray(tf.quaternion_from_matrix(matrix))
        np.testing.assert_allclose(
            quaternion_from_matrix(matrix[:3, :3]), back if back[3] >= 0 else -back, atol=1e-9
        )
        assert yaw_from_quaternion(unit) == pytest.approx(tf.euler_from_quaternion(unit)[2], abs=1e-9)
    for degrees in ANGLES:
        yaw = float(np.deg2rad(degrees))
        found = matrix_from_quaternion(tf.quaternion_from_euler(0.0, 0.0, yaw))
        np.testing.assert_allclose(found, matrix_from_quaternion(quaternion_from_yaw(yaw)), atol=1e-9)
