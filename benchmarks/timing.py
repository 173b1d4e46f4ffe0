"""Wall time of a piece of work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def median_ms(work: Callable[[], Any], repeats: int = 15) -> float:
    """Median wall time of `work` in milliseconds, after two warm-up calls."""
    times = []
    for n in range(repeats + 2):
        start = time.perf_counter()
        work()
        if n >= 2:
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)
