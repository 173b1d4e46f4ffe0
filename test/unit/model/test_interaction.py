"""Fusion of any number of agents."""

from __future__ import annotations

import pytest
import torch

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.interaction import Interaction
from rsdfm_ros.model.maps import AgentBev


@pytest.fixture
def fuse() -> Interaction:
    torch.manual_seed(0)
    return Interaction(ModelConfig("test", channels=8)).eval()


def agents(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    visible = torch.rand(count, 1, 12, 12, generator=generator) > 0.4
    maps = torch.randn(count, 8, 12, 12, generator=generator) * visible
    return maps, visible, torch.arange(count).float() * 0.1, torch.rand(count, 1, 12, 12, generator=generator)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_the_order_of_peers_does_not_matter(fuse: Interaction, count: int) -> None:
    inputs = agents(count)
    order = [0, *reversed(range(1, count))]
    fused, weights = fuse(*inputs)
    permuted, permuted_weights = fuse(*(x[order] for x in inputs))
    assert torch.allclose(fused, permuted, atol=1e-6)
    assert torch.allclose(weights[order], permuted_weights, atol=1e-6)


def test_weights_are_a_distribution_over_those_who_see(fuse: Interaction) -> None:
    inputs = agents(4)
    _, weights = fuse(*inputs)
    assert torch.allclose(weights.sum(0), torch.ones_like(weights[0]))
    assert (weights[1:][~inputs[1][1:]] == 0).all()


def test_without_a_valid_peer_the_output_is_exactly_the_single_one(fuse: Interaction) -> None:
    maps, visible, ages, sigma = agents(4)
    alone, _ = fuse(maps[:1], visible[:1], ages[:1], sigma[:1])
    assert torch.equal(alone, maps[:1])
    blind = visible.clone()
    blind[1:] = False
    together, _ = fuse(maps, blind, ages, sigma)
    assert torch.equal(together, alone)


def test_a_peer_changes_only_cells_that_it_sees(fuse: Interaction) -> None:
    maps, visible, ages, sigma = agents(2)
    fused, _ = fuse(maps, visible, ages, sigma)
    changed = (fused != maps[:1]).any(1, keepdim=True)
    assert not (changed & ~visible[1:]).any()
    assert changed.any()


def test_age_and_uncertainty_reach_the_weights(fuse: Interaction) -> None:
    maps, visible, _, sigma = agents(3)
    _, fresh = fuse(maps, visible, torch.zeros(3), sigma)
    _, stale = fuse(maps, visible, torch.tensor([0.0, 2.0, 0.0]), sigma)
    _, unsure = fuse(maps, visible, torch.zeros(3), sigma * torch.tensor([1.0, 5.0, 1.0]).view(3, 1, 1, 1))
    assert not torch.allclose(fresh, stale)
    assert not torch.allclose(fresh, unsure)


def bevs(
    maps: torch.Tensor,
    visible: torch.Tensor,
    sigma: torch.Tensor,
    lags: dict[int, torch.Tensor] | None = None,
) -> list[AgentBev]:
    return [
        AgentBev(m, v[0], s[0], (lags or {}).get(n))
        for n, (m, v, s) in enumerate(zip(maps, visible, sigma, strict=True))
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_fusing_the_cells_of_peers_is_fusing_the_maps(fuse: Interaction, count: int) -> None:
    maps, visible, ages, sigma = agents(count)
    visible[1:, :, :5] = False  # an area that no peer sees
    maps = maps * visible
    lags = {n: torch.rand(12, 12) for n in range(2, count, 2)}
    every = torch.stack([lags.get(n, torch.zeros(12, 12)) for n in range(count)])[:, None]
    with torch.no_grad():
        fused, weights = fuse(maps, visible, ages.view(-1, 1, 1, 1) + every, sigma)
    found = fuse.fuse(bevs(maps, visible, sigma, lags), ages.tolist(), with_dominant=True)
    seen = visible.any(dim=0)[0]
    torch.testing.assert_close(found.features, fused[0], atol=1e-6, rtol=1e-5)
    assert torch.equal(found.features[:, :5], maps[0][:, :5])
    assert torch.equal(found.visible, seen) and found.contributors == count
    shares = (weights * seen).sum(dim=(1, 2, 3)) / seen.sum()
    torch.testing.assert_close(torch.tensor(found.shares), shares, atol=1e-6, rtol=1e-5)
    dominant = ((weights * visible).argmax(dim=0)[0] + 1) * seen
    assert found.dominant is not None and torch.equal(found.dominant.long(), dominant)


def test_fusing_leaves_the_maps_as_they_are_and_needs_no_peer(fuse: Interaction) -> None:
    maps, visible, ages, sigma = agents(3)
    given = bevs(maps, visible, sigma)
    before = [a.features.clone() for a in given]
    fuse.fuse(given, ages.tolist())
    assert all(torch.equal(a.features, b) for a, b in zip(given, before, strict=True))
    alone = fuse.fuse(given[:1], [0.0], with_dominant=True)
    assert torch.equal(alone.features, maps[0]) and alone.shares == (1.0,)
    assert alone.dominant is not None and torch.equal(alone.dominant.bool(), visible[0, 0])
    blind = AgentBev(torch.zeros_like(maps[0]), torch.zeros_like(visible[0, 0]), sigma[0, 0])
    assert fuse.fuse([blind, blind], [0.0, 0.5]).shares == (0.0, 0.0)
