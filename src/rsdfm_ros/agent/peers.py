"""State of each peer: liveliness, traffic, refusals, quarantine. Free of ROS.

A peer that sends only refused packets is put in quarantine: after some in a row its packets are dropped for a while.
One valid packet in between resets the count, so an attacker on the topic of an honest peer cannot silence it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RATE_SPAN_S = 5.0
MAX_QUARANTINE_FACTOR = 10
FORGIVEN_AFTER_S = 60.0
"""After this time without a refusal the next quarantine is short again."""


@dataclass
class Peer:
    """One peer. Times are of the steady clock."""

    name: str
    topic: str
    alive: bool = False
    matched: bool = False
    late: bool = False
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    rejected: int = 0
    ignored: int = 0
    waits: int = 0
    """Number of waits for it that ended without its packets."""
    quarantines: int = 0
    age_s: float | None = None
    """Age of its image in the newest fusion, None if it was not in it."""
    left_out: str = ""
    """Reason why the newest fusion left out its frame, though there was one."""
    moved_m: float | None = None
    turned_deg: float | None = None
    """By how much its pose was corrected in the newest fusion, None if it was not."""
    common: int = 0
    """Number of its objects that others see too, used for the correction."""
    last_s: float | None = None
    refused_in_a_row: int = 0
    quarantined_until_s: float = 0.0
    _sentence: int = 0
    _arrived: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=4096))

    def quarantined(self, now_s: float) -> bool:
        """Whether its packets are thrown away now."""
        return now_s < self.quarantined_until_s

    def arrived(self, size: int, now_s: float) -> None:
        """Count a packet of so many serialised bytes."""
        self.packets += 1
        self.bytes += size
        self.last_s = now_s
        self._arrived.append((now_s, size))

    def accepted(self, now_s: float) -> None:
        """It was good."""
        self.refused_in_a_row = 0
        if self._sentence and now_s - self.quarantined_until_s > FORGIVEN_AFTER_S:
            self._sentence = 0

    def refused(self, now_s: float, after: int, first_s: float) -> float | None:
        """Count a refusal; returns the length of the quarantine that begins with it, s, if one does.

        after: refusals in a row that lead to quarantine, 0 for never · first_s: length of the first one.
        """
        self.rejected += 1
        self.refused_in_a_row += 1
        if not after or self.refused_in_a_row < after:
            return None
        self.refused_in_a_row = 0
        self.quarantines += 1
        length_s = first_s * min(2**self._sentence, MAX_QUARANTINE_FACTOR)
        self._sentence = min(self._sentence + 1, 8)
        self.quarantined_until_s = now_s + length_s
        return float(length_s)

    def rates(self, now_s: float) -> tuple[float, float]:
        """Packets and bytes per second of the steady clock over the last seconds."""
        while self._arrived and now_s - self._arrived[0][0] > RATE_SPAN_S:
            self._arrived.popleft()
        return len(self._arrived) / RATE_SPAN_S, sum(size for _, size in self._arrived) / RATE_SPAN_S

    def loss(self) -> float:
        """Share of the announced packets that never arrived."""
        announced = self.packets - self.rejected - self.ignored + self.lost
        return self.lost / announced if announced > 0 else 0.0
