"""State of each peer: liveliness, traffic, refusals, quarantine. Free of ROS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rsdfm_ros.agent.publishers import Gid, Publisher, Publishers

RATE_SPAN_S = 5.0


@dataclass
class Peer:
    """One peer: everything that comes on its topic, of all publishers. Times are of the steady clock."""

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
    publishers: Publishers = field(default_factory=Publishers)
    _arrived: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=4096))

    @property
    def gid(self) -> Gid:
        """The publisher whose frames are used."""
        return self.publishers.leading.gid

    @property
    def quarantined_until_s(self) -> float:
        """End of the quarantine of the leading publisher."""
        return self.publishers.leading.quarantined_until_s

    def quarantined(self, now_s: float) -> bool:
        """Whether the packets of the leading publisher are dropped now."""
        return self.publishers.leading.quarantined(now_s)

    def arrived(self, size: int, now_s: float) -> None:
        """Count a packet of so many serialised bytes."""
        self.packets += 1
        self.bytes += size
        self.last_s = now_s
        self._arrived.append((now_s, size))

    def accepted(self, now_s: float, gid: Gid = b"") -> None:
        """Count a valid packet of a publisher."""
        publisher = self.publishers.of(gid, now_s)
        if publisher is not None:
            self.publishers.accepted(publisher, now_s)

    def refused(
        self, now_s: float, after: int, first_s: float, gid: Gid = b"", *, in_fusion: bool = False
    ) -> float | None:
        """Count a refusal; returns the length of the quarantine of that publisher that begins with it, s, if one does.

        after: refusals in a row that lead to quarantine, 0 for never · first_s: length of the first one · in_fusion: an
        image was refused when it was decoded or fused, not a packet when it came.
        """
        self.rejected += 1
        publisher = self.publishers.of(gid, now_s)
        if publisher is None:
            return None
        count = Publisher.failed if in_fusion else Publisher.refused
        length_s = count(publisher, now_s, after, first_s)
        self.quarantines += length_s is not None
        return length_s

    def fused(self) -> None:
        """Note that an image of the leading publisher came through fusion."""
        self.publishers.leading.failed_in_a_row = 0

    def rates(self, now_s: float) -> tuple[float, float]:
        """Packets and bytes per second of the steady clock over the last seconds."""
        while self._arrived and now_s - self._arrived[0][0] > RATE_SPAN_S:
            self._arrived.popleft()
        return len(self._arrived) / RATE_SPAN_S, sum(size for _, size in self._arrived) / RATE_SPAN_S

    def loss(self) -> float:
        """Share of the announced packets that never arrived."""
        announced = self.packets - self.rejected - self.ignored + self.lost
        return self.lost / announced if announced > 0 else 0.0
