"""The live report of a mission goes on without a UAV that is lost, and with it once it is back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rsdfm_ros.data.outputs import HORIZON, boxes_of_objects
from rsdfm_ros.evaluation.frames import truth_of
from rsdfm_ros.evaluation.mission import PERIOD_NS, Answer, Mission
from rsdfm_ros.evaluation.pending_instants import LATE_FRAMES, LATE_S, PendingInstants
from rsdfm_ros.geometry.lattice import square_window
from support.bag_data import frame
from support.perfect import perfect_prediction

WINDOW = square_window(16.0, 0.5)
AGENTS = ("uav1", "uav2")


class Flight:
    """A mission whose UAVs answer at will, on a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.mission = Mission(AGENTS, WINDOW, 50, wants_future=False)
        self.waiting = PendingInstants(self.mission, wants_status=True, clock=lambda: self.now_s)
        self.reported: list[int] = []
        self.most = 0

    def stamp_ns(self, k: int) -> int:
        return 10**10 + k * PERIOD_NS

    def tell(self, k: int) -> None:
        instant = self.mission.at(self.stamp_ns(k))
        instant.frame, instant.agents, instant.truth = k, AGENTS, frame(k % 3).objects
        self.waiting.add(instant.stamp_ns)
        self._advance(k)

    def answer(self, k: int, agents: Sequence[str] = AGENTS) -> None:
        perfect = perfect_prediction(truth_of([frame(0).objects] * HORIZON, WINDOW))
        assert perfect.ids is not None and perfect.foreground is not None
        for agent in agents:
            instant = self.mission.at(self.stamp_ns(k))
            instant.answers[agent, "collaborative"] = Answer(
                mask=perfect.ids[0],
                percent=100 * perfect.foreground.astype("uint8"),
                boxes=boxes_of_objects(frame(0).objects),
                tracks=perfect.tracks,
            )
            self._advance(k)
            self.mission.at(self.stamp_ns(k)).status[agent] = {}
            self._advance(k)

    def fly(self, first: int, last: int, agents: Sequence[str] = AGENTS) -> None:
        for k in range(first, last):
            self.tell(k)
            self.answer(k, agents)
            self.now_s += 1.0

    def _advance(self, k: int) -> None:
        due = self.waiting.due(self.stamp_ns(k))
        self.reported += [self.mission.at(ns).frame for ns in due]
        self.mission.advance(before_ns=self.waiting.oldest_ns)
        self.most = max(self.most, len(self.mission._instants))


def test_a_uav_that_is_lost_is_reported_without_and_nothing_piles_up() -> None:
    flight = Flight()
    flight.fly(0, 5)
    assert flight.reported == [0, 1, 2, 3, 4]
    flight.fly(5, 100, ["uav1"])
    assert flight.reported == list(range(100)) and flight.waiting.gone == {"uav2"}
    assert len(flight.waiting) == 0 and flight.most <= LATE_FRAMES + HORIZON + 2
    assert flight.mission.missing_answers == 0  # it gave no half answers
    assert flight.mission.scored_instants > 80


def test_a_uav_that_comes_back_is_waited_for_again() -> None:
    flight = Flight()
    flight.fly(0, 30, ["uav1"])
    assert flight.waiting.gone == {"uav2"}
    flight.fly(30, 40)
    assert flight.waiting.gone == frozenset()
    flight.tell(40)
    flight.answer(40, ["uav1"])
    assert 40 not in flight.reported
    flight.answer(40, ["uav2"])
    assert flight.reported == list(range(41))


@pytest.mark.parametrize("slow", ["few frames", "little time"])
def test_a_uav_that_is_only_slow_is_waited_for(slow: str) -> None:
    flight = Flight()
    flight.fly(0, 5)
    for k in range(5, 5 + (LATE_FRAMES if slow == "few frames" else 3 * LATE_FRAMES)):
        flight.tell(k)
        flight.answer(k, ["uav1"])
        flight.now_s += 100.0 if slow == "few frames" else LATE_S / (4 * LATE_FRAMES)
    assert flight.waiting.gone == frozenset() and flight.reported == [0, 1, 2, 3, 4]
    flight.answer(5, ["uav2"])
    assert flight.reported[-1] == 5


def test_a_frame_that_a_uav_left_out_holds_nothing_up() -> None:
    flight = Flight()
    flight.fly(0, 5)
    flight.fly(5, 6, ["uav1"])
    flight.fly(6, 5 + LATE_FRAMES + 2)
    assert flight.reported.count(5) == 1 and flight.waiting.gone == frozenset()


def test_answers_after_the_report_are_not_kept() -> None:
    flight = Flight()
    flight.fly(0, 60, ["uav1"])
    for k in range(40):
        flight.answer(k, ["uav2"])
    assert flight.most <= LATE_FRAMES + HORIZON + 40
    flight.fly(60, 90, ["uav1"])
    assert len(flight.mission._instants) <= LATE_FRAMES + HORIZON + 2


def test_instants_that_nobody_answered_are_not_reported() -> None:
    flight = Flight()
    flight.fly(0, 3 * LATE_FRAMES, [])
    flight.fly(3 * LATE_FRAMES, 4 * LATE_FRAMES)
    assert flight.reported == list(range(3 * LATE_FRAMES, 4 * LATE_FRAMES))
