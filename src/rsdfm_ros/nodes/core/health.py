"""Health figures of a node's part of the pipeline: counts, rates, latencies, refusals by reason. Free of ROS."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

_KEPT = 200
_RATE_SPAN_NS = 5_000_000_000


@dataclass
class Health:
    """Every method may be called from any thread.

    counts: events since the node was configured by name · rejects: refused input by reason · peer_ages_s: age of each
    peer in the newest fusion · latencies: arrival of an image to its last output · moved_m, turned_deg: correction of
    the own pose in the newest fusion, None if there was none. clock: seconds of the steady clock.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    stage_s: dict[str, deque[float]] = field(default_factory=dict)
    peer_ages_s: dict[str, float] = field(default_factory=dict)
    frame_bytes: int = 0
    objects: int = 0
    moved_m: float | None = None
    turned_deg: float | None = None
    clock: Callable[[], float] = time.monotonic
    _latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _last_s: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Reset all figures, when the node is configured."""
        with self._lock:
            for book in (self.counts, self.rejects, self.stage_s, self.peer_ages_s, self._last_s):
                book.clear()
            self._latencies_s.clear()
            self._stamps_ns.clear()
            self.frame_bytes = self.objects = 0
            self.moved_m = self.turned_deg = None

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counts[name] += number
            self._last_s[name] = self.clock()

    def reject(self, reason: str) -> None:
        """Count a refusal."""
        with self._lock:
            self.rejects[reason] += 1
            self._last_s[f"rejected_{reason}"] = self.clock()

    def recent(self, name: str, within_s: float) -> bool:
        """Whether a counter (`rejected_<reason>` for refusals) rose within the last seconds."""
        with self._lock:
            return name in self._last_s and self.clock() - self._last_s[name] <= within_s

    def took(self, stage: str, seconds: float) -> None:
        """Note how long a stage of the pipeline took."""
        with self._lock:
            self.stage_s.setdefault(stage, deque(maxlen=_KEPT)).append(seconds)

    def fused(self, peer_ages_s: Mapping[str, float]) -> None:
        """Note who entered the newest fusion."""
        with self._lock:
            self.peer_ages_s = dict(peer_ages_s)

    def answered(self, stamp_ns: int, latency_s: float) -> None:
        """Note that the last output of an image is out."""
        with self._lock:
            self.counts["frames"] += 1
            self._latencies_s.append(latency_s)
            self._stamps_ns.append(stamp_ns)
            self._last_s["frames"] = self.clock()

    def silence_s(self) -> float | None:
        """Seconds of the steady clock since the last answer; None before the first."""
        with self._lock:
            last_s = self._last_s.get("frames")
            return None if last_s is None else self.clock() - last_s

    def clear_times(self) -> None:
        """Forget stamps, after the clock jumped back."""
        with self._lock:
            self._stamps_ns.clear()
            self.peer_ages_s = {}

    def rate_hz(self) -> float:
        """Answered images per second of mission time over the last five seconds."""
        with self._lock:
            if not self._stamps_ns:
                return 0.0
            recent = [s for s in self._stamps_ns if 0 <= self._stamps_ns[-1] - s <= _RATE_SPAN_NS]
        span = recent[-1] - recent[0]
        return 0.0 if span <= 0 else (len(recent) - 1) * 1e9 / span

    def latency_s(self, percentile: float) -> float:
        """Percentile of the latency; 0 before the first answer."""
        with self._lock:
            return float(np.percentile(self._latencies_s, percentile)) if self._latencies_s else 0.0

    def stages_ms(self) -> dict[str, float]:
        """Median duration of every stage in ms."""
        with self._lock:
            return {name: 1e3 * statistics.median(times) for name, times in self.stage_s.items()}

    def snapshot(self) -> tuple[dict[str, int], dict[str, int]]:
        """Copies of counts and rejects, consistent with each other."""
        with self._lock:
            return dict(self.counts), dict(self.rejects)
