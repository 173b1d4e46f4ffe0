"""Elapsed time of a node's own clock, for time limits. Free of ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def simulated_ns(clock: Any) -> int | None:
    """The time of a node's clock in ns, None unless it follows /clock."""
    return int(clock.now().nanoseconds) if clock.ros_time_is_active else None


class NodeTime:
    """Elapsed seconds of a node's clock: simulated ones where it follows /clock, steady ones otherwise.

    say(level, sentence): level `warn` or `info` · simulated(): ns of /clock, 0 before the first message, None while
    the node does not follow it · steady(): s. Jumps back and the time before the first message do not count. May be
    called from any thread.
    """

    def __init__(
        self,
        say: Callable[[str, str], None],
        simulated: Callable[[], int | None],
        steady: Callable[[], float],
    ) -> None:
        self._say, self._stood = say, False
        self._simulated, self._steady = simulated, steady
        self._lock = threading.Lock()
        self._passed_s = 0.0
        self._last_ns: int | None = None
        self._last_s = self._moved_s = steady()

    def __call__(self) -> float:
        """Elapsed time, s."""
        with self._lock:
            now_ns, now_s = self._simulated(), self._steady()
            if now_ns is None:
                self._passed_s += now_s - self._last_s
            elif self._last_ns:
                self._passed_s += max(0, now_ns - self._last_ns) / 1e9
            if now_ns is None or now_ns != (self._last_ns or 0):
                self._moved_s = now_s
            self._last_ns, self._last_s = now_ns, now_s
            return self._passed_s

    def standing(self, patience_s: float) -> str:
        """A sentence if /clock has not moved for patience_s of steady time, "" if it moves. Reported once when it
        stops, and once when it runs again: meanwhile no input counts as missing."""
        self()
        with self._lock:
            stands_s, never = self._steady() - self._moved_s, self._last_ns == 0
            stood, self._stood = self._stood, stands_s >= patience_s
        if not self._stood:
            if stood:
                self._say("info", "/clock runs again")
            return ""
        fact = f"/clock {'does not come' if never else 'stands still'} for {stands_s:.0f} s"
        if not stood:
            self._say("warn", f"{fact}: is the simulation running? Until it does, no input is missed")
        return fact
