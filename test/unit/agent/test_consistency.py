"""Consistency check of maps with painted vehicles: honest peers stay, each kind of false map is left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rsdfm_ros.agent.prefusion.consistency import ConsistencyCheck
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.model.maps import AgentBev, FusedMap
from rsdfm_ros.model.perception import Perception
from support.painted import tiny_perception

PERIOD_NS = 500_000_000
SIDE, CHANNELS = 32, 8
Cells = list[tuple[int, int]]
CARS: Cells = [(4, 4), (4, 14), (4, 24), (12, 8), (12, 20), (20, 4), (20, 14), (20, 24), (27, 9), (27, 20)]


def painted(cars: Cells, seed: int = 0, sigma: float = 0.0, visible: torch.Tensor | None = None) -> AgentBev:
    """A map whose first channel is 1 at vehicles of 3 × 4 cells, the others are noise."""
    x = 0.02 * torch.randn(CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    for i, j in cars:
        x[0, max(0, i - 1) : i + 2, max(0, j - 2) : j + 2] += 1.0
    seen = torch.ones(SIDE, SIDE, dtype=torch.bool) if visible is None else visible
    return AgentBev(x * seen, seen, torch.full((SIDE, SIDE), sigma))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Perception:
    """A model whose head sees the painted vehicles, and whose codec sends nothing as zeros."""
    perception = tiny_perception()
    with torch.no_grad():
        perception.model.compression.low_decode.bias.zero_()
        perception.model.compression.high_decode.weight.copy_(
            torch.eye(CHANNELS)[:, : perception.config.high_channels, None, None]
        )
    monkeypatch.setattr(Perception, "foreground", lambda self, maps: 8.0 * maps[-1].features[0] - 4.0)
    return perception


def run(
    model: Perception, peer: Callable[[int], AgentBev | None], images: int = 8, age_s: float = 0.0
) -> list[bool]:
    """Whether the peer is believed, image by image."""
    check, out = ConsistencyCheck(), []
    for k in range(images):
        bev = painted(CARS, seed=k)
        own = View(bev, np.eye(4), np.zeros((6, 6)), name="uav1", stamp_ns=k * PERIOD_NS)
        shown = peer(k)
        assert shown is not None
        views = [View(shown, np.eye(4), np.zeros((6, 6)), None, age_s, "uav2", b"\x02")]
        single = FusedMap(bev.features, bev.visible)
        out.append(bool(check.believed(model, own, views, 0.18, lambda single=single: single)))
    return out


def moved(cars: Cells, i: int, j: int) -> Cells:
    return [(a + i, b + j) for a, b in cars]


def test_honest_peers_stay_with_noise_of_poses_disjoint_views_and_other_noise(model: Perception) -> None:
    rng = np.random.default_rng(0)
    assert all(run(model, lambda k: painted(CARS, seed=100 + k), 30))
    assert all(run(model, lambda k: painted(moved(CARS, *rng.integers(-1, 2, 2)), 100 + k, sigma=0.8), 30))
    half = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    half[:, :16] = True
    assert all(run(model, lambda k: painted(CARS, 100 + k, visible=half), 30))
    assert all(run(model, lambda k: painted(CARS, visible=half & False)))


@pytest.mark.parametrize(
    "false",
    [
        painted([*CARS, (8, 27), (16, 26), (24, 3), (8, 14), (16, 8)], 5),
        painted([], 5),
        painted(moved(CARS, 3, 4), 5),
        painted([(i, SIDE - 1 - j) for i, j in moved(CARS, 3, 0)], 5),
        AgentBev(torch.full((CHANNELS, SIDE, SIDE), 100.0), painted([]).visible, painted([]).sigma),
    ],
    ids=["fabricated", "erased", "shifted", "mirrored", "saturated"],
)
def test_false_maps_are_left_out_within_four_images(model: Perception, false: AgentBev) -> None:
    verdicts = run(model, lambda k: false)
    assert not any(verdicts[3:])


def test_a_peer_that_behaves_again_is_believed_again(model: Perception) -> None:
    verdicts = run(model, lambda k: painted([] if k < 4 else CARS, 100 + k), 12)
    assert not verdicts[3] and verdicts[-1]


def test_maps_that_are_not_finite_are_left_out(model: Perception) -> None:
    bev = painted(CARS)
    bev.features[3, 5, 5] = torch.nan
    assert not any(run(model, lambda k: bev))


def test_older_maps_are_compared_with_the_own_map_of_their_time(model: Perception) -> None:
    check = ConsistencyCheck()
    for k in range(8):
        cars = moved(CARS, 0, k % 4)
        before = moved(CARS, 0, (k - 1) % 4)
        bev = painted(cars, seed=k)
        own = View(bev, np.eye(4), np.zeros((6, 6)), name="uav1", stamp_ns=k * PERIOD_NS)
        late = View(painted(before, 50 + k), np.eye(4), np.zeros((6, 6)), None, 0.5, "uav2")
        single = FusedMap(bev.features, bev.visible)
        assert check.believed(model, own, [late], 0.18, lambda single=single: single) == [late], k
