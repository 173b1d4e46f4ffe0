"""Wall time of a piece of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdfm_ros.evaluation.speed import timing


def median_ms(work: Callable[[], Any], repeats: int = 15) -> float:
    """Median wall time of `work` in milliseconds over exactly so many calls, after two warm-up calls."""
    return timing.median_ms(work, timing.Repeats(least=repeats, most=repeats))
