"""Trajectory errors, truth from consecutive frames, and the accumulator that joins all metrics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.outputs import Tracks
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth, truth_of
from rsdfm_ros.evaluation.metrics.accumulator import MetricAccumulator, frame_ap, frame_iou
from rsdfm_ros.evaluation.metrics.trajectory import TrajectoryErrors, nearest_pairs
from rsdfm_ros.geometry.lattice import square_window
from support.perfect import perfect_prediction

WINDOW = square_window(64.0, 0.5)
AREA = square_window(50.0, 0.5)


def _frames(seed: int = 0, n: int = 12, count: int = 5) -> list[Objects]:
    """A world whose objects stand on a grid, far enough apart, and drive at constant velocity."""
    rng = np.random.default_rng(seed)
    start = np.stack(np.meshgrid([-45.0, -15.0, 15.0, 44.0], [-40.0, 0.0, 40.0]), -1).reshape(-1, 2)[:n]
    velocity = rng.uniform(-6, 6, (n, 2))
    return [
        Objects(
            ids=np.arange(1, n + 1),
            classes=rng.integers(0, 4, n) * 0 + np.arange(n) % 4,
            centres=np.column_stack([start + 0.5 * k * velocity, np.full(n, 0.8)]),
            sizes=np.tile([4.5, 1.9, 1.6], (n, 1)),
            yaws=np.arctan2(velocity[:, 1], velocity[:, 0]),
            velocities=velocity,
            visibility=np.column_stack([np.arange(n) % 2, np.full(n, 0.05)]),
        )
        for k in range(count)
    ]


def test_trajectory_errors_by_hand() -> None:
    true = np.array([[[0, 0], [1, 0], [2, 0]], [[50, 0], [50, 0], [np.nan, np.nan]]], dtype=float)
    predicted = np.array(
        [[[0, 1], [1, 1], [2, 3]], [[50, 1], [50, 2], [50, 2]], [[90, 0], [0, 0], [0, 0]]], dtype=float
    )
    errors = TrajectoryErrors()
    errors.add(predicted, true)
    result = errors.result()
    assert result["ade"] == pytest.approx(((1 + 3) / 2 + 2) / 2)
    assert result["fde"] == pytest.approx(3.0)
    assert result["track_recall"] == 1.0


def test_pairs_are_one_to_one_nearest_first() -> None:
    a, b = np.array([[0.0, 0.0], [0.5, 0.0]]), np.array([[0.4, 0.0], [-1.0, 0.0]])
    assert nearest_pairs(a, b, 2.0) == [(1, 0), (0, 1)]
    assert nearest_pairs(a, b, 0.2) == [(1, 0)]
    assert TrajectoryErrors().result() == {"ade": None, "fde": None, "track_recall": None}


def test_truth_follows_ids_and_marks_those_that_left() -> None:
    frames = _frames()
    frames[3] = frames[3].select(np.arange(1, 12))
    shuffled = [
        f.select(np.random.default_rng(k).permutation(len(f))) if k else f for k, f in enumerate(frames)
    ]
    truth = truth_of(shuffled, WINDOW)
    assert truth.ids.shape == (5, 256, 256)
    assert np.isnan(truth.positions[0, 3]).all()
    np.testing.assert_allclose(truth.positions[5, :, :], [f.centres[f.ids == 6][0, :2] for f in frames])
    with pytest.raises(ValueError, match="5 consecutive"):
        truth_of(frames[:4], WINDOW)


def test_perfect_prediction_scores_one_in_every_metric() -> None:
    truth = truth_of(_frames(), WINDOW)
    for area in (AREA, square_window(25.0, 0.5)):
        metrics = MetricAccumulator(area)
        metrics.add(perfect_prediction(truth), truth, truth.visible_to([0, 1]))
        result = metrics.result()
        for key in (
            "iou",
            "pq",
            "vpq",
            "ap",
            "map",
            "track_recall",
            "iou_visible",
            "ap_visible",
            "map_visible",
        ):
            assert result[key] == 1.0, key
        assert result["ade"] == result["fde"] == result["translation_error_m"] == result["id_switches"] == 0.0


def test_empty_prediction_scores_zero() -> None:
    truth = truth_of(_frames(), WINDOW)
    nothing = perfect_prediction(truth_of([f.select(np.zeros(12, dtype=bool)) for f in _frames()], WINDOW))
    metrics = MetricAccumulator(AREA)
    metrics.add(nothing, truth)
    result = metrics.result()
    assert [result[k] for k in ("iou", "pq", "vpq", "ap", "map")] == [0.0] * 5
    assert result["ade"] is None


def test_missing_outputs_are_not_scored() -> None:
    truth = truth_of(_frames(), WINDOW)
    metrics = MetricAccumulator(AREA)
    metrics.add(FramePrediction(WINDOW, foreground=truth.ids[0] > 0), truth)
    result = metrics.result()
    assert (result["iou"], result["vpq"], result["ap"], result["ade"]) == (1.0, None, None, None)
    assert "iou_visible" not in result


def test_visibility_needs_one_agent_in_use_that_sees_a_tenth() -> None:
    truth = truth_of(_frames(), WINDOW)
    np.testing.assert_array_equal(truth.visible_to([0]), np.arange(12) % 2 == 1)
    assert not truth.visible_to([1]).any()
    np.testing.assert_array_equal(truth.visible_to([0, 1]), truth.visible_to([0]))


def test_visible_only_figures_do_not_blame_for_hidden_objects() -> None:
    truth = truth_of(_frames(), WINDOW)
    seen = truth.visible_to([0])
    prediction = perfect_prediction(truth_of([f.select(seen) for f in _frames()], WINDOW))
    metrics = MetricAccumulator(AREA)
    metrics.add(prediction, truth, seen)
    result = metrics.result()
    assert result["iou_visible"] == result["ap_visible"] == 1.0
    assert result["iou"] < 0.6
    assert result["ap"] == pytest.approx(0.5)


def test_objects_outside_the_area_are_not_scored() -> None:
    frames = _frames()
    truth = truth_of(frames, WINDOW)
    small = square_window(25.0, 0.5)
    inside = (abs(truth.objects.centres[:, :2]) < 25).all(axis=1)
    prediction = perfect_prediction(truth)
    only_inside = dataclasses.replace(prediction, boxes=prediction.boxes.select(inside))
    metrics = MetricAccumulator(small)
    metrics.add(only_inside, truth)
    assert metrics.result()["ap"] == 1.0
    assert 0 < inside.sum() < 12


def test_swapped_future_ids_cost_vpq_only() -> None:
    truth = truth_of(_frames(), WINDOW)
    prediction = perfect_prediction(truth)
    ids = prediction.ids.copy()
    ids[2:] = np.where(ids[2:] == 5, 99, ids[2:])
    metrics = MetricAccumulator(AREA)
    metrics.add(dataclasses.replace(prediction, ids=ids), truth)
    result = metrics.result()
    assert (result["pq"], result["id_switches"]) == (1.0, 1.0)
    assert result["vpq"] < 1.0


def test_live_figures_are_those_of_one_frame() -> None:
    truth = truth_of(_frames(), WINDOW)
    perfect = perfect_prediction(truth)
    assert frame_iou(perfect.foreground, truth.ids[0] > 0) == 1.0
    assert frame_ap(perfect.boxes, truth, AREA) == 1.0
    half = perfect.boxes.select(np.arange(6))
    assert frame_ap(half, truth, AREA) == pytest.approx(0.5)


def test_tracks_start_inside_the_area() -> None:
    truth = truth_of(_frames(), WINDOW)
    far = Tracks(np.array([1]), np.full((1, 5, 2), 60.0), np.ones(1))
    metrics = MetricAccumulator(AREA)
    metrics.add(FramePrediction(WINDOW, tracks=far), truth)
    assert metrics.result()["track_recall"] == 0.0
    assert isinstance(truth, FrameTruth)
