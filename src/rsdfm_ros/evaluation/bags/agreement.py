"""Agreement between UAVs about the area that all of them see: a measure for flights without ground truth.

Agreement does not measure accuracy: UAVs that share features may agree on a mistake. Without peers (`single`) their
answers are independent, and their agreement is an upper bound of the accuracy of a single UAV.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from rsdfm_ros.agent.tasks import COLLABORATIVE, SINGLE
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.bags.answers import UavAnswer
from rsdfm_ros.geometry.lattice import Window

MATCH_M = 4.0
"""Boxes of two UAVs are of one object when their centres are at most that far apart."""


class Agreement:
    """Accumulates over instants. window: cells of the answers · percent: occupancy from which a cell counts as vehicle
    · least_score: score from which a box counts."""

    def __init__(self, window: Window, percent: int, least_score: float) -> None:
        self._window, self._percent, self._least_score = window, percent, least_score
        self._counts: dict[str, Counter[str]] = {SINGLE: Counter(), COLLABORATIVE: Counter()}
        self._distances: dict[str, list[float]] = {SINGLE: [], COLLABORATIVE: []}

    def add(self, answers: Sequence[UavAnswer]) -> None:
        """Compare all pairs of UAVs at one instant."""
        for variant, counts in self._counts.items():
            for a, b in combinations(answers, 2):
                # Cells that both cameras see, without those known from peers only.
                common = a.visible[SINGLE] & b.visible[SINGLE]
                counts["pairs"] += 1
                counts["cells"] += int(common.sum())
                self._cells(variant, a, b, common)
                self._boxes(variant, a, b, common)

    def result(self) -> dict[str, dict[str, float | int | None]]:
        """By variant: mean IoU of vehicle cells over commonly visible ones, share of boxes that another UAV has too,
        mean distance of those, and the numbers that they were counted from."""
        out: dict[str, dict[str, float | int | None]] = {}
        for variant, counts in self._counts.items():
            distances = self._distances[variant]
            out[variant] = {
                "iou": counts["both"] / counts["either"] if counts["either"] else None,
                "boxes_matched": 2 * len(distances) / counts["boxes"] if counts["boxes"] else None,
                "box_distance_m": float(np.mean(distances)) if distances else None,
                "pairs": counts["pairs"],
                "common_cells": counts["cells"],
                "boxes": counts["boxes"],
            }
        return out

    def _cells(self, variant: str, a: UavAnswer, b: UavAnswer, common: NDArray[np.bool_]) -> None:
        first, second = (self._occupied(x, variant) & common for x in (a, b))
        self._counts[variant]["both"] += int((first & second).sum())
        self._counts[variant]["either"] += int((first | second).sum())

    def _occupied(self, answer: UavAnswer, variant: str) -> NDArray[np.bool_]:
        percent = answer.answers[variant].percent
        assert percent is not None
        return np.asarray(percent >= self._percent)

    def _boxes(self, variant: str, a: UavAnswer, b: UavAnswer, common: NDArray[np.bool_]) -> None:
        first, second = (self._sure_boxes(x.answers[variant].boxes, common) for x in (a, b))
        self._counts[variant]["boxes"] += len(first) + len(second)
        if not len(first) or not len(second):
            return
        distance = np.linalg.norm(first[:, None] - second[None], axis=-1)
        rows, columns = linear_sum_assignment(np.minimum(distance, 2 * MATCH_M))
        found = distance[rows, columns]
        self._distances[variant] += [float(d) for d in found[found <= MATCH_M]]

    def _sure_boxes(self, boxes: Boxes | None, common: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Centres (N, 2) of the boxes with that score that lie in commonly visible cells."""
        assert boxes is not None
        centres = boxes.centres[boxes.scores >= self._least_score, :2]
        cells = np.floor(centres / self._window.cell_size).astype(int) - (self._window.i0, self._window.j0)
        inside = ((cells >= 0) & (cells < self._window.shape)).all(axis=1)
        seen = np.zeros(len(centres), bool)
        seen[inside] = common[tuple(cells[inside].T)]
        return np.asarray(centres[seen], np.float64)
