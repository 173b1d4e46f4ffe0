"""Displacement errors of predicted trajectories.

A predicted track and a true object are paired when their present positions are less than 2 m apart, nearest
pairs first, each used once. ADE is the mean distance over the future steps for which the object is still in
the world, FDE the distance at the last step (2 s). One trajectory is predicted per object, so minADE and ADE
are the same. Both are means over paired objects; `recall` is the share of the true objects that was paired.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PAIR_DISTANCE_M = 2.0


@dataclass
class TrajectoryErrors:
    """Accumulator of ADE and FDE."""

    ade: list[float] = field(default_factory=list)
    fde: list[float] = field(default_factory=list)
    paired: int = 0
    n_true: int = 0

    def add(self, predicted: NDArray[np.float64], true: NDArray[np.float64]) -> None:
        """Add a frame: positions (P, T, 2) and (N, T, 2) in metres, present first, NaN where an object is
        gone.
        """
        self.n_true += len(true)
        for row, column in nearest_pairs(predicted[:, 0], true[:, 0], PAIR_DISTANCE_M):
            self.paired += 1
            error = np.linalg.norm(predicted[row, 1:] - true[column, 1:], axis=-1)
            known = np.isfinite(true[column, 1:, 0])
            if known.any():
                self.ade.append(float(error[known].mean()))
            if known[-1]:
                self.fde.append(float(error[-1]))

    def merge(self, other: TrajectoryErrors) -> None:
        """Add what another accumulator collected."""
        self.ade += other.ade
        self.fde += other.fde
        self.paired, self.n_true = self.paired + other.paired, self.n_true + other.n_true

    def result(self) -> dict[str, float | None]:
        """ade and fde in metres, track_recall in [0, 1]; None where undefined."""
        return {
            "ade": float(np.mean(self.ade)) if self.ade else None,
            "fde": float(np.mean(self.fde)) if self.fde else None,
            "track_recall": self.paired / self.n_true if self.n_true else None,
        }


def nearest_pairs(a: NDArray[np.float64], b: NDArray[np.float64], limit_m: float) -> list[tuple[int, int]]:
    """One-to-one pairs of points (P, 2) and (N, 2) closer than the limit, nearest first."""
    offset = a[:, None] - b[None]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    rows, columns = np.nonzero(distance < limit_m)
    pairs: list[tuple[int, int]] = []
    used_a: set[int] = set()
    used_b: set[int] = set()
    for n in np.argsort(distance[rows, columns], kind="stable"):
        row, column = int(rows[n]), int(columns[n])
        if row not in used_a and column not in used_b:
            used_a.add(row)
            used_b.add(column)
            pairs.append((row, column))
    return pairs
