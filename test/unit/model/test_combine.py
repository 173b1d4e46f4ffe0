"""Several cameras of one UAV: more cells than one, no order, nothing invented, and one camera exactly as before."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.perception import AgentBev, Perception
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from support.cameras import oblique_camera
from support.tiny_model import CONFIG, K

COVARIANCE = np.diag([0.04, 0.04, 0.04, 1e-4, 1e-4, 1e-4])


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception.random(CONFIG, seed=1)


@pytest.fixture(scope="module")
def cameras(perception: Perception) -> list[AgentBev]:
    """Three cameras of one UAV that look to different sides and overlap."""
    rng, views = np.random.default_rng(2), []
    for heading in (0.0, 0.7, 1.4):
        image = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        views.append(perception.perceive(image, K, oblique_camera(35.0, 50.0, heading), COVARIANCE))
    return views


def test_one_camera_comes_out_as_it_went_in(perception: Perception, cameras: list[AgentBev]) -> None:
    assert perception.combine(cameras[:1]) is cameras[0]
    with pytest.raises(RsdfmError, match="at least one camera"):
        perception.combine([])


def test_several_cameras_see_what_any_of_them_sees(perception: Perception, cameras: list[AgentBev]) -> None:
    both = perception.combine(cameras[:2])
    a, b = cameras[0].visible, cameras[1].visible
    assert torch.equal(both.visible, a | b)
    assert both.visible.sum() > max(a.sum(), b.sum()) and (a & b).any()
    assert (both.features[:, ~both.visible] == 0).all()


def test_a_cell_that_one_camera_sees_is_exactly_its_own(
    perception: Perception, cameras: list[AgentBev]
) -> None:
    both = perception.combine(cameras[:2])
    for mine, other in (cameras[:2], cameras[1::-1]):
        alone = mine.visible & ~other.visible
        assert alone.any()
        assert torch.equal(both.features[:, alone], mine.features[:, alone])
        assert torch.equal(both.sigma[alone], mine.sigma[alone])
    # Where both see, the result lies between them.
    shared = cameras[0].visible & cameras[1].visible
    low = torch.minimum(cameras[0].features, cameras[1].features)[:, shared]
    high = torch.maximum(cameras[0].features, cameras[1].features)[:, shared]
    mixed = both.features[:, shared]
    assert (mixed >= low - 1e-6).all() and (mixed <= high + 1e-6).all()
    assert not torch.allclose(mixed, cameras[0].features[:, shared])


def test_the_order_of_the_cameras_does_not_matter(perception: Perception, cameras: list[AgentBev]) -> None:
    expected = perception.combine(cameras)
    for order in itertools.permutations(cameras):
        got = perception.combine(order)
        torch.testing.assert_close(got.features, expected.features, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(got.sigma, expected.sigma, atol=1e-6, rtol=1e-5)
        assert torch.equal(got.visible, expected.visible)


def test_twice_the_same_camera_is_the_same_map(perception: Perception, cameras: list[AgentBev]) -> None:
    twice = perception.combine([cameras[0], cameras[0]])
    torch.testing.assert_close(twice.features, cameras[0].features)


def test_a_combined_map_travels_and_fuses_like_any_other(
    perception: Perception, cameras: list[AgentBev]
) -> None:
    both = perception.combine(cameras[:2])
    frame = assemble([decode_packet(p) for p in encode_frame(perception.compress(both, 300).validate())])
    received = perception.decompress(frame, oblique_camera(35.0, 50.0, 0.0), COVARIANCE)
    assert torch.equal(received.visible, both.visible)
    fused = perception.fuse(cameras[2], [received], [0.0])
    assert torch.equal(fused.visible, both.visible | cameras[2].visible)
