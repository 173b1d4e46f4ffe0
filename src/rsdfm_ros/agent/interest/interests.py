"""The newest demands of the peers, by who sent them. Free of ROS.

A demand limits only what is sent to the participant that it came from: a forger can neither take anything from another
UAV, nor add more than the byte budget allows. A receiver that never sent a demand counts as wanting everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rsdfm_ros.agent.envelope import Refused
from rsdfm_ros.agent.interest.demand import Demand
from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.agent.publishers import Gid, Publisher
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.wire.errors import WireError

SILENT_S = 10.0
"""A peer without a demand for so long wants nothing more until it sends one: ten lost messages in a row."""
MAX_DEMANDS = 256
"""Demands and publishers that are kept, the newest ones: bounds memory and time."""
PARTICIPANT_BYTES = 12
"""The first bytes of the identifier of a DDS publisher or subscription are those of its process."""

Participant = bytes


def participant_of(gid: Gid) -> Participant:
    """The participant that a publisher or subscription belongs to."""
    return gid[:PARTICIPANT_BYTES]


@dataclass(frozen=True)
class _Heard:
    demand: Demand
    at_s: float


class Interests:
    """Demands of peers, for one UAV. Safe from several threads. clock: steady time in s."""

    def __init__(self, options: AgentOptions = DEFAULTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._options, self._clock, self._lock = options, clock, threading.Lock()
        self._heard: dict[tuple[Participant, str], _Heard] = {}
        self._publishers: dict[Gid, Publisher] = {}

    def receive(self, name: str, gid: Gid, parse: Callable[[], Demand]) -> bool:
        """Take a demand that came on the topic of a peer; False while its publisher is in quarantine.

        parse: the demand, or a WireError, which is counted against the publisher and raised.
        """
        now_s, options = self._clock(), self._options
        with self._lock:
            publisher = self._publishers.pop(gid, None) or Publisher(gid)
            self._publishers[gid] = publisher  # the newest is last
            if len(self._publishers) > MAX_DEMANDS:
                del self._publishers[next(iter(self._publishers))]
            if publisher.quarantined(now_s):
                return False
        try:
            demand = parse()
        except WireError as error:
            if not isinstance(error, Refused) or error.blames:
                with self._lock:
                    publisher.refused(now_s, options.quarantine_after, options.quarantine_s)
            raise
        with self._lock:
            publisher.accepted(now_s)
            key = (participant_of(gid), name)
            self._heard.pop(key, None)
            self._heard[key] = _Heard(demand, now_s)
            if len(self._heard) > MAX_DEMANDS:
                del self._heard[next(iter(self._heard))]
        return True

    def wishes(self, receivers: Iterable[Participant]) -> list[Demand] | None:
        """What receivers of own features want; None for everything, because one of them never sent a demand. Those that
        fell silent want nothing."""
        with self._lock:
            now_s, found = self._clock(), []
            for receiver in set(receivers):
                heard = [h for (participant, _), h in self._heard.items() if participant == receiver]
                if not heard:
                    return None
                found += [h.demand for h in heard if now_s - h.at_s <= SILENT_S]
            return found

    def far(self, name: str, senders: Iterable[Participant], region: Window) -> bool:
        """Whether a peer maps nothing of a region: the demands of all who send features in its name are of
        elsewhere."""
        with self._lock:
            now_s = self._clock()
            heard = [self._heard.get((sender, name)) for sender in set(senders)]
            return bool(heard) and all(
                h is not None and now_s - h.at_s <= SILENT_S and not h.demand.touches(region) for h in heard
            )

    def counts(self) -> tuple[int, int]:
        """Demands that are fresh, and publishers in quarantine."""
        with self._lock:
            now_s = self._clock()
            fresh = sum(now_s - h.at_s <= SILENT_S for h in self._heard.values())
            return fresh, sum(p.quarantined(now_s) for p in self._publishers.values())
