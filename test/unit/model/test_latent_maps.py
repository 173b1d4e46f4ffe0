"""Received maps as latents: all that is computed from them is what their features give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.agent.prefusion.consistency import ConsistencyCheck
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.model import codec
from rsdfm_ros.model.compression import LOW_BLOCK, Compression
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.interaction import Interaction
from rsdfm_ros.model.maps import AgentBev, LatentMap
from rsdfm_ros.model.perception import Perception
from support.tiny_model import CONFIG, K, view

SMALL = ModelConfig("test", channels=8, low_channels=3, high_channels=2, window_tiles=(0, 0, 3, 2))
ATOL = 2e-5
"""Rounding of float32 in sums of another order, for values of about 1."""


def compression(seed: int = 0) -> Compression:
    torch.manual_seed(seed)
    return Compression(SMALL).eval()


CODECS = [compression(0), compression(1)]
torch.manual_seed(2)
INTERACTION = Interaction(SMALL).eval()


def received(
    seed: int, shape: tuple[int, int], share: float, sent: int = 40, of: Compression = CODECS[0]
) -> AgentBev:
    """A received map of which about `share` of the cells are visible."""
    generator = torch.Generator().manual_seed(seed)
    visible = torch.rand(shape, generator=generator) < share
    low = torch.randn(3, shape[0] // LOW_BLOCK, shape[1] // LOW_BLOCK, generator=generator)
    cells = torch.randperm(shape[0] * shape[1], generator=generator)[:sent].sort().values.numpy()
    high = torch.randn(sent, 2, generator=generator).numpy()
    latents = codec.decode(of, low, high, cells, visible)
    return AgentBev(latents, visible, torch.zeros(shape))


def dense(bev: AgentBev) -> AgentBev:
    return replace(bev, content=bev.features)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[AgentBev], list[float]]:
    """An own map, of features or latents as where another process encodes it, and received ones, moved ones (features)
    among them, of one or two codecs, with their ages."""
    shape = draw(st.sampled_from([(16, 16), (48, 32)]))
    seeds = st.integers(0, 1000)
    shares = st.sampled_from([0.0, 0.3, 0.9, 1.1])
    own = received(draw(seeds), shape, draw(shares))
    maps = [dense(own) if draw(st.booleans()) else own]
    for _ in range(draw(st.integers(0, 4))):
        seed = draw(seeds)
        bev = received(
            seed, shape, draw(shares), draw(st.sampled_from([0, 60])), draw(st.sampled_from(CODECS))
        )
        if draw(st.booleans()):
            bev = dense(bev)
        noise = torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed))
        if draw(st.booleans()):
            bev = replace(bev, sigma=3.0 * noise[0])
        if draw(st.booleans()):
            bev = replace(bev, lag_s=noise[1])
        maps.append(bev)
    return maps, [0.0, *(draw(st.sampled_from([0.0, 0.4])) for _ in maps[1:])]


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_fusing_latents_is_fusing_their_features(fleet: tuple[list[AgentBev], list[float]]) -> None:
    maps, ages_s = fleet
    found = INTERACTION.fuse(maps, ages_s, with_dominant=True)
    assert all("features" not in a.content.__dict__ for a in maps[1:] if isinstance(a.content, LatentMap))
    expected = INTERACTION.fuse([dense(a) for a in maps], ages_s, with_dominant=True)
    torch.testing.assert_close(found.features, expected.features, atol=ATOL, rtol=0)
    assert torch.equal(found.visible, expected.visible) and found.contributors == len(maps)
    assert found.shares == pytest.approx(expected.shares, abs=ATOL)
    weights, cells = INTERACTION.weights(maps, ages_s)
    expected_weights, expected_cells = INTERACTION.weights([dense(a) for a in maps], ages_s)
    torch.testing.assert_close(weights, expected_weights, atol=ATOL, rtol=0)
    assert torch.equal(cells, expected_cells)
    assert found.dominant is not None and expected.dominant is not None
    heaviest = weights.sort(dim=0).values
    clear = torch.ones(found.visible.numel(), dtype=torch.bool)
    if len(maps) > 1:
        clear[cells] = heaviest[-1] - heaviest[-2] > ATOL  # equal weights may come out either way
    assert torch.equal(found.dominant.flatten()[clear], expected.dominant.flatten()[clear])


def test_features_are_computed_once_for_all_maps_of_the_same_latents_and_need_no_gradient() -> None:
    bev = received(0, (16, 16), 0.7)
    unsure = replace(bev, sigma=bev.sigma + 1.0)
    assert unsure.latents is bev.latents is not None
    assert unsure.features is bev.features and not bev.features.requires_grad
    assert bev.features.shape == (8, 16, 16) and not bev.features[:, ~bev.visible].any()
    assert bev.features[:, bev.visible].any(dim=0).all()


def test_features_have_no_latents_nor_has_a_map_that_shows_other_cells() -> None:
    bev = received(0, (16, 16), 0.7)
    assert dense(bev).latents is None and dense(bev).values is dense(bev).features
    fewer = replace(bev, visible=bev.visible & False)
    assert fewer.latents is None and fewer.values is bev.values
    more = replace(bev, visible=bev.visible | True)
    ages_s = [0.0, 0.2]
    for changed in (fewer, more):
        found = INTERACTION.fuse([dense(bev), changed], ages_s).features
        expected = INTERACTION.fuse([dense(bev), dense(changed)], ages_s).features
        assert torch.equal(found, expected)


def test_a_peer_that_is_not_moved_is_judged_and_fused_without_its_features() -> None:
    perception = Perception.random(CONFIG)
    own, peer = (perception.perceive(image, K, T) for image, T in (view(0), view(1)))
    frame = perception.compress(peer, 200)
    for covariance in (None, 0.1 * np.eye(6)):
        late = np.arange(len(frame.tiles)) % 2 == 0
        back = perception.decompress(frame, view(1)[1], covariance, stale=late, stale_s=0.5)
        assert isinstance(back.content, LatentMap) and back.lag_s is not None
        views = [View(bev, np.eye(4), np.zeros((6, 6))) for bev in (own, back)]
        kept = ConsistencyCheck().believed(
            perception, views[0], views[1:], 0.18, lambda: perception.fuse(own, [], [])
        )
        fused = perception.fuse(own, [v.bev for v in kept], [0.1])
        assert len(kept) == 1 and "features" not in back.content.__dict__
        expected = perception.fuse(own, [dense(back)], [0.1])
        torch.testing.assert_close(fused.features, expected.features, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(fused.features, own.features)
