"""Cameras, rotations, the ground prior and the lattice against OpenCV, SciPy and finite differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rsdfm_ros.geometry.camera import intrinsics_from_fov, project, scaled_intrinsics, viewing_rays
from rsdfm_ros.geometry.ground import GroundPlane, points_at_heights, position_sigma
from rsdfm_ros.geometry.lattice import Window, WindowError, square_window
from rsdfm_ros.geometry.rotations import (
    inverse,
    is_rigid,
    matrix_from_quaternion,
    quaternion_from_matrix,
    quaternion_from_yaw,
    rotation_vector,
    wrap_angle,
    yaw_from_quaternion,
)
from support.cameras import oblique_camera, pixel_grid

angles = st.floats(-3.1, 3.1)


@given(angles, angles, angles)
def test_quaternions_agree_with_scipy(a: float, b: float, c: float) -> None:
    reference = Rotation.from_euler("xyz", [a, b, c])
    R = reference.as_matrix()
    q = quaternion_from_matrix(R)
    expected = reference.as_quat(canonical=True)
    assert np.allclose(q, expected, atol=1e-9) or np.allclose(q, -expected, atol=1e-9)
    assert np.allclose(matrix_from_quaternion(expected * 3.0), R, atol=1e-12)
    assert np.allclose(rotation_vector(reference.as_rotvec()), R, atol=1e-9)


@given(st.floats(-20, 20))
def test_yaw_survives_the_quaternion(yaw: float) -> None:
    assert np.isclose(np.cos(yaw_from_quaternion(quaternion_from_yaw(yaw)) - yaw), 1.0)
    assert -np.pi <= wrap_angle(yaw) < np.pi


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [1, 2, 3]])
def test_a_quaternion_without_direction_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="quaternion"):
        matrix_from_quaternion(bad)


def test_only_rigid_transforms_are_rigid() -> None:
    T = oblique_camera()
    assert is_rigid(T)
    assert np.allclose(inverse(T) @ T, np.eye(4))
    for broken in (T * 1.1, np.diag([-1.0, 1, 1, 1]), np.full((4, 4), np.nan), np.eye(3)):
        assert not is_rigid(broken)


@given(st.floats(25, 90), st.floats(30, 65), angles)
def test_projection_agrees_with_opencv(height: float, pitch: float, yaw: float) -> None:
    T = oblique_camera(height, pitch, yaw)
    K = intrinsics_from_fov(480, 270, np.deg2rad(75))
    points = np.random.default_rng(0).uniform([-40, -40, 0], [40, 40, 4], (50, 3))
    T_camera_map = inverse(T)
    rvec, _ = cv2.Rodrigues(T_camera_map[:3, :3])
    expected, _ = cv2.projectPoints(points, rvec, T_camera_map[:3, 3], K, None)
    pixels, depth = project(points, K, T)
    front = depth > 1.0
    assert np.allclose(pixels[front], expected[front, 0], atol=1e-6)
    rays = viewing_rays(pixels[front], K, T)
    assert np.allclose(T[:3, 3] + depth[front, None] * rays, points[front], atol=1e-8)


def test_intrinsics_follow_the_resize() -> None:
    K = intrinsics_from_fov(480, 270, 1.2)
    scaled = scaled_intrinsics(K, (270, 480), (192, 352))
    points = np.array([[1.0, 2.0, 10.0], [-3.0, 1.0, 20.0]])
    original, _ = project(points, K, np.eye(4))
    resized, _ = project(points, scaled, np.eye(4))
    assert np.allclose(resized, original * [352 / 480, 192 / 270])


@given(st.floats(20, 100), st.floats(25, 80), angles, st.floats(-5, 5))
def test_points_lie_exactly_at_their_heights(height: float, pitch: float, yaw: float, ground: float) -> None:
    T = oblique_camera(height, pitch, yaw)
    K = intrinsics_from_fov(480, 270, 1.3)
    heights = np.array([0.0, 0.5, 2.0, 4.0])
    plane = GroundPlane(offset=ground)
    pixels = pixel_grid(270, 480, 30)
    points, valid = points_at_heights(viewing_rays(pixels, K, T), T[:3, 3], heights, plane)
    expected = np.broadcast_to(ground + heights, points.shape[:-1])
    assert np.allclose(points[..., 2][valid], expected[valid], atol=1e-6)
    flat = points.reshape(-1, 3)[valid.reshape(-1)]
    again, depth = project(flat, K, T)
    shown = np.broadcast_to(pixels[:, :, None], (*points.shape[:-1], 2)).reshape(-1, 2)[valid.reshape(-1)]
    assert (depth > 0).all()
    assert np.allclose(again, shown, atol=1e-5)


def test_pixels_at_and_above_the_horizon_are_invalid() -> None:
    T = oblique_camera(50.0, 10.0)
    K = intrinsics_from_fov(480, 270, 1.3)
    rays = viewing_rays(pixel_grid(270, 480, 10), K, T)
    _, valid = points_at_heights(rays, T[:3, 3], [0.0, 2.0], GroundPlane(), max_depth_m=1e9)
    assert not valid[rays[..., 2] >= 0].any()
    assert valid[rays[..., 2] < -0.05].all()
    _, under = points_at_heights(rays, [0, 0, -1.0], [0.0], GroundPlane())
    assert not under.any()


def test_a_tilted_plane_is_met_at_its_own_height() -> None:
    normal = np.array([0.1, -0.05, 1.0]) / np.linalg.norm([0.1, -0.05, 1.0])
    plane = GroundPlane(tuple(normal), 2.0)
    T = oblique_camera()
    rays = viewing_rays(pixel_grid(270, 480, 30), intrinsics_from_fov(480, 270, 1.2), T)
    points, valid = points_at_heights(rays, T[:3, 3], [0.0, 1.5], plane)
    assert np.allclose(plane.height(points)[valid], np.broadcast_to([0.0, 1.5], valid.shape)[valid])


def test_position_sigma_matches_the_rule_of_thumb() -> None:
    centre, point = np.array([0.0, 0.0, 50.0]), np.array([50.0, 0.0, 0.0])
    pitch = np.zeros((6, 6))
    pitch[4, 4] = np.deg2rad(1.0) ** 2
    altitude = np.zeros((6, 6))
    altitude[2, 2] = 1.0
    assert position_sigma(point, centre, pitch) == pytest.approx(1.745, abs=1e-3)
    assert position_sigma(point, centre, altitude) == pytest.approx(1.0)
    assert position_sigma(point, centre, np.zeros((6, 6))) == 0.0


def test_position_sigma_agrees_with_finite_differences() -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(6, 6)) * [0.5, 0.4, 0.6, 0.01, 0.012, 0.008]
    covariance = A.T @ A
    C, X = np.array([3.0, -8.0, 61.0]), np.array([40.0, 25.0, 0.0])

    def hit(delta: np.ndarray) -> np.ndarray:
        ray = rotation_vector(delta[3:]) @ (X - C)
        start = C + delta[:3]
        return (start - ray * start[2] / ray[2])[:2]

    step = 1e-5
    J = np.stack([(hit(step * e) - hit(-step * e)) / (2 * step) for e in np.eye(6)], axis=1)
    expected = np.sqrt(np.trace(J @ covariance @ J.T))
    assert position_sigma(X, C, covariance) == pytest.approx(expected, rel=1e-6)


@given(st.integers(-500, 500), st.integers(-500, 500), st.floats(0, 0.999), st.floats(0, 0.999))
def test_every_point_of_a_cell_belongs_to_it(i: int, j: int, a: float, b: float) -> None:
    window = Window(-64, -64, 128, 128, 0.5)
    cell = window.cells([(i + a) * 0.5, (j + b) * 0.5])
    assert cell.tolist() == [i + 64, j + 64]
    assert bool(window.contains(cell)) == (-64 <= i < 64 and -64 <= j < 64)


def test_windows_share_one_lattice() -> None:
    large, small = square_window(64, 1.0), square_window(50, 1.0)
    array = np.arange(128 * 128).reshape(128, 128)
    rows, columns = large.crop(small)
    assert array[rows, columns].shape == (100, 100)
    assert np.allclose(large.centres()[rows, columns], small.centres())
    assert large.refined(2).bounds == large.bounds
    assert large.cells(large.centres()).tolist() == np.stack(np.indices((128, 128)), -1).tolist()
    assert np.array_equal(large.centres_of(np.array([5, 300])), large.centres().reshape(-1, 2)[[5, 300]])
    tiles = large.tiles()
    assert len(tiles) == 64 and tiles[0].tolist() == [-4, -4] and tiles[-1].tolist() == [3, 3]
    with pytest.raises(ValueError, match="whole tiles"):
        small.tiles()
    with pytest.raises(ValueError, match="inside"):
        small.crop(large)


def test_an_area_that_a_map_does_not_cover_is_said_in_metres() -> None:
    with pytest.raises(WindowError, match=r"x -50 to 50 m.*does not lie inside the map \(x -32 to 32 m"):
        square_window(32.0, 0.5).crop(square_window(50.0, 0.5))
