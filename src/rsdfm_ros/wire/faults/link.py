"""Faults of a radio link, seeded: which messages are lost, and when the others arrive in what state.

The offline evaluation (`--disturb`) and fault_injector_node draw from the same functions.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLIPPED_BITS = 4
"""Bits that damage flips in a message, at most."""


@dataclass(frozen=True)
class LinkFaults:
    """What a link does to its messages; the default is nothing.

    loss: share of the messages that are lost · loss_correlation: see `lost` · delay_s: time on the way; jitter_s: it is
    drawn evenly from delay_s ± jitter_s, at least 0; the order stays · reorder: share of the messages that arrive
    reorder_s later than that and are overtaken by others · duplicate: share that arrives twice · corrupt: share with
    flipped bits · rate_bytes_s: bytes that pass in a second, 0 for no limit; messages wait for their turn up to
    queue_s, and are dropped where they would wait longer.
    """

    loss: float = 0.0
    loss_correlation: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.1
    duplicate: float = 0.0
    corrupt: float = 0.0
    rate_bytes_s: float = 0.0
    queue_s: float = 0.2


@dataclass(frozen=True)
class Arrival:
    """A message, or its copy, at the end of the link. due_s: when · corrupt: whether it is damaged · late: whether it
    was held back for others to overtake it."""

    due_s: float
    corrupt: bool = False
    late: bool = False


def lost(
    draws: Sequence[float] | NDArray[np.float64],
    loss: float,
    correlation: float = 0.0,
    before: bool | None = None,
) -> NDArray[np.bool_]:
    """Which of successive messages (n,) are lost, from n draws from [0, 1).

    loss: share of messages that are lost, whatever the correlation · correlation: 0, independent of each other; c in
    [0, 1), a loss follows a loss with the probability loss + c (1 − loss) and a success with loss (1 − c), a Gilbert
    channel whose bursts have a mean length of 1 / ((1 − loss) (1 − c)) · before: whether the message before the first
    was lost, None if there was none.
    """
    draws = np.asarray(draws, np.float64)
    if correlation == 0:
        return np.asarray(draws < loss)
    after = {None: loss, True: loss + correlation * (1 - loss), False: loss * (1 - correlation)}
    out = np.empty(len(draws), np.bool_)
    for k, draw in enumerate(draws):
        before = bool(draw < after[before])
        out[k] = before
    return out


def damaged(payload: bytes, rng: np.random.Generator) -> bytes:
    """The payload with 1 to FLIPPED_BITS different bits flipped; an empty one as it is."""
    out = bytearray(payload)
    if not out:
        return b""
    number = int(rng.integers(1, FLIPPED_BITS + 1))
    for bit in rng.choice(8 * len(out), min(number, 8 * len(out)), replace=False):
        out[bit // 8] ^= 1 << (bit % 8)
    return bytes(out)


class Link:
    """One link with its random numbers and its memory: the last loss, and how long the channel is occupied.

    Every message takes the same number of draws whatever the faults are, so that strengths may change at any time and a
    seed gives the same fate to the same message as far as possible.
    """

    def __init__(self, seed: Sequence[int]) -> None:
        self.rng = np.random.default_rng(list(seed))
        self._lost: bool | None = None
        self._free_s = -np.inf
        self._last_s = -np.inf
        self.overflowed = 0
        self.lost = 0

    def arrivals(self, size_bytes: int, now_s: float, faults: LinkFaults) -> list[Arrival]:
        """What becomes of a message that is sent now: none, one, or two arrivals; `lost` and `overflowed` count."""
        f, draws = faults, self.rng.random(5)
        self._lost = bool(lost(draws[:1], f.loss, f.loss_correlation, self._lost)[0])
        if self._lost:
            self.lost += 1
            return []
        copies = 2 if draws[1] < f.duplicate else 1
        corrupt = bool(draws[2] < f.corrupt)
        late = bool(draws[3] < f.reorder)
        delay_s = max(0.0, f.delay_s + f.jitter_s * (2 * float(draws[4]) - 1))
        found = []
        for _ in range(copies):
            sent_s = self._sent_s(size_bytes, now_s, f)
            if sent_s is None:
                self.overflowed += 1
                continue
            due_s = max(sent_s + delay_s, self._last_s)
            if late:
                due_s += f.reorder_s
            else:
                self._last_s = due_s
            found.append(Arrival(due_s, corrupt, late))
        return found

    def _sent_s(self, size_bytes: int, now_s: float, faults: LinkFaults) -> float | None:
        """When the last byte of a message is sent, None where it would have to wait for too long."""
        if faults.rate_bytes_s <= 0:
            return now_s
        start_s = max(now_s, self._free_s)
        if start_s - now_s > faults.queue_s:
            return None
        self._free_s = start_s + size_bytes / faults.rate_bytes_s
        return float(self._free_s)


def link_of(topic: str, seed: int) -> Link:
    """The link of a topic: another one, with random numbers of its own, for every topic and seed."""
    return Link((seed, zlib.crc32(topic.encode())))
