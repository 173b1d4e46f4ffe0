"""Peers that send legal packets with hostile content: the UAV goes on, and they are found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from rsdfm_ros.agent.envelope import MAX_POSE_SIGMA_M, MAX_POSE_SIGMA_RAD, checked_pose
from rsdfm_ros.agent.fusion import Fusion, FusionResult, fuse_possible
from rsdfm_ros.agent.options import DEFAULTS, NO_PRE_FUSION
from rsdfm_ros.agent.prefusion.pose_alignment import pose_too_uncertain
from rsdfm_ros.agent.prefusion.prepare import Prepared
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.geometry.uncertainty import from_upper_triangle, upper_triangle
from rsdfm_ros.model.maps import AgentBev, FusedMap
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError
from support.agents import NAMES, Reports, exchange, fleet, observe
from support.painted import tiny_perception

UP = (0.0, 0.0, 0.0, 1.0)


def largest() -> np.ndarray:
    return np.diag([MAX_POSE_SIGMA_M**2] * 3 + [MAX_POSE_SIGMA_RAD**2] * 3)


def changed(*entries: tuple[int, int, float]) -> np.ndarray:
    matrix = np.eye(6) * 0.1
    for i, j, value in entries:
        matrix[i, j] = value
    return matrix


@pytest.mark.parametrize(
    ("covariance", "reason"),
    [
        (changed((0, 0, 1e20), (1, 1, 1e20)), "covariance_too_large"),
        (changed((0, 0, 1.01 * MAX_POSE_SIGMA_M**2)), "covariance_too_large"),
        (changed((5, 5, 1.01 * MAX_POSE_SIGMA_RAD**2)), "covariance_too_large"),
        (np.full((6, 6), 1e308), "covariance_too_large"),
        (changed((0, 1, 1e308), (1, 0, 1e308)), "covariance_invalid"),
        (changed((0, 1, 1e308), (1, 0, -1e308)), "covariance_invalid"),
        (changed((0, 1, 0.2), (1, 0, 0.2)), "covariance_invalid"),
        (changed((0, 5, 0.05)), "covariance_invalid"),
        (changed((2, 2, -1e-3)), "covariance_invalid"),
        (changed((2, 2, np.nan)), "covariance_not_finite"),
    ],
)
def test_covariances_that_no_pose_has_are_refused(covariance: np.ndarray, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        checked_pose((0, 0, 50), UP, covariance)
    assert caught.value.reason == reason


def test_covariances_up_to_the_bounds_and_rounded_ones_are_taken() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        root = rng.uniform(-1.0, 1.0, (6, rng.integers(1, 7)))
        covariance = from_upper_triangle(upper_triangle(root @ root.T))
        checked_pose((0, 0, 50), UP, covariance)
    checked_pose((0, 0, 50), UP, from_upper_triangle(upper_triangle(largest())))
    checked_pose((0, 0, 50), UP, np.zeros((6, 6)))


def view(name: str, value: float = 0.0, sigma: float = 0.0) -> View:
    bev = AgentBev(
        torch.full((2, 4, 4), value), torch.ones(4, 4, dtype=torch.bool), torch.full((4, 4), sigma)
    )
    return View(bev, np.eye(4), np.zeros((6, 6)), name=name)


class Merger:
    """Fuses by summing; fails with the peers of these names, each in its own way."""

    def __init__(self, **failures: Exception | float) -> None:
        self.failures, self.tries = failures, 0

    def __call__(self, peers: Sequence[View]) -> FusionResult:
        self.tries += 1
        features = torch.zeros(2, 4, 4)
        for peer in peers:
            failure = self.failures.get(peer.name, 1.0)
            if isinstance(failure, Exception):
                raise failure
            features = features + failure
        return FusionResult(
            FusedMap(features, torch.ones(4, 4, dtype=torch.bool)), Prepared(view("uav1"), tuple(peers))
        )


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ({}, 1),
        ({"c": np.linalg.LinAlgError("Singular matrix")}, 5),
        ({"a": RuntimeError("shape"), "d": float("nan")}, 5),
        ({n: ValueError(n) for n in "abcd"}, 6),
    ],
)
def test_whatever_fails_is_left_out_and_reported_and_the_others_are_fused(failures: dict, tries: int) -> None:
    merger, found = Merger(**failures), Reports()
    result = fuse_possible(merger, [view(n) for n in "abcd"], found)
    good = [n for n in "abcd" if n not in failures]
    assert [p.name for p in result.prepared.peers] == good
    assert float(result.map.features.max()) == len(good)
    assert [peer for peer, _ in found.errors] == sorted(failures) and merger.tries == tries <= 4 + 2
    assert {e.reason for _, e in found.errors} <= {"fusion_failed", "non_finite"}


def test_a_single_peer_costs_two_tries_and_an_own_fault_accuses_nobody() -> None:
    merger, found = Merger(a=ValueError("a")), Reports()
    assert fuse_possible(merger, [view("a")], found).prepared.peers == () and merger.tries == 2
    assert [p for p, _ in found.errors] == ["a"]

    def broken(peers: Sequence[View]) -> FusionResult:
        raise RuntimeError("own weights")

    found = Reports()
    with pytest.raises(RuntimeError, match="own weights"):
        fuse_possible(broken, [view("a"), view("b")], found)
    assert found.errors == []


def test_uncertainties_that_are_not_numbers_are_too_large() -> None:
    assert not pose_too_uncertain(view("a", sigma=1.0).bev) and pose_too_uncertain(view("a", sigma=9.0).bev)
    for bad in (np.nan, np.inf):
        unseen = view("a", sigma=1.0).bev
        unseen.sigma[0, 0], unseen.visible[0, 0] = bad, False
        assert pose_too_uncertain(unseen) and pose_too_uncertain(view("a", sigma=bad).bev)
        assert pose_too_uncertain(replace(unseen, visible=torch.zeros(4, 4, dtype=torch.bool)))


# --- with a model -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception().with_thresholds({"detection": 0.0, "objects": 0.0})


def test_a_covariance_that_came_through_blinds_nobody(perception: Perception) -> None:
    """As before bounds of covariances: alignment of poses meets singular and overflowing matrices."""
    for entries in (((0, 0, 1e20), (1, 1, 1e20)), ((0, 0, 1e308), (0, 1, 1e308))):
        found = Reports()
        agents = fleet(perception, replace(DEFAULTS, doubt_peers=False), on_error=found)
        own = observe(agents, 0)
        exchange(agents, own)
        for image in agents["uav1"].receiver.images(own["uav1"].stamp_ns):
            if image.peer == "uav2":
                image.frame.first.covariance[:] = changed(*entries)
        fused = agents["uav1"].answer(own["uav1"]).fused
        assert "uav3" in fused.contributors and "uav2" not in fused.contributors
        assert bool(fused.collaborative.features.isfinite().all())
        assert {peer for peer, _ in found.errors} <= {"uav2"}


@pytest.mark.parametrize(
    ("place", "error"),
    [("decode", RuntimeError("decoder")), ("decode", MemoryError()), ("merge", np.linalg.LinAlgError("x"))],
)
def test_a_peer_that_fails_in_any_step_leaves_the_fusion_of_the_others(
    perception: Perception, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    found = Reports()
    agents = fleet(perception, replace(DEFAULTS, doubt_peers=False), on_error=found)
    own = observe(agents, 0)
    exchange(agents, own)
    agent = agents["uav1"]
    decode, merge = agent._decoder.decode, Fusion.merge

    def failing_decode(model, frame, before):  # type: ignore[no-untyped-def]
        if place == "decode" and frame.first.agent == "uav2":
            raise error
        return decode(model, frame, before)

    def failing_merge(self, model, ready, with_dominant):  # type: ignore[no-untyped-def]
        if place == "merge" and any(p.name == "uav2" for p in ready.peers):
            raise error
        return merge(self, model, ready, with_dominant)

    monkeypatch.setattr(agent._decoder, "decode", failing_decode)
    monkeypatch.setattr(Fusion, "merge", failing_merge)
    agent.fusion.options = NO_PRE_FUSION
    assert agent.answer(own["uav1"]).fused.contributors == ("uav1", "uav3")
    assert [(p, e.reason) for p, e in found.errors] == [("uav2", "fusion_failed")]


@pytest.mark.parametrize("kind", ["features", "latents"])
def test_maps_that_are_not_finite_never_enter_fusion(perception: Perception, kind: str) -> None:
    found = Reports()
    agents = fleet(perception, replace(DEFAULTS, doubt_peers=False), on_error=found)
    own = observe(agents, 0)
    exchange(agents, own)
    agent = agents["uav1"]
    decode = agent._decoder.decode

    def poisoned(model, frame, before):  # type: ignore[no-untyped-def]
        decoded = decode(model, frame, before)
        if frame.first.agent == "uav2":
            bad, latents = decoded.bev.values.clone(), decoded.bev.latents
            assert latents is not None
            bad[0, 0] = torch.nan
            content = replace(latents, rows=bad)
            decoded = replace(
                decoded,
                bev=replace(decoded.bev, content=content.features if kind == "features" else content),
            )
        return decoded

    agent._decoder.decode = poisoned  # type: ignore[method-assign]
    answer = agent.answer(own["uav1"])
    assert answer.fused.contributors == tuple(n for n in NAMES if n != "uav2")
    assert [(p, e.reason) for p, e in found.errors] == [("uav2", "non_finite")]
    assert bool(answer.fused.collaborative.features.isfinite().all())
