"""Wall time of pieces of work: medians, taken in turns so that a machine under changing load is fair to all of them."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import torch

Work = Callable[[], Any]


@dataclass(frozen=True)
class Repeats:
    """Number of repetitions: at least `least`, then more while `seconds` are not over, `most` in all. warm_up: calls
    before them that are not counted."""

    least: int = 5
    most: int = 15
    seconds: float = 10.0
    warm_up: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"expected 1 <= least <= most, got {self.least} and {self.most}")


QUICK = Repeats(least=2, most=3, seconds=1.0, warm_up=1)
"""For a first look and for tests."""


def medians_ms(
    works: Mapping[str, Work], repeats: Repeats | None = None, on_round: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Median wall time of every piece of work in ms, taken in turns. on_round: called after every turn."""
    r = repeats or Repeats()
    times_ms: dict[str, list[float]] = {name: [] for name in works}
    start_s = time.perf_counter()
    for n in range(r.warm_up + r.most):
        if n == r.warm_up:
            start_s = time.perf_counter()
        if n >= r.warm_up + r.least and time.perf_counter() - start_s > r.seconds:
            break
        for name, work in works.items():
            begin_s = time.perf_counter()
            work()
            if n >= r.warm_up:
                times_ms[name].append((time.perf_counter() - begin_s) * 1e3)
        on_round()
    return {name: statistics.median(taken) for name, taken in times_ms.items()}


def median_ms(work: Work, repeats: Repeats | None = None) -> float:
    """Median wall time of one piece of work in ms."""
    return medians_ms({"": work}, repeats)[""]


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let PyTorch and OpenCV use so many threads."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(number)
    cv2.setNumThreads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
