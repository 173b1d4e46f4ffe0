"""A budget in bytes per second: a token bucket over everything that a UAV really sent.

The bucket fills with the time between images. What an image leaves unused is kept for SLACK_S at most, so that a pause
is not made up for by a burst: in any 10 s a sender exceeds the rate by SLACK_S of it, and by the error of the
prediction of one image, which the following images pay back. Below IMAGE_BYTES nothing useful fits into an image: it
is left out, and its bytes go to a later one.
"""

from __future__ import annotations

import math
import statistics
import threading
from collections import deque
from dataclasses import dataclass

SLACK_S = 0.25
"""Unused bytes are kept for so long."""
LONGEST_GAP_S = 0.75
"""Images less often than once a second use only the bytes of the last second."""
IMAGE_BYTES = 800
"""An image of fewer bytes is hardly more than its message (wire/budget.py)."""
GAPS = 3
"""The time between images is the median of so many."""


@dataclass(frozen=True)
class Share:
    """Bytes that the rate leaves to an image, and the mean for images at this frequency."""

    bytes: float = math.inf
    mean_bytes: float = math.inf

    @property
    def enough(self) -> bool:
        """Whether an image is worth sending."""
        return self.bytes >= IMAGE_BYTES


UNLIMITED = Share()


class RateBudget:
    """Bytes per second of one sender. bytes_per_s: None for no limit, 0 for nothing. Safe from several threads."""

    def __init__(self, bytes_per_s: int | None = None) -> None:
        self._lock = threading.Lock()
        self._rate: int | None = None
        self._tokens = 0.0
        self._last_s: float | None = None
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self.set(bytes_per_s)

    @property
    def bytes_per_s(self) -> int | None:
        """The rate."""
        return self._rate

    def set(self, bytes_per_s: int | None) -> None:
        """Change the rate from now on. Debts are kept, and what is left becomes no more than of the new rate.
        ValueError if it is negative."""
        if bytes_per_s is not None and bytes_per_s < 0:
            raise ValueError(f"a rate cannot be negative, got {bytes_per_s}")
        with self._lock:
            if bytes_per_s == self._rate:
                return
            if self._rate is None or bytes_per_s is None:
                self._tokens = 0.0
            else:
                self._tokens = min(self._tokens, SLACK_S * bytes_per_s)
            self._rate = bytes_per_s

    def image(self, now_s: float) -> Share:
        """The share of an image that is made now; call it for every image, also for one that is not sent."""
        with self._lock:
            passed_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
            if self._last_s is not None:
                self._gaps.append(passed_s)
            self._last_s = now_s
            if self._rate is None:
                return UNLIMITED
            gap_s = min(statistics.median(self._gaps), LONGEST_GAP_S) if self._gaps else SLACK_S
            most = self._rate * gap_s + (max(self._rate * SLACK_S, IMAGE_BYTES) if self._rate else 0.0)
            added = self._rate * (passed_s if len(self._gaps) else SLACK_S)
            self._tokens = min(self._tokens + added, most)
            return Share(self._tokens, self._rate * gap_s)

    def spend(self, sent_bytes: int) -> None:
        """Account for serialised bytes that were sent. ValueError if they are negative."""
        if sent_bytes < 0:
            raise ValueError(f"bytes cannot be negative: {sent_bytes}")
        with self._lock:
            if self._rate is not None:
                self._tokens -= sent_bytes


def lower(first: int | None, second: int | None) -> int | None:
    """The lower of two rates of which each may be None for no limit."""
    given = [rate for rate in (first, second) if rate is not None]
    return min(given) if given else None
