"""Ids over time: hand-made crossings, stops and occlusions; figures of identity by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from rsdfm_ros.agent.tracking import MAX_ID, Identities, Tracker, TrackerConfig, _assign, with_ids
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.metrics.id_metrics import IdentityScore

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
    assert tracker.update(5 * STEP_NS, here, here).tolist() == [3]
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


def test_another_look_at_an_instant_finds_the_same_objects_and_moves_no_track() -> None:
    tracker = Tracker()
    boxes, speed = np.array([[0.0, 0.0], [20.0, 0.0]]), np.array([[8.0, 0.0], [0.0, 0.0]])
    assert tracker.update(0, boxes, speed).tolist() == [1, 2]
    instances = np.array([[40.0, 0.0], [20.0, 0.9], [1.2, 0.0]])  # the first one has no box
    assert tracker.update(0, instances).tolist() == [3, 2, 1]
    assert tracker.update(0, instances, np.array([[6.0, 0.0], [0.0, 0.0], [8.0, 0.0]])).tolist() == [3, 2, 1]
    # The tracks go on from the boxes, 4 m further; what has no box goes on by what the trajectory says.
    later = np.array([[2.6, 0.0], [20.0, -1.4], [43.0, 0.0]])
    assert tracker.update(STEP_NS, later, np.zeros((3, 2))).tolist() == [1, 2, 3]


def test_velocities_that_are_not_known_leave_those_of_the_track() -> None:
    tracker = Tracker()
    for k in range(2):  # only the first look knows how fast it is
        tracker.update(k * STEP_NS, np.array([[8.0 * k, 0.0]]), np.array([[16.0, 0.0]]))
        assert tracker.update(k * STEP_NS, np.array([[8.0 * k, 0.5]])).tolist() == [1]


def test_ids_fit_a_mask_and_start_anew_without_those_in_use() -> None:
    tracker = Tracker(TrackerConfig(coast_s=1.0))
    parked = np.array([[0.0, 0.0]])
    assert tracker.update(0, parked, np.zeros((1, 2))).tolist() == [1]
    seen: list[int] = []
    for k in range(1, 70):
        crowd = np.concatenate([parked, 100.0 * k + 1e5 + 10.0 * np.stack([np.arange(1000)] * 2, -1)])
        ids = tracker.update(k * 10 * STEP_NS if k > 1 else STEP_NS, crowd)
        seen += ids[1:].tolist()
        tracker.update(k * 10 * STEP_NS + STEP_NS, parked)
    assert max(seen) == MAX_ID and min(seen) >= 1 and len(seen) > MAX_ID
    tracker = Tracker()
    tracker.update(0, parked)
    tracker._next = MAX_ID
    assert tracker.update(0, 50.0 + 50.0 * np.stack([np.arange(3)] * 2, -1)).tolist() == [MAX_ID, 2, 3]


def test_box_instance_and_trajectory_of_an_object_have_one_id_in_each_variant() -> None:
    identities = Identities()
    for k in range(3):
        when = ("", k * STEP_NS, 3.5)
        boxes = np.array([[5.0 * k, 0.0, 0.8], [30.0, 0.0, 0.8], [60.0, 0.0, 0.8]])
        speeds = np.array([[10.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
        sure = np.array([True, k != 1, False])
        ids = identities.of_boxes(*when, boxes, speeds, sure)
        assert ids.tolist() == [1, 2 if k != 1 else 0, 0], "what is not sure is not tracked"
        instances = np.array([[30.3, 0.2], [5.0 * k + 0.5, 0.0], [60.0, 0.0]])
        assert identities.of_instances(*when, instances).tolist() == [2, 1, 3]
        ahead = np.array([0.0, 5.0, 0.0])[:, None] * np.arange(5)
        positions = instances[:, None] + np.stack([ahead, np.zeros_like(ahead)], axis=-1)
        assert identities.of_trajectories(*when, positions).tolist() == [2, 1, 3]
        assert identities.of_instances("single/", k * STEP_NS, 3.5, instances[2:]).tolist() == [1]


@pytest.mark.parametrize(("memory_s", "same"), [(0.5, False), (1.5, True)])
def test_an_unseen_object_keeps_its_id_as_long_as_is_set(memory_s: float, same: bool) -> None:
    identities, here = Identities(), np.zeros((1, 2))
    assert identities.of_instances("", 0, memory_s, here).tolist() == [1]
    assert identities.of_instances("", STEP_NS, memory_s, here[:0]).tolist() == []
    assert identities.of_instances("", 2 * STEP_NS, memory_s, here).tolist() == [1 if same else 2]
    identities.clear()
    assert identities.of_instances("", 2 * STEP_NS, memory_s, here).tolist() == [2 if same else 3]


def test_a_map_of_instances_takes_other_ids() -> None:
    assert with_ids(np.array([[0, 2], [1, 2]], np.int32), np.array([40, 7])).tolist() == [[0, 7], [40, 7]]
    assert with_ids(np.zeros((2, 2), np.int32), np.zeros(0, np.int64)).tolist() == [[0, 0], [0, 0]]


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
    # One of two objects gets another id after two of four frames: of 8 observations 6 count.
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


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 7), st.floats(0.1, 1.0))
def test_as_many_pairs_as_possible_are_matched_and_of_these_the_cheapest(
    seed: int, n: int, m: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    cost, allowed = rng.uniform(0.0, 5.0, (n, m)), rng.random((n, m)) < share
    cost[rng.random((n, m)) < 0.2] = 0.0
    assume(allowed.any())
    rows, columns = _assign(cost, allowed)
    assert allowed[rows, columns].all() and len(set(rows)) == len(set(columns)) == len(rows)
    r, c = linear_sum_assignment(np.where(allowed, cost, 1000.0))
    real = allowed[r, c]
    assert len(rows) == real.sum()
    assert cost[rows, columns].sum() == pytest.approx(cost[r, c][real].sum(), abs=1e-9)
