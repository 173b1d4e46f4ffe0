"""Growth of memory: a robust slope over the lives of a process, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

BLOCK_S = 10.0
"""Samples within such a time are one point, their median: those that are close together are not independent."""
LEAST_POINTS = 6
"""A life with fewer points says nothing about growth."""
CONFIDENCE = 0.95


@dataclass
class Life:
    """Resident memory of one process from its start to its end: times since the start in s, MB."""

    times_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    def note(self, time_s: float, rss_mb: float) -> None:
        """Add a sample."""
        self.times_s.append(time_s)
        self.rss_mb.append(rss_mb)

    def points(self, warm_up_s: float) -> tuple[np.ndarray, np.ndarray]:
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
    """MB per hour, and the limits of its confidence interval · points: blocks of which it was made."""

    mb_h: float
    low_mb_h: float
    high_mb_h: float
    points: int


def slope_of(lives: Sequence[Life], warm_up_s: float) -> Slope | None:
    """Theil-Sen slope: the median of the slopes between all pairs of points of one life. None with too few points.

    The interval is that of Sen for several strata (the lives), from the variance of Kendall's statistic; see R. O.
    Gilbert, Statistical Methods for Environmental Pollution Monitoring, 1987, section 17.3.
    """
    slopes: list[np.ndarray] = []
    variance, points = 0.0, 0
    for life in lives:
        times, rss = life.points(warm_up_s)
        n = len(times)
        if n < LEAST_POINTS:
            continue
        one, other = np.triu_indices(n, 1)
        slopes.append((rss[other] - rss[one]) / (times[other] - times[one]) * 3600.0)
        variance += n * (n - 1) * (2 * n + 5) / 18.0
        points += n
    if not slopes:
        return None
    every = np.sort(np.concatenate(slopes))
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0) * variance**0.5
    low = int(np.clip((len(every) - half) / 2.0 - 1.0, 0, len(every) - 1))
    high = int(np.clip(np.ceil((len(every) + half) / 2.0), 0, len(every) - 1))
    return Slope(float(np.median(every)), float(every[low]), float(every[high]), points)
