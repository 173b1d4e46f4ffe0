"""Instants of a mission that wait for answers, and the UAVs that they wait for. Free of ROS.

A UAV that is lost does not hold up the report: an instant is overdue once the truth is LATE_FRAMES ahead of it and
LATE_S have passed; a UAV that has answered nothing since then is gone, and not waited for until it answers again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from rsdfm_ros.evaluation.mission import Mission

LATE_FRAMES = 10
"""In lockstep the truth is never so far ahead of a UAV that answers."""
LATE_S = 5.0


@dataclass(frozen=True)
class _Entry:
    number: int
    since_s: float


class PendingInstants:
    """Instants whose truth is known and that were not reported yet.

    wants_status: UAVs also publish their status · clock: steady time, s.
    """

    def __init__(
        self, mission: Mission, *, wants_status: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        self._mission, self._wants_status, self._clock = mission, wants_status, clock
        self._entries: dict[int, _Entry] = {}
        self._added = 0
        self._newest_ns: dict[str, int] = dict.fromkeys(mission.agents, -1)
        self._gone: set[str] = set()
        self.incomplete = 0
        """Instants that were due without the answers of all UAVs."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def gone(self) -> frozenset[str]:
        """UAVs that are not waited for."""
        return frozenset(self._gone)

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest instant that waits; None if none does."""
        return min(self._entries, default=None)

    def add(self, stamp_ns: int) -> None:
        """Wait for the answers to this instant, whose truth has come."""
        self._entries[stamp_ns] = _Entry(self._added, self._clock())
        self._added += 1

    def end(self) -> None:
        """Handle the end of the world: wait only for answers to images that a UAV received."""
        self._entries = {ns: e for ns, e in self._entries.items() if self._mission.at(ns).bytes_sent}

    def due(self, stamp_ns: int) -> list[int]:
        """Instants up to this one, of which something has come, that can be reported now; they wait no longer.

        An instant without an answer of some UAV is closed: it is scored without.
        """
        for agent in self._answered(stamp_ns):
            self._newest_ns[agent] = max(self._newest_ns[agent], stamp_ns)
            self._gone.discard(agent)
        due, closed_ns = [], -1
        for ns in sorted(n for n in self._entries if n <= stamp_ns):
            answered = self._answered(ns)
            missing = set(self._mission.agents) - answered
            if self._overdue(self._entries[ns]):
                self._gone |= {agent for agent in missing if self._newest_ns[agent] < ns}
            elif missing - self._gone or not answered:
                continue
            del self._entries[ns]
            if missing:
                closed_ns = ns
                self._mission.close(ns)
            if answered:
                due.append(ns)
                self.incomplete += bool(missing)
        if closed_ns >= 0:
            # Answers that come after the score have made new instants, without truth.
            self._mission.forget(closed_ns)
        return due

    def _overdue(self, entry: _Entry) -> bool:
        return self._added - entry.number > LATE_FRAMES and self._clock() - entry.since_s > LATE_S

    def _answered(self, stamp_ns: int) -> set[str]:
        answered = self._mission.answered_by(stamp_ns)
        return answered & set(self._mission.at(stamp_ns).status) if self._wants_status else answered
