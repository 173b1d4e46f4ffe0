"""Object-level pose correction, against scipy, made-up poses and random ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from rsdfm_ros.geometry.alignment import Correction, Sighting, align
from rsdfm_ros.geometry.box_matching import AlignmentConfig, PlacedBoxes, candidates
from rsdfm_ros.geometry.box_table import Detections
from support.sightings import camera, covariance, noisy_pose, rms, scattered, seen_with

EXACT = np.zeros((6, 6))


def sighting(xy: np.ndarray, T: np.ndarray, cov: np.ndarray, lengths: np.ndarray | None = None) -> Sighting:
    n = len(xy)
    sizes = np.column_stack(
        [np.full(n, 4.5) if lengths is None else lengths, np.full(n, 1.9), np.full(n, 1.6)]
    )
    centres = np.column_stack([xy, np.full(n, 0.8)])
    boxes = Detections(np.zeros(n, np.int64), np.full(n, 0.9), centres, sizes, np.zeros(n), np.zeros((n, 2)))
    return Sighting(boxes, T[:3, 3], cov)


def with_scores(seen: Sighting, scores: np.ndarray) -> Sighting:
    return dataclasses.replace(seen, boxes=dataclasses.replace(seen.boxes, scores=scores))


def placed(xy: np.ndarray, T_true: np.ndarray, T_believed: np.ndarray, correction: Correction) -> np.ndarray:
    """Ground points as placed by the agent after the correction."""
    return seen_with(xy, T_true, correction.pose(T_believed))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([0.2, 0.5, 1.0]))
def test_an_exact_agent_pulls_an_uncertain_one_to_within_the_noise_of_the_boxes(
    seed: int, sigma: float
) -> None:
    rng = np.random.default_rng(seed)
    xy, T = scattered(rng), camera(1)
    believed = noisy_pose(T, rng, sigma, sigma)
    mine = xy + rng.normal(0.0, 0.2, xy.shape)
    theirs = seen_with(xy + rng.normal(0.0, 0.2, xy.shape), T, believed)
    ego, peer = align(
        [sighting(mine, camera(0), EXACT), sighting(theirs, believed, covariance(sigma, sigma))]
    )
    assert not ego.delta.any()
    after = placed(xy, T, believed, peer)
    assert rms(after, xy) < 0.35
    assert rms(after, xy) < max(rms(theirs, xy), 0.3)
    assert peer.matches >= 25


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_uncertain_agents_agree_and_share_the_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy = scattered(rng)
    truths = [camera(n) for n in range(4)]
    believed = [noisy_pose(T, rng, 0.5, 0.5) for T in truths]
    seen = [
        seen_with(xy + rng.normal(0.0, 0.2, xy.shape), T, B) for T, B in zip(truths, believed, strict=True)
    ]
    found = align([sighting(s, B, covariance(0.5, 0.5)) for s, B in zip(seen, believed, strict=True)])
    after = [placed(xy, T, B, c) for T, B, c in zip(truths, believed, found, strict=True)]
    for a in range(4):
        for b in range(a):
            assert rms(after[a], after[b]) < max(0.5, 0.5 * rms(seen[a], seen[b]))
    before = np.sqrt(np.mean([rms(s, xy) ** 2 for s in seen]))
    assert np.sqrt(np.mean([rms(p, xy) ** 2 for p in after])) < 1.05 * before


def test_four_agents_are_better_placed_than_each_alone_on_average() -> None:
    before, after = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        xy = scattered(rng)
        truths = [camera(n) for n in range(4)]
        believed = [noisy_pose(T, rng, 0.5, 0.5) for T in truths]
        seen = [seen_with(xy, T, B) for T, B in zip(truths, believed, strict=True)]
        found = align([sighting(s, B, covariance(0.5, 0.5)) for s, B in zip(seen, believed, strict=True)])
        before += [rms(s, xy) for s in seen]
        after += [rms(placed(xy, T, B, c), xy) for T, B, c in zip(truths, believed, found, strict=True)]
    assert np.mean(after) < 0.55 * np.mean(before)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(3, 40))
def test_boxes_that_have_nothing_in_common_change_next_to_nothing(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    mine, theirs = (rng.uniform(-45, 45, (count, 2)) for _ in range(2))
    prior = covariance(0.2, 0.2)
    ego, peer = align([sighting(mine, camera(0), EXACT), sighting(theirs, camera(1), prior)])
    assert not ego.delta.any()
    limit = 3.5 * np.sqrt(np.diag(prior))
    assert (np.abs(peer.delta) <= limit).all()  # never further than the prior allows
    assert (np.linalg.eigvalsh(prior - peer.covariance) > -1e-9).all()  # never less sure than before


def test_without_uncertainty_nothing_is_corrected() -> None:
    xy = scattered(np.random.default_rng(0))
    found = align([sighting(xy, camera(0), EXACT), sighting(xy + 0.7, camera(1), EXACT)])
    assert all(not c.delta.any() and not c.covariance.any() for c in found)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_common_objects_leave_everything_as_it_is(count: int) -> None:
    xy = scattered(np.random.default_rng(1))
    prior = covariance(1.0, 1.0)
    ego, peer = align([sighting(xy, camera(0), EXACT), sighting(xy[:count] + 0.8, camera(1), prior)])
    assert not peer.delta.any() and peer.matches == 0
    np.testing.assert_allclose(peer.covariance, prior, atol=1e-12)
    assert align([]) == [] and ego.matches == 0


def test_boxes_of_different_size_and_unsure_ones_are_not_the_same_object() -> None:
    xy, prior = scattered(np.random.default_rng(2)), covariance(0.5, 0.0)
    mine = sighting(xy, camera(0), EXACT)
    buses = sighting(xy + 0.4, camera(1), prior, lengths=np.full(len(xy), 12.0))
    assert align([mine, buses])[1].matches == 0
    unsure = with_scores(sighting(xy + 0.4, camera(1), prior), np.full(len(xy), 0.1))
    assert align([mine, unsure])[1].matches == 0


def test_more_boxes_than_are_used_cost_no_more_and_do_no_harm() -> None:
    xy = scattered(np.random.default_rng(6), 60)
    many, shift = np.repeat(xy, 4, axis=0), np.array([0.5, 0.0])
    prior = covariance(0.5, 0.0)
    found = align([sighting(many, camera(0), EXACT), sighting(xy + shift, camera(1), prior)])
    assert found[1].matches <= AlignmentConfig().max_boxes
    best_first = np.concatenate([xy, np.random.default_rng(7).uniform(-45, 45, (180, 2))])
    noisy = with_scores(sighting(best_first, camera(0), EXACT), np.r_[np.full(60, 0.9), np.full(180, 0.4)])
    peer = align([noisy, sighting(xy + shift, camera(1), prior)])[1]
    assert peer.matches >= 55
    np.testing.assert_allclose(peer.delta[:2], [-0.5, 0.0], atol=0.05)


def test_the_order_of_agents_and_boxes_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    xy = scattered(rng)
    views = []
    for n in range(3):
        believed = noisy_pose(camera(n), rng, 0.5, 0.5)
        seen = seen_with(xy + rng.normal(0.0, 0.1, xy.shape), camera(n), believed)
        view = sighting(seen, believed, covariance(0.5, 0.5))
        views.append(with_scores(view, np.linspace(0.5, 1.0, len(xy))))
    straight = align(views)
    back = align(views[::-1])[::-1]
    order = rng.permutation(len(xy))
    shuffled = align([dataclasses.replace(v, boxes=v.boxes.select(order)) for v in views])
    for a, b, c in zip(straight, back, shuffled, strict=True):
        np.testing.assert_allclose(a.delta, b.delta, atol=1e-8)
        np.testing.assert_allclose(a.delta, c.delta, atol=1e-8)
        np.testing.assert_allclose(a.covariance, b.covariance, atol=1e-10)


def test_the_solution_is_that_of_scipy() -> None:
    rng = np.random.default_rng(4)
    config = AlignmentConfig()
    xy, prior = scattered(rng, 12), covariance(0.3, 0.3)
    believed = [noisy_pose(camera(n), rng, 0.3, 0.3) for n in range(2)]
    seen = [seen_with(xy + rng.normal(0.0, 0.1, xy.shape), camera(n), believed[n]) for n in range(2)]
    found = align([sighting(s, B, prior) for s, B in zip(seen, believed, strict=True)])
    scale2 = 2.0 * (2.0 * config.box_sigma_m) ** 2
    w = 0.5 / config.box_sigma_m**2
    whiten = np.diag(1.0 / np.sqrt(np.diag(prior)))

    def cost(delta: np.ndarray) -> np.ndarray:
        moved = [Correction(delta[6 * n : 6 * n + 6], EXACT).pose(believed[n]) for n in range(2)]
        apart = seen_with(seen[0], believed[0], moved[0]) - seen_with(seen[1], believed[1], moved[1])
        squared = (apart**2).sum(-1)
        robust = np.sqrt(w * scale2 * squared / (squared + scale2))  # Geman-McClure
        return np.concatenate([whiten @ delta[:6], whiten @ delta[6:], robust])

    best = least_squares(
        cost, np.zeros(12), x_scale=np.tile(np.sqrt(np.diag(prior)), 2), xtol=1e-14, ftol=1e-14
    )
    ours = np.concatenate([found[0].delta, found[1].delta])
    assert found[1].matches == 12
    np.testing.assert_allclose(ours, best.x, atol=2e-3)
    assert (cost(ours) ** 2).sum() <= 1.001 * (cost(best.x) ** 2).sum()


def test_a_chain_of_agents_is_aligned_through_the_one_in_between() -> None:
    rng = np.random.default_rng(5)
    xy = scattered(rng, 36)
    xy = xy[np.argsort(xy[:, 0])]
    left, right = xy[:22], xy[14:]
    prior = covariance(0.7, 0.3)
    T = [camera(n) for n in range(3)]
    believed = [T[0], *(noisy_pose(t, rng, 0.7, 0.3) for t in T[1:])]
    ego = sighting(left[:14], T[0], EXACT)
    middle = sighting(seen_with(xy, T[1], believed[1]), believed[1], prior)
    far_xy = right[8:]
    far = sighting(seen_with(far_xy, T[2], believed[2]), believed[2], prior)
    found = align([ego, middle, far])
    assert found[1].matches >= 20 and found[2].matches >= 10
    common = xy[22:]
    before = rms(*(seen_with(common, T[n], believed[n]) for n in (1, 2)))
    after = rms(*(placed(common, T[n], believed[n], found[n]) for n in (1, 2)))
    assert before > 0.3 and after < 0.2 * before


@pytest.mark.parametrize("sigma", [1e3, 1e10, 1e20, 1e150])
@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("height", [0.0, 50.0])
def test_no_covariance_and_no_place_makes_the_arithmetic_fail(
    sigma: float, far: float, height: float
) -> None:
    rng = np.random.default_rng(5)
    xy, lost = scattered(rng), camera(1)
    lost[:3, 3] = far, far, height
    cov = np.zeros((6, 6))
    cov[:2, :2] = sigma  # singular, too
    for number in (1, len(xy)):
        seen = [sighting(xy, camera(0), covariance(0.5, 0.5)), sighting(xy[:number], lost, cov)]
        corrections = align([*seen, sighting(xy, camera(2), covariance(0.5, 0.5))])
        assert all(np.isfinite(c.delta).all() for c in corrections)


def test_many_agents_are_matched_with_the_first_and_their_neighbours_only() -> None:
    rng = np.random.default_rng(4)

    def boxes(xy: np.ndarray) -> PlacedBoxes:
        return PlacedBoxes(xy, np.full(len(xy), 4.5), np.array([0.0, 0.0, 60.0]), np.zeros((6, 6)))

    config = AlignmentConfig()
    few = [boxes(rng.uniform(-50, 50, (9, 2))) for _ in range(4)]
    assert len(candidates(few, config)) == 6
    rowed = [boxes(rng.uniform(-5, 5, (9, 2)) + np.array([40.0 * n, 0.0])) for n in range(12)]
    pairs = candidates([*rowed, boxes(np.zeros((0, 2)))], config)
    assert {(0, n) for n in range(13)} - set(pairs) == {(0, 0)}
    assert {(n, n + 1) for n in range(11)} <= set(pairs)
    assert len(set(pairs)) == len(pairs) <= 13 * (config.partners + 1) and all(a < b for a, b in pairs)


def test_many_agents_agree_as_few_do() -> None:
    rng = np.random.default_rng(8)
    xy = scattered(rng)
    truths = [camera(n) for n in range(10)]
    believed = [noisy_pose(T, rng, 0.5, 0.5) for T in truths]
    seen = [
        seen_with(xy + rng.normal(0.0, 0.2, xy.shape), T, B) for T, B in zip(truths, believed, strict=True)
    ]
    found = align([sighting(s, B, covariance(0.5, 0.5)) for s, B in zip(seen, believed, strict=True)])
    after = [placed(xy, T, B, c) for T, B, c in zip(truths, believed, found, strict=True)]
    pairs = [(a, b) for a in range(10) for b in range(a)]
    apart = np.mean([rms(after[a], after[b]) for a, b in pairs])
    assert apart < 0.35 * np.mean([rms(seen[a], seen[b]) for a, b in pairs])
