"""Small messages of a bag (poses, transforms, camera_info) that may be read before their time.

A recorder notes a pose when it arrives, which may be long after the images of its stamp: a slow estimator, a radio
link, poses that were computed after the flight. The bag has it all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from rsdfm_ros.data.bags.bag import Bag, BagMessage

LEAD_NS = 60_000_000_000
"""Longest way ahead, in time of the recording."""
MAX_AHEAD = 20_000
"""Messages that were read ahead and are kept for a UAV that has not asked for them."""


@dataclass(frozen=True)
class Due:
    """A message for one UAV: when it was recorded, and what takes it."""

    log_ns: int
    take: Callable[[], None]


class ReadAhead:
    """messages: in the order of their log times · split: what each message is for the UAVs that it concerns · lead_ns:
    LEAD_NS if None."""

    def __init__(
        self,
        messages: Iterator[BagMessage],
        split: Callable[[BagMessage], list[tuple[str, Due]]],
        lead_ns: int | None = None,
    ) -> None:
        self._messages, self._split = messages, split
        self._lead_ns = LEAD_NS if lead_ns is None else lead_ns
        self._next: BagMessage | None = next(messages, None)
        self._queues: dict[str, deque[Due]] = {}
        self._kept = 0

    def due(self, log_ns: int | None) -> Iterator[Due]:
        """What was recorded up to `log_ns` and was not given yet, of all UAVs in the order of time; all if None."""
        while True:
            first = min((q for q in self._queues.values() if q), key=lambda q: q[0].log_ns, default=None)
            if self._next is not None and (first is None or self._next.log_ns <= first[0].log_ns):
                if log_ns is not None and self._next.log_ns > log_ns:
                    return
                self._pull()
            elif first is None or (log_ns is not None and first[0].log_ns > log_ns):
                return
            else:
                yield self._pop(first)

    def ahead(self, uav: str, log_ns: int) -> Due | None:
        """The next message of a UAV, recorded up to lead_ns after `log_ns`; None if there is none."""
        queue = self._queues.setdefault(uav, deque())
        while not queue and self._next is not None:
            if self._next.log_ns > log_ns + self._lead_ns or self._kept >= MAX_AHEAD:
                return None
            self._pull()
        return self._pop(queue) if queue and queue[0].log_ns <= log_ns + self._lead_ns else None

    def _pull(self) -> None:
        assert self._next is not None
        for uav, due in self._split(self._next):
            self._queues.setdefault(uav, deque()).append(due)
            self._kept += 1
        self._next = next(self._messages, None)

    def _pop(self, queue: deque[Due]) -> Due:
        self._kept -= 1
        return queue.popleft()


def first_of_each(bag: Bag, topics: Collection[str]) -> Iterator[BagMessage]:
    """The first message on each of these topics; the bag is read no farther than to the last of them."""
    left = set(topics)
    for message in bag.messages(sorted(left)):
        if message.topic in left:
            left.discard(message.topic)
            yield message
        if not left:
            return
