"""The figures of a method: collected over frames, egos and scenes, then given as one row of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.tracking import Tracker, velocities_along
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth
from rsdfm_ros.evaluation.methods.radio import Traffic
from rsdfm_ros.evaluation.metrics.accumulator import (
    MAIN_AREA,
    MetricAccumulator,
    Result,
    figures_by_area,
    within,
)
from rsdfm_ros.evaluation.metrics.id_metrics import IdentityScore
from rsdfm_ros.geometry.lattice import Window

GAINS = ("iou_long", "iou_short", "vpq_long", "vpq_short", "map", "ap")
"""Figures of which results also give the difference to a UAV alone, as `gain_…`."""


@dataclass
class MethodScore:
    """Figures of one method: an accumulator per area, the traffic, and ids over time.

    The score of one ego in one scene also holds its tracker.
    """

    areas: dict[str, MetricAccumulator]
    traffic: Traffic
    identity: IdentityScore = field(default_factory=IdentityScore)
    tracker: Tracker = field(default_factory=Tracker)

    @classmethod
    def empty(cls, areas: dict[str, Window]) -> MethodScore:
        """Nothing counted yet."""
        return cls({name: MetricAccumulator(area) for name, area in areas.items()}, Traffic())

    def merge(self, other: MethodScore) -> None:
        """Add what another score counted."""
        for name, accumulator in self.areas.items():
            accumulator.merge(other.areas[name])
        self.traffic.merge(other.traffic)
        self.identity.merge(other.identity)

    def follow(
        self, prediction: FramePrediction, truth: FrameTruth, seen: NDArray[np.bool_], stamp_ns: int
    ) -> None:
        """Give the objects of the next frame ids over time, and compare these with the true ones in the main area."""
        if prediction.tracks is None or not truth.has_futures or MAIN_AREA not in self.areas:
            return
        positions, area = prediction.tracks.positions, self.areas[MAIN_AREA].area
        ids = self.tracker.update(stamp_ns, positions[:, 0], velocities_along(positions))
        mine, theirs = within(positions[:, 0], area), within(truth.objects.centres, area)
        self.identity.add(
            ids[mine],
            positions[mine, 0],
            truth.objects.ids[theirs],
            truth.objects.centres[theirs, :2],
            seen[theirs],
        )

    def result(self) -> Result:
        """Figures by area (metrics.figures_by_area), of ids over time, and of the traffic."""
        return {
            **figures_by_area(self.areas),
            **self.identity.result(),
            **self.traffic.result(FRAME_PERIOD_S),
        }


def merge_scores(total: dict[str, MethodScore], more: Mapping[str, MethodScore]) -> None:
    """Add the scores of further frames to `total`, method by method."""
    for name, score in more.items():
        if name in total:
            total[name].merge(score)
        else:
            total[name] = score


def results_of(scores: Mapping[str, MethodScore]) -> list[dict[str, Any]]:
    """One dictionary per method; `gain_*` is the difference to single, where that was evaluated."""
    figures = {name: score.result() for name, score in scores.items()}
    results: list[dict[str, Any]] = []
    for name, row in figures.items():
        gains: Result = {}
        for key in GAINS:
            value, base = row[key], figures.get("single", {}).get(key)
            if value is not None and base is not None:
                gains[f"gain_{key}"] = value - base
        results.append({"method": name, "frames": scores[name].areas[MAIN_AREA].frames, **row, **gains})
    return results


def merged(parts: Sequence[MethodScore], areas: dict[str, Window]) -> MethodScore:
    """Sum of all parts, in a new score."""
    total = MethodScore.empty(areas)
    for part in parts:
        total.merge(part)
    return total
