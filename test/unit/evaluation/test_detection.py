"""AP, mAP and box errors: hand-computed cases, brute force, nuscenes-devkit, properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.data.frame import CLASSES, Objects
from rsdfm_ros.data.outputs import Boxes, boxes_of_objects, no_boxes
from rsdfm_ros.evaluation.metrics.detection import DetectionAccumulator, average_precision, box_errors


def _objects(xy: list[tuple[float, float]], classes: list[int] | None = None) -> Objects:
    n = len(xy)
    return Objects(
        ids=np.arange(1, n + 1),
        classes=np.array(classes if classes is not None else [0] * n, dtype=np.int64),
        centres=np.column_stack([np.array(xy, dtype=float).reshape(n, 2), np.full(n, 0.8)]),
        sizes=np.tile([4.0, 2.0, 1.6], (n, 1)),
        yaws=np.zeros(n),
        velocities=np.zeros((n, 2)),
        visibility=np.ones((n, 1)),
    )


def _boxes(xy: list[tuple[float, float]], scores: list[float], classes: list[int] | None = None) -> Boxes:
    boxes = boxes_of_objects(_objects(xy, classes))
    return Boxes(boxes.classes, np.array(scores), boxes.centres, boxes.sizes, boxes.yaws, boxes.velocities)


def _random_case(seed: int, n_true: int = 8, n_boxes: int = 14) -> tuple[Boxes, Objects]:
    rng = np.random.default_rng(seed)
    truth = _objects([tuple(p) for p in rng.uniform(-10, 10, (n_true, 2))], list(rng.integers(0, 3, n_true)))
    xy = np.concatenate(
        [truth.centres[:, :2] + rng.normal(0, 1.2, (n_true, 2)), rng.uniform(-10, 10, (n_boxes - n_true, 2))]
    )
    classes = np.concatenate([truth.classes, rng.integers(0, 3, n_boxes - n_true)])
    scores = np.round(rng.uniform(size=n_boxes), 1)  # many ties
    return _boxes([tuple(p) for p in xy], list(scores), list(classes)), truth


def _result(*frames: tuple[Boxes, Objects]) -> dict[str, float | None]:
    accumulator = DetectionAccumulator()
    for boxes, truth in frames:
        accumulator.add(boxes, truth)
    return accumulator.result()


def test_average_precision_by_hand() -> None:
    # Ranked outcomes T F T of 3 objects: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3; envelope 1, 2/3, 2/3.
    ap = average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 3)
    assert ap == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)


def test_predictions_of_equal_score_enter_together() -> None:
    scores = np.array([0.5, 0.5])
    assert average_precision(scores, np.array([True, False]), 1) == pytest.approx(0.5)
    assert average_precision(scores, np.array([False, True]), 1) == pytest.approx(0.5)


def test_average_precision_without_truth_is_undefined_and_without_predictions_zero() -> None:
    assert average_precision(np.zeros(0), np.zeros(0, dtype=bool), 0) is None
    assert average_precision(np.zeros(0), np.zeros(0, dtype=bool), 2) == 0.0


def _brute_force_ap(scores: np.ndarray, correct: np.ndarray, n_true: int) -> float:
    points = []
    for threshold in sorted(set(scores), reverse=True):
        kept = scores >= threshold
        points.append((correct[kept].sum() / n_true, correct[kept].mean()))
    area, reached = 0.0, 0.0
    for recall, _ in points:
        best = max(p for r, p in points if r >= recall)
        area += (recall - reached) * best
        reached = recall
    return area


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40))
def test_average_precision_equals_brute_force(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores, correct = np.round(rng.uniform(size=n), 1), rng.uniform(size=n) < 0.5
    n_true = int(correct.sum()) + int(rng.integers(1, 5))
    assert average_precision(scores, correct, n_true) == pytest.approx(
        _brute_force_ap(scores, correct, n_true)
    )


def test_perfect_boxes_score_one_everywhere() -> None:
    truth = _objects([(0, 0), (10, 0), (0, 20)], [0, 1, 3])
    result = _result((boxes_of_objects(truth), truth))
    for key in ("ap", "map", "ap_0.5m", "ap_1m", "ap_2m", "ap_4m", "ap_iou_0.3", "ap_iou_0.5", "ap_iou_0.7"):
        assert result[key] == 1.0, key
    assert result["ap_truck"] is None  # no truck in the world: not part of the mean
    assert result["translation_error_m"] == result["yaw_error_rad"] == result["velocity_error_mps"] == 0.0


def test_map_averages_classes_and_distances() -> None:
    truth = _objects([(0, 0), (10, 0)], [0, 1])
    result = _result((_boxes([(0, 1.5), (10, 0)], [0.9, 0.8], [0, 1]), truth))
    assert result["ap_car"] == pytest.approx(0.5)  # found at 2 and 4 m, not at 0.5 and 1 m
    assert result["map"] == pytest.approx(0.75)
    assert (result["ap_1m"], result["ap_2m"]) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_wrong_class_hurts_map_but_not_the_class_agnostic_ap() -> None:
    truth = _objects([(0, 0)], [0])
    result = _result((_boxes([(0, 0)], [0.9], [1]), truth))
    assert (result["ap"], result["map"]) == (1.0, 0.0)


def test_a_second_box_on_the_same_object_is_false() -> None:
    truth = _objects([(0, 0), (30, 0)])
    result = _result((_boxes([(0, 0), (0.1, 0), (30, 0)], [0.9, 0.8, 0.7]), truth))
    assert result["ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_sorting_is_global_over_frames() -> None:
    truth = _objects([(0, 0)])
    good, bad = _boxes([(0, 0)], [0.6]), _boxes([(20, 0)], [0.9])
    # Ranked: false (0.9), true (0.6), of 2 objects: precision 1/2 at recall 1/2.
    assert _result((good, truth), (bad, truth))["ap"] == pytest.approx(0.25)


def test_ignored_objects_count_neither_way() -> None:
    truth = _objects([(0, 0), (10, 0), (20, 0)])
    accumulator = DetectionAccumulator()
    accumulator.add(_boxes([(0, 0), (10, 0)], [0.5, 0.9]), truth, counted=np.array([True, False, False]))
    assert accumulator.result()["ap"] == 1.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_boxes_objects_and_frames_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = _random_case(seed), _random_case(seed + 1)

    def shuffled(case: tuple[Boxes, Objects]) -> tuple[Boxes, Objects]:
        return case[0].select(rng.permutation(len(case[0]))), case[1].select(rng.permutation(len(case[1])))

    a, b = _result(first, second), _result(shuffled(second), shuffled(first))
    assert a == pytest.approx(b)
    assert all(0.0 <= v <= 1.0 for k, v in a.items() if k.startswith(("ap", "map")) and v is not None)
    assert (
        a["ap_0.5m"] <= a["ap_1m"] <= a["ap_4m"] + 0.2
    )  # wider limits find more (greedy matching may lose a little)


def test_no_boxes_give_zero_and_no_errors() -> None:
    result = _result((no_boxes(), _objects([(0, 0)])))
    assert (result["ap"], result["map"], result["translation_error_m"]) == (0.0, 0.0, None)


def test_box_errors_by_hand() -> None:
    truth = _objects([(0, 0)])
    box = Boxes(
        np.array([0]),
        np.array([1.0]),
        np.array([[3.0, 4.0, 9.0]]),
        np.array([[2.0, 2.0, 1.6]]),
        np.array([2 * np.pi - 0.1]),
        np.array([[0.0, 2.0]]),
    )
    np.testing.assert_allclose(box_errors(box, truth), [[5.0, 0.5, 0.1, 2.0]])


def test_matches_agree_with_the_nuscenes_devkit() -> None:
    pytest.importorskip("nuscenes")
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.utils import center_distance
    from nuscenes.eval.detection.algo import accumulate, calc_ap
    from nuscenes.eval.detection.data_classes import DetectionBox

    rng = np.random.default_rng(5)
    accumulator, true_boxes, predicted_boxes = DetectionAccumulator(), EvalBoxes(), EvalBoxes()
    for frame in range(12):
        boxes, truth = _random_case(100 + frame, n_true=10, n_boxes=18)
        boxes = Boxes(
            np.zeros_like(boxes.classes),
            rng.uniform(size=len(boxes)),
            *(getattr(boxes, f) for f in _GEOMETRY),
        )
        truth = Objects(truth.ids, np.zeros_like(truth.classes), truth.centres, truth.sizes, truth.yaws,
                        truth.velocities, truth.visibility)  # fmt: skip
        accumulator.add(boxes, truth)
        token = str(frame)
        true_boxes.add_boxes(token, [_devkit_box(DetectionBox, token, c, -1.0) for c in truth.centres])
        predicted_boxes.add_boxes(
            token,
            [
                _devkit_box(DetectionBox, token, c, s)
                for c, s in zip(boxes.centres, boxes.scores, strict=True)
            ],
        )
    result = accumulator.result()
    for distance in (0.5, 1.0, 2.0, 4.0):
        curve = accumulate(true_boxes, predicted_boxes, "car", center_distance, distance)
        ours = result[f"ap_{distance:g}m"]
        # The devkit interpolates linearly between 101 points without an envelope: a little below ours.
        assert 0.0 <= ours - calc_ap(curve, 0.0, 0.0) < 0.03
    assert CLASSES[0] == "car"


_GEOMETRY = ("centres", "sizes", "yaws", "velocities")


def _devkit_box(kind: type, token: str, centre: np.ndarray, score: float) -> object:
    return kind(
        sample_token=token,
        translation=tuple(centre),
        size=(2.0, 4.0, 1.6),
        rotation=(1.0, 0.0, 0.0, 0.0),
        velocity=(0.0, 0.0),
        detection_name="car",
        detection_score=float(score),
        attribute_name="",
    )


def test_ap_by_distance_from_the_ego_by_hand() -> None:
    truth = _objects([(10.0, 0.0), (40.0, 0.0), (50.0, 0.0), (95.0, 0.0)])
    # Near: found. Middle: one of two, after a false one that lies there. Far: nothing, and a false one of its own.
    boxes = _boxes([(10.0, 0.0), (45.0, 20.0), (40.0, 0.0), (0.0, 120.0)], [0.9, 0.8, 0.7, 0.6])
    accumulator = DetectionAccumulator()
    accumulator.add(boxes, truth, ego=np.zeros(2))
    found = accumulator.result()
    assert found["ap_0_30m"] == 1.0
    assert found["ap_30_60m"] == pytest.approx(0.5 * 0.5)
    assert found["ap_60_90m"] is None and found["ap_from_90m"] == 0.0
    # The edge of a band costs nothing: a box just beyond it that finds an object within counts for the object.
    other = DetectionAccumulator()
    other.add(_boxes([(30.5, 0.0)], [0.9]), _objects([(29.5, 0.0)]), ego=np.zeros(2))
    accumulator.merge(other)
    assert other.result()["ap_0_30m"] == 1.0 and other.result()["ap_30_60m"] is None
    assert "ap_0_30m" not in _result((boxes, truth))
