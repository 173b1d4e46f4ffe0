"""Messages of several chunks and files in the order of time, with few of them in memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One message as it lies in a file: log time in ns, number of its channel in that file, serialised bytes."""

    log_ns: int
    channel: int
    raw: bytes | memoryview


@dataclass(frozen=True)
class Stream:
    """Messages that are sorted among themselves: not before start_ns · bytes held while it is read · open."""

    start_ns: int
    size: int
    open: Callable[[], Iterator[tuple[str, str, Record]]]
    """Yields (topic, type, record)."""


def merge(
    streams: Iterable[Stream], open_bytes: int, on_crowd: Callable[[], None]
) -> Iterator[tuple[str, str, Record]]:
    """All messages in the order of their log times; equal times in the order of the streams.

    Only streams that overlap in time are open together. Beyond `open_bytes` of them no further one is opened before one
    has ended, so that the order is no longer exact: `on_crowd` is then called, once.
    """
    waiting = sorted(enumerate(streams), key=lambda item: (item[1].start_ns, item[0]))
    waiting.reverse()
    heap: list[tuple[int, int, tuple[str, str, Record], Iterator[tuple[str, str, Record]], int]] = []
    held, told = 0, False
    while waiting or heap:
        while waiting and (not heap or waiting[-1][1].start_ns <= heap[0][0]):
            number, stream = waiting[-1]
            if heap and held + stream.size > open_bytes:
                if not told:
                    told = True
                    on_crowd()
                break
            waiting.pop()
            source = stream.open()
            first = next(source, None)
            if first is not None:
                held += stream.size
                heapq.heappush(heap, (first[2].log_ns, number, first, source, stream.size))
        if not heap:
            continue
        _, number, item, source, size = heap[0]
        yield item
        following = next(source, None)
        if following is None:
            heapq.heappop(heap)
            held -= size
        else:
            heapq.heapreplace(heap, (following[2].log_ns, number, following, source, size))
