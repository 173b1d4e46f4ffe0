"""Scoring of a mission by stamp: which instants are judged, when, and what happens to those that never can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.outputs import HORIZON, boxes_of_objects
from rsdfm_ros.evaluation.frames import truth_of
from rsdfm_ros.evaluation.mission import PERIOD_NS, Answer, Mission
from rsdfm_ros.geometry.lattice import square_window
from support.bag_data import frame
from support.perfect import perfect_prediction

WINDOW = square_window(32.0, 0.5)
AGENTS = ("uav1", "uav2")


def mission() -> Mission:
    return Mission(AGENTS, WINDOW, 50, wants_future=True)


def tell(m: Mission, k: int, jitter_ns: int = 0) -> int:
    instant = m.at(10**10 + k * PERIOD_NS + jitter_ns)
    instant.frame, instant.agents, instant.truth = k, AGENTS, frame(k).objects
    return instant.stamp_ns


def answer(m: Mission, k: int, agents: Sequence[str] = AGENTS) -> None:
    truth = truth_of([frame(k + n).objects for n in range(HORIZON)], WINDOW)
    perfect = perfect_prediction(truth)
    assert perfect.ids is not None and perfect.foreground is not None
    for agent in agents:
        m.at(10**10 + k * PERIOD_NS).answers[agent, "collaborative"] = Answer(
            mask=perfect.ids[0],
            percent=np.where(perfect.foreground, 100, 0).astype(np.uint8),
            boxes=boxes_of_objects(truth.objects),
            tracks=perfect.tracks,
            future=perfect.ids,
        )


def collaborative(m: Mission) -> dict[str, Any]:
    return next(row for row in m.results() if row["method"] == "rsdfm")


def test_perfect_answers_are_perfect_and_wait_for_the_future() -> None:
    m = mission()
    for k in range(HORIZON + 1):
        answer(m, k)
    judged = []
    for k in range(HORIZON + 3):
        tell(m, k)
        m.advance()
        judged.append(m.scored_instants)
    assert judged == [
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        2,
    ]  # frames 0 and 1 lack a history, every other one waits for its future
    assert collaborative(m)["iou_short"] == 1.0 and collaborative(m)["vpq_short"] == 1.0


def test_what_somebody_still_needs_is_neither_judged_nor_forgotten() -> None:
    m = mission()
    answer(m, 2)
    for k in range(2 + HORIZON):
        tell(m, k)
    m.close(2**62)
    stamp_ns = 10**10 + 2 * PERIOD_NS
    assert [i.frame for i in m.advance(before_ns=stamp_ns)] == [0, 1] and m.scored_instants == 0
    assert m.answered(stamp_ns)
    assert [i.frame for i in m.advance()][:1] == [2] and m.scored_instants == 1


def test_a_closed_instant_is_judged_without_the_missing_answer() -> None:
    m = mission()
    answer(m, 2, ["uav1"])
    for k in range(2 + HORIZON):
        ns = tell(m, k)
    m.close(10**10 + PERIOD_NS)
    m.advance()
    assert m.scored_instants == 0  # the other UAV may still answer
    m.close(ns)
    m.advance()
    assert m.scored_instants == 1 and collaborative(m)["iou_short"] == 1.0


@pytest.mark.parametrize(("jitter_ns", "judged"), [(20_000_000, 1), (200_000_000, 0)])
def test_futures_are_found_by_time_and_not_by_number(jitter_ns: int, judged: int) -> None:
    m = mission()
    answer(m, 2)
    for k in range(2 + HORIZON):
        tell(m, k, jitter_ns if k == 4 else 0)
    tell(m, 2 + HORIZON)
    m.close(2**62)
    m.advance(final=True)
    assert m.scored_instants == judged


def test_truth_that_is_told_more_often_changes_nothing() -> None:
    m = mission()
    answer(m, 2)
    for k in range(2 + HORIZON):
        tell(m, k)
        half = m.at(10**10 + k * PERIOD_NS + PERIOD_NS // 2)
        half.frame, half.agents, half.truth = 100 + k, AGENTS, frame(k).objects
    m.close(2**62)
    m.advance(final=True)
    assert collaborative(m)["iou_short"] == 1.0 and collaborative(m)["vpq_short"] == 1.0


def test_instants_without_truth_are_forgotten_and_counted() -> None:
    m = mission()
    answer(m, 0)
    m.at(5)
    assert m.forget(10**10 + 1) == 1 and m.forget(2**62) == 0


def test_the_order_of_answers_does_not_change_the_figures() -> None:
    rows = []
    for agents in (AGENTS, AGENTS[::-1]):
        m = mission()
        answer(m, 2, agents)
        for k in range(2 + HORIZON):
            tell(m, k)
        m.advance(final=True)
        rows.append(m.results())
    assert rows[0] == rows[1]
