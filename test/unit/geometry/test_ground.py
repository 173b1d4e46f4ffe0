"""Ground models against independent references: a dense march along the ray, planes, finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.geometry.camera import intrinsics_from_fov, viewing_rays
from rsdfm_ros.geometry.ground import (
    Ground,
    GroundPlane,
    points_at_heights,
    position_sigma,
    sloped_plane,
    surface,
)
from rsdfm_ros.geometry.height_grid import GroundError, HeightGrid
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.geometry.rotations import rotation_vector
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.mapping import lift_cells
from support.cameras import oblique_camera, pixel_grid

HEIGHTS = np.array([0.0, 0.8, 2.2])
K = intrinsics_from_fov(176, 96, 1.2)
NODES = np.stack(np.meshgrid(np.arange(-150.0, 151.0, 2.0), np.arange(-150.0, 151.0, 2.0), indexing="ij"), -1)


def grid_of(z: np.ndarray) -> HeightGrid:
    return HeightGrid(np.asarray(z, np.float32), -150.0, -150.0, 2.0)


def hills(seed: int, relief: float) -> HeightGrid:
    rng = np.random.default_rng(seed)
    z = np.zeros(NODES.shape[:2])
    for _ in range(4):
        k, phase = rng.normal(0, 0.05, 2), rng.uniform(0, 6.3)
        z += 0.25 * relief * np.sin(NODES @ k + phase)
    return grid_of(z)


def terraces(seed: int, relief: float) -> HeightGrid:
    return grid_of(np.round(hills(seed, relief).heights / 3.0) * 3.0)


def marched(ray: np.ndarray, centre: np.ndarray, h: float, grid: HeightGrid, far: float) -> float:
    """Depth of the first place, in steps of 2 cm of depth, at which the ray is at most h above the terrain."""
    depth = np.arange(0.0, far, 0.02)
    points = centre + depth[:, None] * ray
    place = (points[:, :2] + 150.0) / 2.0
    low = np.clip(np.floor(place), 0, np.array(grid.heights.shape) - 2).astype(int)
    a, b = np.clip(place - low, 0, 1).T
    i, j = low.T
    z = grid.heights.astype(float)
    ground = (z[i, j] * (1 - a) + z[i + 1, j] * a) * (1 - b) + (
        z[i, j + 1] * (1 - a) + z[i + 1, j + 1] * a
    ) * b
    below = points[:, 2] - ground <= h
    return float(depth[below.argmax()]) if below.any() else np.nan


@pytest.mark.parametrize("terrain", [hills, terraces])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rays_meet_terrain_where_a_dense_march_first_finds_it(terrain: object, seed: int) -> None:
    grid = terrain(seed, 16.0)  # type: ignore[operator]
    T = oblique_camera(45.0, 35.0, float(seed))
    T[2, 3] += float(grid.elevation(T[:2, 3]))
    rays = viewing_rays(pixel_grid(96, 176, 8), K, T).reshape(-1, 3)
    points, valid = points_at_heights(rays, T[:3, 3], HEIGHTS, grid, max_depth_m=250.0)
    depth = ((points - T[:3, 3]) * T[:3, 2]).sum(axis=-1)
    off = []
    for n in range(0, len(rays), 7):
        expected = [marched(rays[n], T[:3, 3], h, grid, 251.0) for h in HEIGHTS]
        assert np.isfinite(expected[0]) == valid[n].all()
        if valid[n].all():
            off.extend(np.abs(depth[n] - expected))
    assert len(off) > 60
    # A march of 32 steps may pass a crest that the dense one touches; never more than now and then.
    assert (np.array(off) > 0.1).mean() < 0.03 and np.median(off) < 0.02


@pytest.mark.parametrize("terrain", [hills, terraces])
def test_the_lift_meets_terrain_where_the_numpy_reference_does(terrain: object) -> None:
    grid, window, config = terrain(3, 12.0), square_window(48, 0.5), ModelConfig("t")  # type: ignore[operator]
    T = np.stack([oblique_camera(50.0, 40.0, 0.3), oblique_camera(70.0, 55.0, 2.0)])
    both = torch.from_numpy(np.stack([K, K])), torch.from_numpy(T)
    cells = lift_cells(config, (96, 176), 8, *both, grid, window).numpy()
    for v in range(2):
        rays = viewing_rays(pixel_grid(96, 176, 8), K, T[v]).reshape(-1, 3)
        points, valid = points_at_heights(
            rays, T[v, :3, 3], config.heights_m, grid, max_depth_m=config.max_depth_m
        )
        index = window.cells(points[..., :2])
        inside = valid & window.contains(index)
        expected = np.where(inside, index[..., 0] * window.nj + index[..., 1], window.ni * window.nj)
        assert inside.mean() > 0.2
        assert (cells[v] == expected).mean() > 0.99


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(-20, 20), st.floats(30, 90), st.floats(25, 80))
def test_a_grid_that_holds_a_plane_is_that_plane(
    a: float, b: float, c: float, height: float, pitch: float
) -> None:
    grid = grid_of(NODES @ [a, b] + c)
    plane = sloped_plane((-a, -b, 1.0), c)
    T = oblique_camera(height, pitch)
    T[2, 3] += float(plane.elevation(T[:2, 3]))
    rays = viewing_rays(pixel_grid(96, 176, 16), K, T)
    options = {"max_depth_m": 120.0}
    # Heights over a grid are vertical, over a plane along its normal.
    upright = HEIGHTS * plane.normal[2]
    points, valid = points_at_heights(rays, T[:3, 3], upright, plane, **options)
    near = valid & (np.abs(points[..., :2]) < 149).all(axis=-1)
    found, also = points_at_heights(rays, T[:3, 3], HEIGHTS, grid, **options)
    assert also[near].all()
    assert np.abs(found - points)[near].max(initial=0.0) < 2e-2
    xy = points[near][:, :2]
    assert np.allclose(grid.elevation(xy), plane.elevation(xy), atol=1e-4)
    assert np.allclose(grid.normals(xy), plane.normals(xy), atol=1e-4)


def test_level_terrain_gives_the_very_cells_of_the_plane() -> None:
    config, window = ModelConfig("t"), square_window(48, 0.5)
    T = torch.from_numpy(oblique_camera(60.0, 40.0))[None]
    grid = HeightGrid(np.full((4, 5), 7.0, np.float32), -30.0, -20.0, 10.0)  # beyond it the edge goes on
    views = (96, 176), 4, torch.from_numpy(K)[None], T
    level = lift_cells(config, *views, grid, window)
    plane = lift_cells(config, *views, GroundPlane(offset=7.0), window)
    assert (level == plane).float().mean() > 0.999


def test_a_camera_below_the_terrain_sees_nothing_of_it() -> None:
    T = oblique_camera(20.0)
    rays = viewing_rays(pixel_grid(96, 176, 16), K, T)
    _, valid = points_at_heights(rays, T[:3, 3], HEIGHTS, grid_of(np.full((151, 151), 30.0)))
    assert not valid.any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-180, 180), st.floats(-180, 180))
def test_elevation_is_bilinear_and_holds_at_the_edge(seed: int, x: float, y: float) -> None:
    from scipy.interpolate import RegularGridInterpolator

    grid = hills(seed, 20.0)
    axis = np.arange(-150.0, 151.0, 2.0)
    reference = RegularGridInterpolator((axis, axis), grid.heights.astype(float))
    assert grid.elevation([x, y]) == pytest.approx(reference(np.clip([x, y], -150, 150))[0], abs=1e-5)
    assert grid.height([x, y, 50.0]) == pytest.approx(50.0 - grid.elevation([x, y]))
    low, high = grid.relief([x, y], 10.0)
    assert low <= grid.elevation([x, y]) <= high


@pytest.mark.parametrize(
    "ground", [hills(5, 30.0), sloped_plane((0.2, -0.1, 1.0), 4.0), GroundPlane(offset=-3.0)]
)
def test_position_sigma_is_that_of_the_place_where_the_ray_meets_the_slope(ground: Ground) -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(6, 6)) * [0.5, 0.4, 0.6, 0.01, 0.012, 0.008]
    covariance = A.T @ A
    C = np.array([3.0, -8.0, 61.0])
    points, normals = surface(ground, np.array([[41.0, 25.1], [-20.9, 33.2], [5.2, -60.7]]))
    assert np.allclose(ground.height(points), 0.0, atol=1e-5)
    for X, n in zip(points, normals, strict=True):

        def hit(delta: np.ndarray, X: np.ndarray = X, n: np.ndarray = n) -> np.ndarray:
            ray = rotation_vector(delta[3:]) @ (X - C)
            start = C + delta[:3]
            return np.asarray((start + ray * ((X - start) @ n) / (ray @ n))[:2])

        J = np.stack([(hit(1e-5 * e) - hit(-1e-5 * e)) / 2e-5 for e in np.eye(6)], axis=1)
        expected = np.sqrt(np.trace(J @ covariance @ J.T))
        assert position_sigma(X, C, covariance, n) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"heights": np.zeros((1, 9), np.float32)}, "2 x 2"),
        ({"heights": np.zeros((3, 3))}, "float32"),
        ({"heights": np.full((3, 3), np.nan, np.float32)}, "finite"),
        ({"heights": np.full((3, 3), 2e4, np.float32)}, "10000"),
        ({"heights": np.broadcast_to(np.float32(0), (5000, 5000))}, "at most"),
        ({"cell_m": 0.0}, "cells"),
        ({"x0": np.inf}, "origin"),
    ],
)
def test_a_bad_grid_is_refused_with_a_sentence(change: dict[str, object], word: str) -> None:
    values: dict[str, object] = {"heights": np.zeros((3, 3), np.float32), "x0": 0.0, "y0": 0.0, "cell_m": 1.0}
    with pytest.raises(GroundError, match=word):
        HeightGrid(**(values | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("normal", [(0.0, 0.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.1), (np.nan, 0.0, 1.0)])
def test_a_plane_that_is_no_ground_is_refused(normal: tuple[float, float, float]) -> None:
    with pytest.raises(GroundError, match="point up"):
        sloped_plane(normal, 0.0)
