"""Records of the publishers on the topic of one peer: refusals and quarantine of each. Free of ROS.

A publisher that sends only refused packets is put in quarantine: after some in a row its packets are dropped for a
while. Every publisher has a record and frames of its own, so that one on the topic of an honest UAV does not silence
it: frames are taken from the leading publisher alone, the first one that sent valid packets and goes on doing so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Gid = bytes
"""Global identifier of a publisher; empty where the middleware does not tell it."""

MAX_QUARANTINE_FACTOR = 10
FORGIVEN_AFTER_S = 60.0
"""After this time without a refusal the next quarantine is short again."""
SILENT_S = 3.0
"""A leading publisher without a valid packet for so long makes way for another one that sends them."""
MAX_PUBLISHERS = 4
"""Publishers per topic with a record: bounds the memory."""


@dataclass
class Publisher:
    """One publisher. Times are of the steady clock.

    accepted_s: of its newest valid packet · trusted: its newest packet that was decoded was valid ·
    refused_in_a_row: packets · failed_in_a_row: images with which decoding or fusion failed; valid packets do not reset
    it.
    """

    gid: Gid = b""
    accepted_s: float | None = None
    trusted: bool = False
    refused_in_a_row: int = 0
    failed_in_a_row: int = 0
    quarantined_until_s: float = 0.0
    _sentence: int = 0

    def quarantined(self, now_s: float) -> bool:
        """Whether its packets are dropped now."""
        return now_s < self.quarantined_until_s

    def leads(self, now_s: float) -> bool:
        """Whether it sends valid packets."""
        silent = self.accepted_s is None or now_s - self.accepted_s > SILENT_S
        return not silent and not self.quarantined(now_s)

    def accepted(self, now_s: float) -> None:
        """Count a valid packet."""
        self.accepted_s = now_s
        self.trusted = True
        self.refused_in_a_row = 0
        if self._sentence and now_s - self.quarantined_until_s > FORGIVEN_AFTER_S:
            self._sentence = 0

    def refused(self, now_s: float, after: int, first_s: float) -> float | None:
        """Count a refused packet; see Peer.refused."""
        self.refused_in_a_row += 1
        self.trusted = False
        return self._quarantine(self.refused_in_a_row, now_s, after, first_s)

    def failed(self, now_s: float, after: int, first_s: float) -> float | None:
        """Count an image with which decoding or fusion failed; see Peer.refused."""
        self.failed_in_a_row += 1
        self.trusted = False
        return self._quarantine(self.failed_in_a_row, now_s, after, first_s)

    def _quarantine(self, in_a_row: int, now_s: float, after: int, first_s: float) -> float | None:
        if not after or in_a_row < after:
            return None
        self.refused_in_a_row = self.failed_in_a_row = 0
        length_s = first_s * min(2**self._sentence, MAX_QUARANTINE_FACTOR)
        self._sentence = min(self._sentence + 1, 8)
        self.quarantined_until_s = now_s + length_s
        return float(length_s)


@dataclass
class Publishers:
    """The publishers of one topic. leading: see above; the first one that is heard until another one leads."""

    leading: Publisher = field(default_factory=Publisher)
    _heard: bool = False
    _others: dict[Gid, Publisher] = field(default_factory=dict)

    @property
    def gids(self) -> set[Gid]:
        """The publishers with a record."""
        return {self.leading.gid, *self._others}

    def of(self, gid: Gid, now_s: float) -> Publisher | None:
        """The record of a publisher, a new one for a new publisher; None if there are too many. One that sends no valid
        packets makes room for a new one."""
        if not self._heard:
            self.leading.gid, self._heard = gid, True
        if gid == self.leading.gid:
            return self.leading
        known = self._others.get(gid)
        if known is None:
            if len(self._others) >= MAX_PUBLISHERS - 1:
                idle = [g for g, p in self._others.items() if not p.leads(now_s)]
                if not idle:
                    return None
                del self._others[idle[0]]
            known = self._others[gid] = Publisher(gid)
        return known

    def accepted(self, publisher: Publisher, now_s: float) -> None:
        """Count a valid packet; its publisher leads from now on if none does."""
        publisher.accepted(now_s)
        if publisher is not self.leading and not self.leading.leads(now_s):
            self._others.pop(publisher.gid, None)
            self._others[self.leading.gid] = self.leading
            self.leading = publisher

    def gone(self) -> None:
        """Note that at most one publisher is left: the next one leads with its first valid packet."""
        for publisher in (self.leading, *self._others.values()):
            publisher.accepted_s = None
