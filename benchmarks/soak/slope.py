"""Growth of memory: a robust slope over the lives of a process, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK_S = 10.0
"""Samples within such a time are one point, their median: those that are close together are not independent."""
LEAST_POINTS, LEAST_BLOCKS = 6, 24
"""A series with fewer points says nothing about growth; nor does a life with fewer blocks after its warm-up."""
CONFIDENCE = 0.95


@dataclass
class Life:
    """Memory of one process from its start to its end: times since the start in s, MB."""

    times_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    def note(self, time_s: float, rss_mb: float) -> None:
        """Add a sample."""
        self.times_s.append(time_s)
        self.rss_mb.append(rss_mb)

    def points(self, warm_up_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Median times and memory of the blocks after the warm-up."""
        times, rss = np.array(self.times_s), np.array(self.rss_mb)
        blocks = ((times - warm_up_s) // BLOCK_S).astype(int)
        chosen = np.unique(blocks[times >= warm_up_s])
        return (
            np.array([np.median(times[blocks == block]) for block in chosen]),
            np.array([np.median(rss[blocks == block]) for block in chosen]),
        )


@dataclass(frozen=True)
class Slope:
    """A slope and the limits of its confidence interval, per unit of the first coordinate · points: of which it was
    made."""

    value: float
    low: float
    high: float
    points: int


def slope_of(lives: Sequence[Life], warm_up_s: float) -> Slope | None:
    """Growth in MB per hour after the warm-up; None where no life has enough points."""
    points = [life.points(warm_up_s) for life in lives]
    return slope_of_points([(times / 3600.0, rss) for times, rss in points if len(times) >= LEAST_BLOCKS])


def slope_of_points(series: Sequence[tuple[ArrayLike, ArrayLike]]) -> Slope | None:
    """Theil-Sen slope: the median of the slopes between all pairs of points of one series. None with too few points.

    The interval is that of Sen for several strata (the series), from the variance of Kendall's statistic; see R. O.
    Gilbert, Statistical Methods for Environmental Pollution Monitoring, 1987, section 17.3.
    """
    slopes: list[NDArray[np.float64]] = []
    variance, points = 0.0, 0
    for given_x, given_y in series:
        x, y = np.asarray(given_x, np.float64), np.asarray(given_y, np.float64)
        n = len(x)
        if n < LEAST_POINTS:
            continue
        one, other = np.triu_indices(n, 1)
        slopes.append((y[other] - y[one]) / (x[other] - x[one]))
        variance += n * (n - 1) * (2 * n + 5) / 18.0
        points += n
    if not slopes:
        return None
    every = np.sort(np.concatenate(slopes))
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0) * variance**0.5
    low = int(np.clip((len(every) - half) / 2.0 - 1.0, 0, len(every) - 1))
    high = int(np.clip(np.ceil((len(every) + half) / 2.0), 0, len(every) - 1))
    return Slope(float(np.median(every)), float(every[low]), float(every[high]), points)
