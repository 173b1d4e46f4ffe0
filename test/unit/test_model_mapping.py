"""The lift against its definition, written out densely, and against the NumPy geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_geometry import oblique_camera

from rsdfm_ros.geometry.camera import intrinsics_from_fov, pixel_grid, viewing_rays
from rsdfm_ros.geometry.ground import GroundPlane, points_at_heights
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.model.config import ModelConfig, ModelConfigError, model_config_from_dict
from rsdfm_ros.model.mapping import lift, lift_cells, mean_with_neighbours

WINDOW = square_window(32, 0.5)
CONFIG = ModelConfig("test")


def cells_of(T: np.ndarray, plane: GroundPlane = GroundPlane(), config: ModelConfig = CONFIG) -> torch.Tensor:
    K = intrinsics_from_fov(352, 192, 1.3)
    return lift_cells(
        config, (192, 352), 8, torch.from_numpy(K)[None], torch.from_numpy(T)[None], plane, WINDOW
    )[0]


@pytest.mark.parametrize("height", [30.0, 50.0, 80.0])
@pytest.mark.parametrize("ground", [0.0, 7.5])
def test_cells_agree_with_the_numpy_ground_prior(height: float, ground: float) -> None:
    T, plane = oblique_camera(height + ground), GroundPlane(offset=ground)
    rays = viewing_rays(pixel_grid(192, 352, 8), intrinsics_from_fov(352, 192, 1.3), T).reshape(-1, 3)
    points, valid = points_at_heights(rays, T[:3, 3], CONFIG.heights_m, plane, max_depth_m=CONFIG.max_depth_m)
    index = WINDOW.cells(points[..., :2])
    inside = valid & WINDOW.contains(index)
    expected = np.where(inside, index[..., 0] * WINDOW.nj + index[..., 1], WINDOW.ni * WINDOW.nj)
    # float32 against float64: only points within a hair of a cell's edge may differ.
    assert (cells_of(T, plane).numpy() == expected).mean() > 0.999


def test_the_true_height_moves_cells_and_a_wrong_one_misplaces_them() -> None:
    right = cells_of(oblique_camera(80.0))
    wrong = cells_of(oblique_camera(80.0), GroundPlane(offset=30.0))
    both = (right[:, 0] < WINDOW.ni * WINDOW.nj) & (wrong[:, 0] < WINDOW.ni * WINDOW.nj)
    assert (right[both] != wrong[both]).float().mean() > 0.9


def test_the_absolute_lift_does_not_know_the_ground() -> None:
    config = ModelConfig("absolute", lift="absolute", depths_m=(40.0, 60.0, 80.0))
    T = oblique_camera(50.0)
    assert torch.equal(cells_of(T, GroundPlane(), config), cells_of(T, GroundPlane(offset=9.0), config))
    assert cells_of(T, GroundPlane(), config).shape[1] == 3


def test_large_map_coordinates_lose_no_precision() -> None:
    T = oblique_camera()
    moved = T.copy()
    moved[:2, 3] += [512000.0, 4096000.0]
    far = Window(WINDOW.i0 + 1024000, WINDOW.j0 + 8192000, WINDOW.ni, WINDOW.nj, 0.5)
    K = torch.from_numpy(intrinsics_from_fov(352, 192, 1.3))[None]
    there = lift_cells(CONFIG, (192, 352), 8, K, torch.from_numpy(moved)[None], GroundPlane(), far)[0]
    assert (there == cells_of(T)).float().mean() > 0.999


def test_lift_is_the_sparse_product_and_counts_mass() -> None:
    generator = torch.Generator().manual_seed(0)
    window = Window(0, 0, 4, 5, 1.0)
    features = torch.randn(30, 3, generator=generator)
    alpha = torch.rand(30, 4, generator=generator)
    cells = torch.randint(0, 21, (30, 4), generator=generator, dtype=torch.int32)
    S = torch.zeros(21, 30)
    for p in range(30):
        for k in range(4):
            S[cells[p, k], p] += alpha[p, k]
    sums, mass = lift(features, alpha, cells, window)
    assert torch.allclose(sums.reshape(3, 20), (S[:20] @ features).t(), atol=1e-5)
    assert torch.allclose(mass.reshape(20), S[:20].sum(1), atol=1e-5)


def test_lift_has_exact_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(12, 2, generator=generator, requires_grad=True)
    alpha = torch.rand(12, 3, generator=generator, requires_grad=True)
    cells = torch.randint(0, 10, (12, 3), generator=generator, dtype=torch.int32)
    window = Window(0, 0, 3, 3, 1.0)
    weight = torch.randn(3, 3, 3, generator=generator)

    def loss(f: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        sums, mass = lift(f, a, cells, window)
        return (torch.cat([sums, mass[None]]) * weight).sum()

    def reference(f: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        ones = torch.cat([f, torch.ones_like(f[:, :1])], dim=1)
        out = torch.zeros(10, 3).index_add(
            0, cells.reshape(-1).long(), (a[..., None] * ones[:, None]).flatten(0, 1)
        )
        return (out[:9].t().reshape(3, 3, 3) * weight).sum()

    ours = torch.autograd.grad(loss(features, alpha), [features, alpha])
    expected = torch.autograd.grad(reference(features, alpha), [features, alpha])
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_holes_take_their_neighbours_mean_and_full_cells_keep_their_own() -> None:
    sums, mass = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    mass[..., 4, 4], sums[..., 4, 4] = 2.0, 6.0
    mean = mean_with_neighbours(sums, mass)
    assert mean[0, 0, 4, 4] == pytest.approx(3.0, rel=0.05)
    assert 0 < mean[0, 0, 4, 5] < 3.0
    assert mean[0, 0, 0, 0] == 0.0


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"name": "x", "image_width": 350}, "multiples of 32"),
        ({"name": "x", "heights_m": [1.0, 0.5]}, "ascending"),
        ({"name": "x", "lift": "lidar"}, "relative"),
        ({"name": "x", "colour": "red"}, "unknown model settings"),
        ({"name": "x", "channels": "many"}, "expected int"),
        ({}, "name"),
    ],
)
def test_a_bad_model_configuration_is_refused_with_a_sentence(values: dict[str, object], word: str) -> None:
    with pytest.raises(ModelConfigError, match=word):
        model_config_from_dict(values)


def test_a_configuration_survives_its_dictionary() -> None:
    assert model_config_from_dict(CONFIG.to_dict()) == CONFIG
