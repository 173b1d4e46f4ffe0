"""Aerospace axes, covariances and interpolation against independent libraries and numeric differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from rsdfm_ros.geometry import aerospace
from rsdfm_ros.geometry.rotations import rotation_vector
from rsdfm_ros.geometry.rotations import transform as rigid
from rsdfm_ros.geometry.uncertainty import (
    covariance_in_parent,
    covariance_of_child,
    interpolate,
    rotation_logarithm,
)
from support.random_poses import random_covariance, random_pose, wxyz


def test_aerospace_axes_in_words() -> None:
    """Nose north and level, ten metres up, three east: in ENU that is a yaw of 90° at (3, 0, 10)."""
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([0.0, 3.0, -10.0], [1.0, 0, 0, 0]))
    np.testing.assert_allclose(T[:3, 3], [3, 0, 10])
    np.testing.assert_allclose(T[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # forward is north
    np.testing.assert_allclose(T[:3, :3] @ [0, 1, 0], [-1, 0, 0], atol=1e-12)  # left is west
    np.testing.assert_allclose(T[:3, :3] @ [0, 0, 1], [0, 0, 1], atol=1e-12)
    # Nose up by 20° in NED is nose up in ENU too.
    up = wxyz(Rotation.from_euler("ZYX", [0, 20, 0], degrees=True))
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([0, 0, 0], up))
    np.testing.assert_allclose(T[:3, 0], [0, np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))], atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_attitudes_agree_with_euler_angles_by_an_independent_library(seed: int) -> None:
    """NED yaw is clockwise from north, ENU yaw counter-clockwise from east; pitch changes sign, roll stays."""
    yaw, pitch, roll = np.random.default_rng(seed).uniform([-180, -80, -180], [180, 80, 180])
    ned = Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True)
    enu = Rotation.from_euler("ZYX", [90 - yaw, -pitch, roll], degrees=True)
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([1, 2, 3], wxyz(ned)))
    np.testing.assert_allclose(T[:3, :3], enu.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(T[:3, 3], [2, 1, -3])
    np.testing.assert_allclose(
        aerospace.enu_from_ned(T),
        aerospace.pose_from_px4([1, 2, 3], wxyz(ned)),
        atol=1e-9,
    )
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)


def test_px4_variances_turn_with_the_axes() -> None:
    """Against samples: errors drawn in PX4's frames and converted pose by pose have the converted covariance."""
    ned = Rotation.from_euler("ZYX", [70, 15, -30], degrees=True)
    position, rotation = np.array([0.04, 0.01, 0.09]), np.array([1e-4, 4e-4, 9e-4])
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([5, 6, -7], wxyz(ned)))
    got = aerospace.covariance_from_px4(position, rotation, T, aerospace.R_ENU_NED)
    rng, errors = np.random.default_rng(0), []
    for _ in range(20_000):
        body = Rotation.from_rotvec(rng.normal(0, np.sqrt(rotation)))  # about FRD body axes
        p = np.array([5, 6, -7]) + rng.normal(0, np.sqrt(position))
        noisy = aerospace.enu_from_ned(aerospace.pose_from_px4(p, wxyz(ned * body)))
        turn = Rotation.from_matrix(noisy[:3, :3] @ T[:3, :3].T).as_rotvec()  # about ENU axes
        errors.append(np.concatenate([noisy[:3, 3] - T[:3, 3], turn]))
    scale = np.sqrt(np.outer(np.diag(got), np.diag(got)))
    np.testing.assert_allclose(np.cov(np.array(errors).T) / scale, got / scale, atol=0.03)


def error_between(T: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    return np.concatenate([noisy[:3, 3] - T[:3, 3], rotation_logarithm(noisy[:3, :3] @ T[:3, :3].T)])


def disturbed(T: np.ndarray, error: np.ndarray) -> np.ndarray:
    return rigid(rotation_vector(error[3:]) @ T[:3, :3], T[:3, 3] + error[:3])


@pytest.mark.parametrize("seed", range(5))
def test_the_covariance_of_the_camera_agrees_with_numeric_differentiation(seed: int) -> None:
    T_map_body, T_body_camera, covariance = random_pose(), random_pose(2.0), random_covariance()
    T_map_camera, step = T_map_body @ T_body_camera, 1e-6
    J = np.stack(
        [
            (
                error_between(T_map_camera, disturbed(T_map_body, step * e) @ T_body_camera)
                - error_between(T_map_camera, disturbed(T_map_body, -step * e) @ T_body_camera)
            )
            / (2 * step)
            for e in np.eye(6)
        ],
        axis=1,
    )
    got = covariance_of_child(T_map_body, covariance, T_body_camera)
    np.testing.assert_allclose(got, J @ covariance @ J.T, atol=1e-7)
    assert not np.allclose(got, covariance)


def test_a_camera_at_the_origin_of_the_body_has_its_covariance() -> None:
    covariance = random_covariance()
    turned = rigid(Rotation.from_euler("x", 40, degrees=True).as_matrix(), [0, 0, 0])
    assert covariance_of_child(random_pose(), covariance, turned) is covariance


def test_covariance_turns_with_the_axes_of_its_parent() -> None:
    T_map_odom, T_odom_body, covariance = random_pose(), random_pose(), random_covariance()
    got, rng = covariance_in_parent(T_map_odom, covariance), np.random.default_rng(1)
    L = np.linalg.cholesky(1e-6 * covariance)
    errors = [
        error_between(T_map_odom @ T_odom_body, T_map_odom @ disturbed(T_odom_body, L @ rng.normal(size=6)))
        for _ in range(20_000)
    ]
    np.testing.assert_allclose(np.cov(np.array(errors).T) * 1e6, got, atol=0.05 * np.abs(got).max())


def test_interpolation_agrees_with_scipy() -> None:
    for _ in range(10):
        a, b = random_pose(), random_pose()
        slerp = Slerp([0, 1], Rotation.from_matrix([a[:3, :3], b[:3, :3]]))
        for share in (0.0, 0.1, 0.5, 0.93, 1.0):
            T = interpolate(a, b, share)
            np.testing.assert_allclose(T[:3, :3], slerp(share).as_matrix(), atol=1e-9)
            np.testing.assert_allclose(T[:3, 3], (1 - share) * a[:3, 3] + share * b[:3, 3])
