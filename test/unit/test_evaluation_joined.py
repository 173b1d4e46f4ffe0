"""Features and boxes together: what the features do not know is drawn, the rest stays theirs."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from painted import PaintedScene, objects_at, run_settings, tiny_perception

from rsdfm_ros.evaluation.disturb import parse_disturbance
from rsdfm_ros.evaluation.frames import (
    FramePrediction,
    FrameTruth,
    boxes_of_objects,
    no_boxes,
    perfect_prediction,
    truth_of,
)
from rsdfm_ros.evaluation.joined import joined
from rsdfm_ros.evaluation.methods.boxes import BOXES_ONLY_BELOW_BYTES
from rsdfm_ros.evaluation.runner import evaluate_scene
from rsdfm_ros.evaluation.step import Step
from rsdfm_ros.geometry.lattice import square_window

WINDOW = square_window(16.0, 0.5)
OBJECTS = [objects_at(k) for k in range(5)]
BOXES = boxes_of_objects(OBJECTS[0])


def truth(*which: int) -> FrameTruth:
    return truth_of([o.select(np.array(which, np.int64)) for o in OBJECTS], WINDOW)


def answer(*known: int) -> FramePrediction:
    """What features say that know these objects, without doubt."""
    perfect = perfect_prediction(truth(*known))
    assert perfect.foreground is not None
    return dataclasses.replace(perfect, probability=perfect.foreground.astype(np.float32))


def test_an_object_that_the_features_do_not_know_is_drawn_and_moves_on() -> None:
    out, true = joined(answer(0), BOXES, 0.3), truth(0, 1, 2)
    assert out.foreground is not None and out.ids is not None and out.tracks is not None
    np.testing.assert_array_equal(out.foreground, true.ids[0] > 0)
    np.testing.assert_array_equal(out.ids > 0, true.ids > 0)
    for step in range(5):  # one id per object, the same at all steps
        pairs = set(zip(true.ids[step].ravel().tolist(), out.ids[step].ravel().tolist(), strict=True))
        assert len(pairs) == 4
    assert len(out.tracks.ids) == 3 and out.boxes is not None and len(out.boxes) == 3


def test_unsure_boxes_change_nothing() -> None:
    weak = dataclasses.replace(BOXES, scores=np.full(3, 0.2))
    before = answer(0, 1, 2)
    out = joined(before, weak, 0.3)
    np.testing.assert_array_equal(out.foreground, before.foreground)
    np.testing.assert_array_equal(out.ids, before.ids)


def test_a_box_tells_which_cells_of_a_known_object_are_believed() -> None:
    before = answer(0)
    assert before.probability is not None and before.foreground is not None
    blurred = np.where(before.foreground, 0.9, 0.0).astype(np.float32)
    grown = before.foreground | np.roll(before.foreground, 3, axis=1)
    blurred[grown & ~before.foreground] = 0.7  # a smear beside it
    out = joined(
        dataclasses.replace(before, probability=blurred, foreground=grown), BOXES.select(np.array([0])), 0.3
    )
    np.testing.assert_array_equal(out.foreground, before.foreground)


def test_what_no_box_knows_stays_where_the_features_are_sure() -> None:
    out = joined(answer(0, 1), BOXES.select(np.array([0])), 0.3)
    assert out.foreground is not None and out.boxes is not None
    np.testing.assert_array_equal(out.foreground, truth(0, 1).ids[0] > 0)
    assert sorted(out.boxes.scores.tolist()) == [0.5, 1.0]


def test_without_boxes_or_objects_there_is_nothing_to_join() -> None:
    out = joined(answer(), no_boxes(), 0.3)
    assert out.foreground is not None and not out.foreground.any()
    assert out.boxes is not None and len(out.boxes) == 0


@pytest.fixture
def detector_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every UAV alone finds all objects."""
    own = Step.own

    def knowing(self: Step, agent: int) -> FramePrediction:
        return dataclasses.replace(own(self, agent), boxes=boxes_of_objects(objects_at(self.index)))

    monkeypatch.setattr(Step, "own", knowing)


@pytest.mark.parametrize("text", ["", "loss=0.4,latency_ms=400"])
def test_boxes_travel_within_the_budget_and_complete_the_answer(detector_that_works: None, text: str) -> None:
    both = run_settings(parse_disturbance(text), ("rsdfm", "rsdfm-boxes"))
    both = dataclasses.replace(both, budget_bytes=BOXES_ONLY_BELOW_BYTES)
    with ThreadPoolExecutor(2) as pool:
        scores = evaluate_scene(tiny_perception(), PaintedScene(), both, pool)
    results = {name: score.result() for name, score in scores.items()}
    assert results["rsdfm-boxes"]["bytes_per_frame"] <= 1.5 * BOXES_ONLY_BELOW_BYTES
    assert results["rsdfm-boxes"]["iou_long"] > results["rsdfm"]["iou_long"] + 0.1
    assert results["rsdfm-boxes"]["map"] > results["rsdfm"]["map"]


def test_below_a_few_kilobytes_boxes_are_all_that_is_sent() -> None:
    perception, scene = tiny_perception(), PaintedScene()
    small = run_settings(methods=("late", "rsdfm-boxes"))
    with ThreadPoolExecutor(2) as pool:
        scores = {n: s.result() for n, s in evaluate_scene(perception, scene, small, pool).items()}
    assert scores["late"] == scores["rsdfm-boxes"]
