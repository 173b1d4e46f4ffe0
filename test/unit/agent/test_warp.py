"""Maps are moved as torch's grid_sample would move them, and cells that do not move stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rsdfm_ros.agent.prefusion.warp import compensate_motion, resampled
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import AgentBev

WINDOW = Window(-32, 16, 48, 32, 0.5)
ATOL = 2e-5
"""grid_sample rounds positions to float32 within -1…1."""


def bev(seed: int = 0) -> AgentBev:
    generator = torch.Generator().manual_seed(seed)
    visible = torch.rand(WINDOW.shape, generator=generator) > 0.3
    features = torch.randn(*WINDOW.shape, 6, generator=generator).permute(2, 0, 1) * visible
    lag_s = torch.rand(WINDOW.shape, generator=generator)
    return AgentBev(features, visible, torch.zeros(WINDOW.shape), lag_s)


def straightforward(given: AgentBev, sources: NDArray[np.float64]) -> AgentBev:
    """Bilinear over seen cells by grid_sample of the whole map."""
    low = np.array([WINDOW.i0, WINDOW.j0]) * WINDOW.cell_size
    unit = 2.0 * (sources - low) / (np.array(WINDOW.shape) * WINDOW.cell_size) - 1.0
    grid = torch.from_numpy(np.nan_to_num(unit[..., ::-1], nan=4.0).astype(np.float32).copy())[None]
    seen = given.visible[None].float()
    stack = torch.cat([given.features * seen, seen])[None]
    sampled = F.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    visible = sampled[-1] > 0.5
    assert given.lag_s is not None
    lag_s = F.grid_sample(given.lag_s[None, None], grid, mode="nearest", align_corners=False)[0, 0]
    return AgentBev(sampled[:-1] / sampled[-1].clamp_min(0.5) * visible, visible, given.sigma, lag_s)


@pytest.mark.parametrize("seed", range(4))
def test_moved_maps_are_those_of_grid_sample(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, at = rng.uniform(-0.3, 0.3), WINDOW.centres()
    sources = at @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    sources += rng.uniform(-2, 2, 2)
    sources[rng.random(WINDOW.shape) < 0.05] = np.nan
    given = bev(seed)
    found, expected = resampled(given, WINDOW, sources), straightforward(given, sources)
    assert (found.visible != expected.visible).sum() <= 2  # a mass of one half, up to rounding
    same = found.visible == expected.visible
    torch.testing.assert_close(found.features[:, same], expected.features[:, same], atol=ATOL, rtol=1e-4)
    assert found.lag_s is not None and expected.lag_s is not None
    assert (found.lag_s != expected.lag_s).float().mean() < 2e-3
    assert found.visible.any() and not found.features[:, ~found.visible].any()


def test_sources_anywhere_are_no_sources() -> None:
    sources = np.full((*WINDOW.shape, 2), 1e18)
    sources[:8] = -np.inf
    found = resampled(bev(), WINDOW, sources)
    assert not found.visible.any() and not found.features.any()


def test_cells_that_do_not_move_stay_to_the_last_bit() -> None:
    given, cells = bev(), np.zeros(WINDOW.shape, bool)
    cells[10:20, 5:9] = True
    sources = WINDOW.centres() + 0.3
    found, whole = resampled(given, WINDOW, sources, cells), resampled(given, WINDOW, sources)
    stay = torch.from_numpy(~cells)
    assert torch.equal(found.features[:, stay], given.features[:, stay])
    assert torch.equal(found.visible[stay], given.visible[stay])
    torch.testing.assert_close(found.features[:, ~stay], whole.features[:, ~stay])
    assert torch.equal(found.visible[~stay], whole.visible[~stay])


def test_boxes_at_and_beyond_the_edge_of_the_window_are_moved() -> None:
    given = AgentBev(
        torch.ones(2, *WINDOW.shape), torch.ones(WINDOW.shape, dtype=torch.bool), torch.zeros(WINDOW.shape)
    )
    centres = np.array([[-16.0, 8.0], [1e4, 0.0], [8.0, 23.9], [-15.0, -40.0]])
    sizes, velocities = np.tile([4.0, 2.0], (4, 1)), np.tile([3.0, 1.0], (4, 1))
    found = compensate_motion(given, WINDOW, centres, sizes, np.zeros(4), velocities, 1.0)
    corner = found.visible[:6, :5]
    assert not corner.all() and found.visible[20:, 10:20].all()
    assert torch.equal(found.features[0] > 0, found.visible)


@pytest.mark.parametrize(
    "part", [(slice(30, 41), slice(3, 9)), (slice(0, 1), slice(31, 32)), (slice(0), slice(0))]
)
def test_a_map_that_sees_little_is_moved_all_the_same(part: tuple[slice, slice]) -> None:
    whole, visible = bev(), torch.zeros(WINDOW.shape, dtype=torch.bool)
    visible[part] = True
    given = AgentBev(whole.features * visible, visible, whole.sigma, whole.lag_s)
    for shift in ([0.0, 0.0], [-1.5, 0.6], [0.2, -0.2]):
        sources = WINDOW.centres() + shift
        found, expected = resampled(given, WINDOW, sources), straightforward(given, sources)
        assert torch.equal(found.visible, expected.visible)
        torch.testing.assert_close(found.features, expected.features, atol=ATOL, rtol=1e-4)
