"""Preparation of maps before they are fused, in one function, and the answers of a UAV without peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.agent.fusion import is_finite
from rsdfm_ros.agent.options import NO_PRE_FUSION, PreFusionOptions
from rsdfm_ros.agent.prefusion.latency import compensate_latency
from rsdfm_ros.agent.prefusion.pose_alignment import align_poses
from rsdfm_ros.agent.prefusion.prepare import CONTRADICTS, MISPLACED, prepare
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.solo import SoloHistory
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.model.perception import Perception
from support.maps import WINDOW, bev_of, boxes_at, smooth, views
from support.painted import tiny_perception
from support.sightings import camera

OPTIONS = PreFusionOptions()


def named(sigma: float = 0.5) -> tuple[View, list[View]]:
    own, peers = views(sigma)
    return replace(own, name="a"), [replace(p, name=n) for n, p in zip("bc", peers, strict=True)]


def without(name: str) -> Callable[[View, Sequence[View]], list[View]]:
    """A consistency check that believes everybody but one."""
    return lambda own, peers: [p for p in peers if p.name != name]


def same(a: View, b: View) -> bool:
    return torch.equal(a.bev.features, b.bev.features) and torch.equal(a.bev.sigma, b.bev.sigma)


def test_it_is_the_three_steps_one_after_the_other() -> None:
    own, peers = named()
    peers[0] = replace(
        peers[0], age_s=0.5, boxes=boxes_at(peers[0].boxes.centres[:, :2], np.full((24, 2), 4.0))
    )
    ready = prepare(own, peers, WINDOW, OPTIONS, lambda: own.boxes, believed=without("b"))
    moved = [compensate_latency(p, WINDOW) for p in peers]
    mine, others, corrections = align_poses(own, moved, WINDOW)
    believed = without("b")(mine, others)
    assert same(ready.own, mine) and len(ready.peers) == len(believed)
    assert all(same(a, b) for a, b in zip(ready.peers, believed, strict=True))
    for name, correction in zip("abc", corrections, strict=True):
        assert (name in ready.corrections) == bool(correction.matches)


def test_what_is_switched_off_is_not_done_and_boxes_are_not_asked_for() -> None:
    own, peers = named()
    old = replace(peers[0], age_s=0.5, boxes=boxes_at(peers[0].boxes.centres[:, :2], np.full((24, 2), 4.0)))
    false = View(bev_of(smooth(3, channels=3)), camera(3), own.covariance, None, name="d")

    def unwanted() -> None:
        raise AssertionError("nobody should ask for own boxes")

    ready = prepare(own, [old, false], WINDOW, NO_PRE_FUSION, unwanted)
    assert ready.own is own and ready.peers == (old, false)
    assert not ready.corrections and not ready.left_out
    only_moved = prepare(own, [old], WINDOW, replace(NO_PRE_FUSION, compensate_latency=True), unwanted)
    assert same(only_moved.peers[0], compensate_latency(old, WINDOW)) and not same(only_moved.peers[0], old)
    only_doubted = prepare(
        own, [old, false], WINDOW, PreFusionOptions(False, False, True), unwanted, believed=without("d")
    )
    assert only_doubted.left_out == {"d": CONTRADICTS}
    corrected = prepare(own, [old], WINDOW, PreFusionOptions(False, True, False), lambda: own.boxes)
    assert set(corrected.corrections) == {"a", "b"} and not same(corrected.own, own)


def test_exact_poses_need_no_boxes_and_nobody_to_fuse_needs_nothing() -> None:
    own, peers = named(0.0)

    def unwanted() -> None:
        raise AssertionError("nobody should ask for own boxes")

    ready = prepare(own, peers, WINDOW, OPTIONS, unwanted)
    assert ready.own is own and all(a is b for a, b in zip(ready.peers, peers, strict=True))
    alone = prepare(named()[0], [], WINDOW, OPTIONS, unwanted)
    assert alone.peers == () and not alone.corrections


def test_whoever_is_left_out_is_named_with_the_reason() -> None:
    own, peers = named(0.2)
    lost = View(
        bev_of(smooth(7, channels=3), sigma=4.5), peers[0].T_map_camera, np.eye(6) * 100.0, None, name="lost"
    )
    false = View(bev_of(smooth(3, channels=3)), camera(3), own.covariance, None, name="false")
    ready = prepare(
        own, [peers[0], lost, false], WINDOW, OPTIONS, lambda: own.boxes, believed=without("false")
    )
    assert ready.left_out == {"lost": MISPLACED, "false": CONTRADICTS}
    assert [v.name for v in ready.peers] == ["b"]


def test_a_uav_without_boxes_of_its_own_is_not_corrected() -> None:
    own, peers = named()
    ready = prepare(own, peers, WINDOW, OPTIONS, lambda: None)
    assert ready.own.bev is own.bev and set(ready.corrections) == {"b", "c"}


@settings(max_examples=10, deadline=None)
@given(height=st.floats(-80.0, 300.0))
def test_ground_at_another_height_is_corrected_just_the_same(height: float) -> None:
    def lifted(view: View) -> View:
        T = view.T_map_camera.copy()
        T[2, 3] += height
        return replace(view, T_map_camera=T)

    own, peers = named()
    low = prepare(own, peers, WINDOW, OPTIONS, lambda: own.boxes)
    high = prepare(
        lifted(own),
        [lifted(p) for p in peers],
        WINDOW,
        OPTIONS,
        lambda: own.boxes,
        ground=GroundPlane(offset=height),
    )
    for name, correction in low.corrections.items():
        np.testing.assert_allclose(high.corrections[name].delta, correction.delta, atol=1e-7)
    torch.testing.assert_close(high.own.bev.features, low.own.bev.features, atol=1e-3, rtol=0)


# --- alone ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception().with_thresholds({"detection": 0.0})


def own_map(perception: Perception, seed: int) -> AgentBev:
    features = torch.randn(perception.config.channels, *perception.window.shape, generator=_seeded(seed))
    visible = torch.rand(perception.window.shape, generator=_seeded(seed + 100)) > 0.3
    return AgentBev(features * visible, visible, torch.zeros(perception.window.shape))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_alone_is_what_fusing_with_nobody_and_detecting_give(perception: Perception) -> None:
    history, bevs = SoloHistory(3, 1.0), [own_map(perception, n) for n in range(5)]
    solos = [history.add(perception, n * 10**9, bev) for n, bev in enumerate(bevs)]
    direct = [perception.fuse(b, [], []) for b in bevs]
    assert torch.equal(solos[4].fused().features, direct[4].features)
    found, expected = solos[4].detections(), perception.detect(direct[2:])
    np.testing.assert_array_equal(found.centres, expected.centres)
    np.testing.assert_array_equal(found.scores, expected.scores)
    boxes = solos[4].boxes()
    assert boxes is not None and len(boxes) == (expected.scores >= 0.3).sum()


def test_each_part_is_computed_once(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fuse", "detect"):
        real = getattr(Perception, name)
        monkeypatch.setattr(
            Perception, name, lambda self, *a, _n=name, _r=real, **k: (calls.append(_n), _r(self, *a, **k))[1]
        )
    history = SoloHistory(3)
    for n in range(3):
        solo = history.add(perception, n, own_map(perception, n))
    assert calls == [], "nobody asked for anything"
    for _ in range(2):
        solo.detections(), solo.boxes(), solo.fused()
    assert sorted(calls) == ["detect", "fuse", "fuse", "fuse"]
    assert solo.saw([m.fused for m in solo._maps]) and not solo.saw([solo.fused()])


def test_a_gap_a_step_back_or_another_region_starts_anew(perception: Perception) -> None:
    history, second = SoloHistory(3, 1.0), 10**9
    lengths = []
    for ns in (0, second, 2 * second, 4 * second, 3 * second, 4 * second):
        lengths.append(len(history.add(perception, ns, own_map(perception, 0))._maps))
    assert lengths == [1, 2, 3, 1, 1, 2]
    elsewhere = perception.at(Window(32, 0, 32, 32, 1.0))
    assert len(history.add(elsewhere, 5 * second, own_map(perception, 0))._maps) == 1
    history.clear()
    assert len(history.add(elsewhere, 6 * second, own_map(perception, 0))._maps) == 1


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([0.0, 1.0], True),
        ([1.0, float("nan")], False),
        ([float("inf"), float("-inf")], False),
        ([3e38, 3e38], True),
        ([], True),
    ],
)
def test_maps_are_finite_if_every_value_is(values: list[float], finite: bool) -> None:
    assert is_finite(torch.tensor(values)) is finite
