"""The start-up self-check: inputs that a node needs, and those of them that do not arrive. Free of ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

REPEAT_S = 60.0
"""Shortest time between log entries about one input, on the node's clock."""


@dataclass
class _Input:
    what: str
    since_s: float
    arrived: bool = False
    missing: bool = False
    told_s: float | None = None


@dataclass(frozen=True)
class Missing:
    """An input that has not arrived for `silent_s`; `ever` if it did before."""

    topic: str
    what: str
    silent_s: float
    ever: bool

    def sentence(self) -> str:
        """Sentence on the missing input: its topic and for how long."""
        return f"no {self.what} on {self.topic} for {self.silent_s:.0f} s"


class Expectations:
    """Inputs that a node needs. Every method may be called from any thread; times are of `clock`, s.

    say(level, sentence): called once when an input is missing and once when it is back; level `warn` or `info`.
    """

    def __init__(self, say: Callable[[str, str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._inputs: dict[str, _Input] = {}
        self._lock = threading.Lock()

    def expect(self, topic: str, what: str) -> None:
        """Expect `what` on `topic` from now on."""
        with self._lock:
            self._inputs[topic] = _Input(what, self._clock())

    def forget(self, topic: str | None = None) -> None:
        """Do not expect this topic any more, or none."""
        with self._lock:
            if topic is None:
                self._inputs.clear()
            else:
                self._inputs.pop(topic, None)

    def seen(self, topic: str) -> None:
        """It came."""
        with self._lock:
            entry = self._inputs.get(topic)
            if entry is None:
                return
            now_s = self._clock()
            silent_s, was_missing = now_s - entry.since_s, entry.missing
            told = entry.told_s is not None
            entry.since_s, entry.arrived, entry.missing = now_s, True, False
        if was_missing and told:
            self._say("info", f"{entry.what} comes on {topic} after {silent_s:.1f} s of silence")

    def silences(self) -> dict[str, float | None]:
        """Topic → seconds since its last message; None if there was none."""
        with self._lock:
            now_s = self._clock()
            return {t: now_s - e.since_s if e.arrived else None for t, e in self._inputs.items()}

    def check(self, patience_s: float, hint: Callable[[str], str] = lambda topic: "") -> list[Missing]:
        """Inputs that have been missing for at least `patience_s`. hint(topic) ends the log's sentence."""
        news, missing = [], []
        with self._lock:
            now_s = self._clock()
            for topic, entry in self._inputs.items():
                if now_s - entry.since_s < patience_s:
                    continue
                missing.append(Missing(topic, entry.what, now_s - entry.since_s, entry.arrived))
                if not entry.missing:
                    entry.missing = True
                    if entry.told_s is None or now_s - entry.told_s >= REPEAT_S:
                        entry.told_s = now_s
                        news.append(missing[-1])
        for item in news:
            self._say("warn", item.sentence() + hint(item.topic))
        return missing
