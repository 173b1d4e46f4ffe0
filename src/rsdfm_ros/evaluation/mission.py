"""The fleet's answers against the truth, while the mission flies: matched by stamp, scored as offline. Free of ROS.

A frame is scored once its truth, the truth of the four following frames and all answers have arrived. Figures are the
same as those of `rsdfm evaluate` and come from the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.tasks import COLLABORATIVE, SINGLE
from rsdfm_ros.data.frame import FRAME_PERIOD_S, Objects
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth, truth_of
from rsdfm_ros.evaluation.methods.radio import Traffic
from rsdfm_ros.evaluation.metrics.accumulator import (
    MetricAccumulator,
    Result,
    figures_by_area,
    frame_ap,
    frame_iou,
)
from rsdfm_ros.evaluation.protocol import AREAS, HISTORY
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.lattice import Window

VARIANTS = (COLLABORATIVE, SINGLE)
METHOD_OF = {COLLABORATIVE: "rsdfm", SINGLE: "single"}
#: Largest time between the truth of a future and the predicted instant.
FUTURE_TOLERANCE_NS = 50_000_000
PERIOD_NS = round(FRAME_PERIOD_S * 1e9)


@dataclass
class Answer:
    """The answer of one UAV for one instant, task by task, in one variant (with or without peers)."""

    mask: NDArray[np.int32] | None = None
    percent: NDArray[np.uint8] | None = None
    boxes: Boxes | None = None
    tracks: Tracks | None = None
    future: NDArray[np.int32] | None = None


@dataclass
class Instant:
    """Everything known about one instant."""

    frame: int
    stamp_ns: int
    truth: Objects | None = None
    agents: tuple[str, ...] = ()
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    """By (UAV, variant)."""
    status: dict[str, dict[str, Any]] = field(default_factory=dict)
    bytes_sent: dict[str, int] = field(default_factory=dict)
    packets_sent: dict[str, int] = field(default_factory=dict)
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    poses: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    contributors: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Mission:
    """Collects answers and truth and scores them.

    window: cells of all maps · foreground_percent: occupancy from which a cell counts as vehicle · wants_future:
    whether answers come with predicted masks (without them there is no VPQ).
    """

    def __init__(
        self, agents: Sequence[str], window: Window, foreground_percent: int, *, wants_future: bool
    ) -> None:
        self.agents = tuple(agents)
        self.window = window
        self._threshold = foreground_percent
        self._wants_future = wants_future
        self._areas = {n: a for n, a in AREAS.items() if _contains(window, a)} or {"long": window}
        self._scores = {v: {n: MetricAccumulator(a) for n, a in self._areas.items()} for v in VARIANTS}
        self._traffic = Traffic()
        self._by_agent = {
            (agent, variant): MetricAccumulator(next(iter(self._areas.values())))
            for agent in agents
            for variant in VARIANTS
        }
        self._instants: dict[int, Instant] = {}
        self._scored: set[int] = set()
        self._closed_ns = -1
        self.missing_answers = 0
        self.scored_instants = 0

    def at(self, stamp_ns: int) -> Instant:
        """The record of an instant, made when it does not exist yet."""
        if stamp_ns not in self._instants:
            self._instants[stamp_ns] = Instant(-1, stamp_ns)
        return self._instants[stamp_ns]

    def answer(self, agent: str, variant: str, stamp_ns: int) -> Answer:
        """The record of one UAV's answer, made when it does not exist yet."""
        return self.at(stamp_ns).answers.setdefault((agent, variant), Answer())

    def answered(self, stamp_ns: int) -> bool:
        """Whether every UAV has answered this instant with its peers."""
        return self.answered_by(stamp_ns) == set(self.agents)

    def answered_by(self, stamp_ns: int) -> set[str]:
        """The UAVs that have answered this instant with their peers."""
        answers = self.at(stamp_ns).answers
        return {agent for agent in self.agents if self._complete(answers.get((agent, COLLABORATIVE)))}

    def live(self, stamp_ns: int) -> dict[tuple[str, str], dict[str, float | None]]:
        """IoU and AP of this instant by (UAV, variant), as far as answers and truth have arrived."""
        instant = self.at(stamp_ns)
        if instant.truth is None:
            return {}
        area = next(iter(self._areas.values()))
        true = rasterise(instant.truth, area) > 0
        present = FrameTruth(self.window, np.zeros((0, 0, 0), np.int32), instant.truth, np.zeros((0, 0, 0)))
        out: dict[tuple[str, str], dict[str, float | None]] = {}
        for key, answer in instant.answers.items():
            figures: dict[str, float | None] = {}
            if answer.percent is not None:
                figures["iou"] = frame_iou((answer.percent >= self._threshold)[self.window.crop(area)], true)
            if answer.boxes is not None:
                figures["ap"] = frame_ap(answer.boxes, present, area)
            out[key] = figures
        return out

    def advance(self, *, final: bool = False, before_ns: int | None = None) -> list[Instant]:
        """Score all instants that can be scored; they are removed and returned in order.

        final: also those that still miss answers; an instant without the truth of its future is returned unscored.
        before_ns: keep those from this stamp on, which are still needed.
        """
        done = []
        known = sorted(s for s, i in self._instants.items() if i.truth is not None)
        for stamp_ns in known:
            instant = self._instants[stamp_ns]
            if stamp_ns in self._scored:
                continue
            if before_ns is not None and stamp_ns >= before_ns:
                break
            futures = self._futures(stamp_ns, known)
            later = known[-1] > stamp_ns + (HORIZON - 1) * PERIOD_NS
            if not final and not (
                (futures or later) and (stamp_ns <= self._closed_ns or self._all_in(instant))
            ):
                break
            if futures and instant.frame >= HISTORY - 1:
                self.scored_instants += self._score(instant, [self._truth_at(s) for s in futures])
            self._scored.add(stamp_ns)
            instant.answers = dict(instant.answers)
            done.append(instant)
        for stamp_ns in [s for s in self._scored if s in self._instants]:
            del self._instants[stamp_ns]
        return done

    def close(self, stamp_ns: int) -> None:
        """Note that no more answers will come for instants up to this stamp: `advance` does not wait for them."""
        self._closed_ns = max(self._closed_ns, stamp_ns)

    def forget(self, stamp_ns: int) -> int:
        """Drop instants before this stamp without truth; returns the number of them that had answers."""
        old = [s for s, i in self._instants.items() if s < stamp_ns and i.truth is None]
        return sum(bool(self._instants.pop(s).answers) for s in old)

    def results(self) -> list[dict[str, Any]]:
        """One entry per variant, in the form of `rsdfm evaluate`'s results."""
        rows: list[dict[str, Any]] = []
        for variant in (SINGLE, COLLABORATIVE):
            traffic = self._traffic if variant == COLLABORATIVE else Traffic()
            figures = {**figures_by_area(self._scores[variant]), **traffic.result(FRAME_PERIOD_S)}
            rows.append({"method": METHOD_OF[variant], **figures})
        return rows

    def agent_result(self, agent: str, variant: str) -> Result:
        """Figures of one UAV over the mission so far (±50 m)."""
        return self._by_agent[agent, variant].result()

    def _score(self, instant: Instant, objects: Sequence[Objects]) -> bool:
        """Whether there was anything to score."""
        truth = truth_of(objects, self.window)
        columns = {name: n for n, name in enumerate(instant.agents)}
        for (agent, variant), answer in sorted(instant.answers.items()):  # not in the order of arrival
            if not self._complete(answer):
                self.missing_answers += variant == COLLABORATIVE
                continue
            used = instant.contributors.get(agent, (agent,)) if variant == COLLABORATIVE else (agent,)
            seen = truth.visible_to([columns[u] for u in used if u in columns])
            prediction = self._prediction(answer)
            for accumulator in (*self._scores[variant].values(), self._by_agent[agent, variant]):
                accumulator.add(prediction, truth, seen)
        traffic = self._traffic
        for agent, size in instant.bytes_sent.items():
            traffic.sender_frames += 1
            traffic.message_bytes += size
            traffic.messages += instant.packets_sent.get(agent, 0)
            traffic.most_bytes = max(traffic.most_bytes, size)
        return any(self._complete(answer) for answer in instant.answers.values())

    def _prediction(self, answer: Answer) -> FramePrediction:
        foreground = None if answer.percent is None else answer.percent >= self._threshold
        return FramePrediction(self.window, foreground, answer.future, answer.boxes, answer.tracks)

    def _complete(self, answer: Answer | None) -> bool:
        if answer is None or answer.percent is None or answer.boxes is None or answer.tracks is None:
            return False
        return answer.mask is not None and (answer.future is not None or not self._wants_future)

    def _all_in(self, instant: Instant) -> bool:
        singles = {agent for agent, variant in instant.answers if variant == SINGLE}
        wanted = [(a, COLLABORATIVE) for a in self.agents] + [(a, SINGLE) for a in singles]
        return all(self._complete(instant.answers.get(key)) for key in wanted)

    def _futures(self, stamp_ns: int, known: Sequence[int]) -> list[int]:
        """Stamps of the truth at this instant and the predicted ones; none if one of them is missing."""
        found = []
        for step in range(HORIZON):
            due = stamp_ns + step * PERIOD_NS
            nearest = min(known, key=lambda s: abs(s - due))
            if abs(nearest - due) > FUTURE_TOLERANCE_NS:
                return []
            found.append(nearest)
        return found

    def _truth_at(self, stamp_ns: int) -> Objects:
        truth = self._instants[stamp_ns].truth
        assert truth is not None
        return truth


def window_of_bounds(bounds_m: tuple[float, ...], cell_size_m: float) -> Window:
    """The window with these bounds (x_min, y_min, x_max, y_max). RsdfmError unless it is made of whole cells."""
    cells = [b / cell_size_m for b in bounds_m]
    i0, j0, i1, j1 = (round(c) for c in cells)
    if any(abs(c - round(c)) > 1e-6 for c in cells) or i1 <= i0 or j1 <= j0:
        raise RsdfmError(f"map_bounds_m {bounds_m} is no rectangle of whole cells of {cell_size_m} m")
    return Window(i0, j0, i1 - i0, j1 - j0, cell_size_m)


def _contains(window: Window, area: Window) -> bool:
    try:
        window.crop(area)
    except ValueError:
        return False
    return True
