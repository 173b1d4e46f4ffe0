"""Ids over time: hand-made crossings, stops and occlusions; figures of identity by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.identity import IdentityScore
from rsdfm_ros.model.tracking import Tracker

STEP_NS = 500_000_000
Array = np.ndarray


def follow(frames: list[Array], velocities: list[Array] | None = None) -> list[list[int]]:
    tracker = Tracker()
    return [
        tracker.update(k * STEP_NS, xy, np.zeros_like(xy) if velocities is None else velocities[k]).tolist()
        for k, xy in enumerate(frames)
    ]


def test_two_that_cross_keep_their_ids() -> None:
    t = np.arange(9) - 4.0
    frames = [np.array([[4.0 * k, 0.6 * k], [-4.0 * k, 0.5 - 0.6 * k]]) for k in t]
    speeds = [np.array([[8.0, 1.2], [-8.0, -1.2]])] * 9
    assert follow(frames, speeds) == [[1, 2]] * 9


def test_the_order_of_a_frame_does_not_matter() -> None:
    frames = [np.array([[0.0, 0.0], [5.0, 0.0], [10.0, 0.0]])] * 2
    tracker = Tracker()
    first = tracker.update(0, frames[0], np.zeros((3, 2)))
    assert (
        tracker.update(STEP_NS, frames[1][[2, 0, 1]], np.zeros((3, 2))).tolist() == first[[2, 0, 1]].tolist()
    )


@pytest.mark.parametrize(("hidden", "same"), [(2, True), (6, True), (8, False)])
def test_an_id_lasts_through_a_short_occlusion_of_a_moving_object(hidden: int, same: bool) -> None:
    path = [np.array([[4.0 * k, 0.0]]) for k in range(20)]
    frames = [xy if not 3 <= k < 3 + hidden else np.zeros((0, 2)) for k, xy in enumerate(path)]
    speeds = [np.tile([8.0, 0.0], (len(xy), 1)) for xy in frames]
    ids = follow(frames, speeds)
    assert ids[:3] == [[1]] * 3 and ids[3 + hidden] == [1 if same else 2]


def test_a_parked_neighbour_does_not_inherit_an_id() -> None:
    # The first of two bays is hidden; what appears beside it later is somebody else.
    frames = [
        np.array([[0.0, 0.0]]),
        np.zeros((0, 2)),
        np.array([[2.8, 0.0]]),
        np.array([[0.1, 0.0], [2.8, 0.0]]),
    ]
    assert follow(frames) == [[1], [], [2], [1, 2]]


def test_a_clock_that_jumps_back_forgets_tracks_but_never_uses_an_id_again() -> None:
    tracker = Tracker()
    here = np.zeros((1, 2))
    assert tracker.update(10 * STEP_NS, here, here).tolist() == [1]
    assert tracker.update(3 * STEP_NS, here, here).tolist() == [2]
    assert tracker.update(4 * STEP_NS, here, here).tolist() == [2]
    tracker.clear()
    assert tracker.update(0, here, here).tolist() == [1]
    with pytest.raises(RsdfmError, match="shape"):
        tracker.update(STEP_NS, here, np.zeros((2, 2)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_ids_are_unique_within_a_frame_and_positions_far_apart_keep_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = np.stack(np.meshgrid(np.arange(4) * 30.0, np.arange(3) * 30.0), -1).reshape(-1, 2)
    speed = rng.uniform(-3, 3, start.shape)  # too slow to meet
    tracker, known = Tracker(), dict[int, int]()
    for k in range(8):
        seen = np.flatnonzero(rng.random(len(start)) < 0.8)
        seen = rng.permutation(seen)
        xy = start[seen] + 0.5 * k * speed[seen] + rng.normal(0, 0.1, (len(seen), 2))
        ids = tracker.update(k * STEP_NS, xy, speed[seen])
        assert len(set(ids.tolist())) == len(ids)
        if k < 6:  # nobody is hidden for longer than tracks live
            for n, i in zip(seen.tolist(), ids.tolist(), strict=True):
                assert known.setdefault(n, i) == i


def score(
    predicted: list[dict[int, float]], true: list[dict[int, float]], seen: list[set[int]] | None = None
) -> dict[str, float | None]:
    """Figures of ids at places along a line."""
    out = IdentityScore()
    for k, (p, t) in enumerate(zip(predicted, true, strict=True)):
        ids, true_ids = np.array(list(p), np.int64), np.array(list(t), np.int64)
        places = [np.array([[x, 0.0] for x in of.values()]).reshape(-1, 2) for of in (p, t)]
        visible = np.array([seen is None or i in seen[k] for i in t], bool)
        out.add(ids, places[0], true_ids, places[1], visible)
    return out.result()


def test_perfect_ids_score_one_whatever_they_are_called() -> None:
    true = [{1: 0.0, 2: 10.0}] * 4
    found = score([{7: 0.1, 5: 10.1}] * 4, true)
    assert found["idf1"] == 1.0 and found["id_changes_per_track"] == 0.0 and found["breaks_per_track"] == 0.0


def test_a_changed_id_by_hand() -> None:
    # One of two objects gets another id after two of four frames: of 8 sights 6 count.
    found = score([{7: 0.0, 5: 10.0}] * 2 + [{7: 0.0, 6: 10.0}] * 2, [{1: 0.0, 2: 10.0}] * 4)
    assert found["idf1"] == pytest.approx(12 / 16) and found["id_changes_per_track"] == 0.5


def test_an_id_is_kept_while_it_is_near_even_if_another_is_nearer() -> None:
    found = score([{7: 0.0}, {7: 1.5, 8: 0.0}], [{1: 0.0}] * 2)
    assert found["id_changes_per_track"] == 0.0
    assert found["idf1"] == pytest.approx(2 * 2 / (2 + 3))


@pytest.mark.parametrize(
    ("hidden", "after", "counted", "kept"),
    [(2, 7, 1, 1.0), (2, 8, 1, 0.0), (6, 7, 1, 1.0), (1, 7, 0, None), (7, 7, 0, None), (3, 0, 1, 0.0)],
)
def test_ids_kept_through_occlusions_by_hand(
    hidden: int, after: int, counted: int, kept: float | None
) -> None:
    predicted: list[dict[int, float]] = [{7: 0.0}] * 2 + [{}] * hidden + [{after: 0.0} if after else {}] * 3
    visible = [{1}] * 2 + [set[int]()] * hidden + [{1}] * 3
    found = score(predicted, [{1: 0.0}] * len(predicted), visible)
    assert found["occlusions"] == counted and found["ids_kept"] == kept
    lost = 2 <= hidden <= 6 and after
    assert found["losses"] == bool(lost)
    assert found["ids_kept_after_loss"] == (float(after == 7) if lost else None)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_idf1_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = [{i + 1: 10.0 * i for i in range(3)} for _ in range(5)]
    predicted = []
    for _ in range(5):
        names = rng.permutation(4)[:3] + 1
        predicted.append({int(n): 10.0 * i for i, n in enumerate(names) if rng.random() < 0.8})
    places = [{x: i for i, x in frame.items()} for frame in predicted]
    best = 0
    for names in itertools.permutations(range(1, 5), 3):
        best = max(best, sum(places[k].get(10.0 * i) == names[i] for k in range(5) for i in range(3)))
    total = 15 + sum(len(p) for p in predicted)
    assert score(predicted, true)["idf1"] == pytest.approx(2 * best / total)
