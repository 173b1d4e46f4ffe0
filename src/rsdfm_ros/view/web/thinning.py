"""Which instants of a live fleet are read: as many per second as a page shows, all messages of one stamp or none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

KEPT = 200
"""Stamps whose decision is remembered."""
EARLY = 0.8
"""An instant is due after this share of the time between two: those of a mission do not come evenly."""


class Thinning:
    """rate_hz: called for the rate that is of use now, 0 for none."""

    def __init__(self, rate_hz: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._rate_hz, self._clock = rate_hz, clock
        self._decided: OrderedDict[int, bool] = OrderedDict()
        self._last_s = float("-inf")

    def wants(self, ns: int) -> bool:
        """Whether the messages of a stamp are read: decided by the first of them."""
        if (decision := self._decided.get(ns)) is None:
            rate_hz, now_s = self._rate_hz(), self._clock()
            decision = rate_hz > 0 and now_s - self._last_s >= EARLY / rate_hz
            if decision:
                self._last_s = now_s
            self._decided[ns] = decision
            if len(self._decided) > KEPT:
                self._decided.popitem(last=False)
        return decision
