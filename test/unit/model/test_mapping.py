"""The lift against its definition, written out densely, and against the NumPy geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rsdfm_ros.geometry.camera import intrinsics_from_fov, viewing_rays
from rsdfm_ros.geometry.ground import GroundPlane, points_at_heights
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.model.config import ModelConfig, ModelConfigError, model_config_from_dict
from rsdfm_ros.model.encoder import ENCODER_STRIDE
from rsdfm_ros.model.mapping import lift, lift_cells, mean_with_neighbours, seen_cells
from rsdfm_ros.model.rsdfm import RSDFM
from support.cameras import oblique_camera, pixel_grid

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


def test_half_precision_of_the_network_is_not_that_of_the_geometry() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        mixed = cells_of(oblique_camera())
    assert torch.equal(mixed, cells_of(oblique_camera()))


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
    features = torch.randn(2, 30, 3, generator=generator)
    alpha = torch.rand(2, 30, 4, generator=generator)
    cells = torch.randint(0, 21, (2, 30, 4), generator=generator, dtype=torch.int32)
    lifted = lift(features, alpha, cells, window)
    for v in range(2):
        S = torch.zeros(21, 30)
        for p in range(30):
            for k in range(4):
                S[cells[v, p, k], p] += alpha[v, p, k]
        assert torch.allclose(lifted[v, ..., :3].reshape(20, 3), S[:20] @ features[v], atol=1e-5)
        assert torch.allclose(lifted[v, ..., 3].reshape(20), S[:20].sum(1), atol=1e-5)


def test_lift_has_exact_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 12, 2, generator=generator, requires_grad=True)
    alpha = torch.rand(2, 12, 3, generator=generator, requires_grad=True)
    cells = torch.randint(0, 10, (2, 12, 3), generator=generator, dtype=torch.int32)
    window = Window(0, 0, 3, 3, 1.0)
    weight = torch.randn(2, 3, 3, 3, generator=generator)

    def reference(f: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        ones = torch.cat([f, torch.ones_like(f[..., :1])], dim=-1)
        terms = (a[..., None] * ones[:, :, None]).flatten(1, 2)
        out = torch.zeros(2, 10, 3)
        out = torch.stack(
            [o.index_add(0, c.reshape(-1), t) for o, c, t in zip(out, cells, terms, strict=True)]
        )
        return (out[:, :9].reshape(2, 3, 3, 3) * weight).sum()

    ours = torch.autograd.grad((lift(features, alpha, cells, window) * weight).sum(), [features, alpha])
    expected = torch.autograd.grad(reference(features, alpha), [features, alpha])
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def neighbour_mean_by_definition(lifted: torch.Tensor, weight: float, floor: float) -> torch.Tensor:
    around = F.avg_pool2d(lifted.permute(0, 3, 1, 2), 5, 1, 2).permute(0, 2, 3, 1) * weight
    mass = lifted[..., -1:]
    return torch.cat(
        [(lifted + around)[..., :-1] / (mass + around[..., -1:] + floor), torch.log1p(mass)], dim=-1
    )


def test_the_mean_with_neighbours_and_its_gradient_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(2)
    lifted = torch.randn(2, 11, 8, 4, generator=generator)
    lifted[..., -1].abs_().mul_(torch.rand(2, 11, 8, generator=generator) > 0.5)
    lifted.requires_grad_()
    ours, expected = mean_with_neighbours(lifted, 0.2, 0.1), neighbour_mean_by_definition(lifted, 0.2, 0.1)
    assert torch.allclose(ours, expected, atol=1e-5)
    weight = torch.randn(ours.shape, generator=generator)
    gradients = [torch.autograd.grad((y * weight).sum(), lifted)[0] for y in (ours, expected)]
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4)


def test_holes_take_their_neighbours_mean_and_full_cells_keep_their_own() -> None:
    lifted = torch.zeros(1, 9, 9, 2)
    lifted[0, 4, 4] = torch.tensor([6.0, 2.0])
    mean = mean_with_neighbours(lifted)[..., 0]
    assert mean[0, 4, 4] == pytest.approx(3.0, rel=0.05)
    assert 0 < mean[0, 4, 5] < 3.0
    assert mean[0, 0, 0] == 0.0


@pytest.mark.parametrize("factor", [1, 2])
def test_a_cell_is_seen_when_mass_lies_in_or_next_to_it(factor: int) -> None:
    mass = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(3)) ** 6
    near = F.max_pool2d(mass[:, None], 3, 1, 1)
    expected = (F.avg_pool2d(near, factor) > 0.2)[:, 0]
    assert 0 < expected.float().mean() < 1
    assert torch.equal(seen_cells(mass, factor, 0.2), expected)


def test_the_embedding_of_finer_cells_is_the_convolution_of_their_channels() -> None:
    config = replace(CONFIG, image_height=64, image_width=64, window_tiles=(-2, -2, 4, 4))
    torch.manual_seed(0)
    model = RSDFM(config).eval()
    norm = model.embed[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    for values in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        assert values is not None
        values.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, 64, 64)
    K = torch.from_numpy(intrinsics_from_fov(64, 64, 1.3))[None].expand(2, 3, 3)
    T = torch.from_numpy(np.stack([oblique_camera(40.0), oblique_camera(60.0)]))
    with torch.no_grad():
        maps, visible, logits, _ = model.map_views(images, K, T)
        features, _ = model.encoder(images)
        fine = config.window.refined(config.subcells)
        cells = lift_cells(config, (64, 64), ENCODER_STRIDE, K, T, GroundPlane(), fine)
        alpha = torch.softmax(logits, 1)[:, :-1].flatten(2).transpose(1, 2)
        lifted = lift(features.flatten(2).transpose(1, 2), alpha, cells, fine)
        x = neighbour_mean_by_definition(lifted, 0.15, 0.05).permute(0, 3, 1, 2)
        expected = model.embed(F.pixel_unshuffle(x, config.subcells)) * visible
    assert visible.float().mean() > 0.1
    assert torch.allclose(maps, expected, atol=1e-4)
    learned = model.map_views(images, K, T).maps
    assert torch.allclose(learned, expected, atol=1e-4)
    learned.sum().backward()
    assert norm.weight.grad is not None and norm.weight.grad.abs().sum() > 0


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
