"""The entropy coder of latents and cell positions: interleaved rANS.

The coded data are *bands*: integer arrays (channels, symbols), every channel with a frequency table of its own
(wire/tables.py, wire/gap_table.py). Many coders run side by side in the lanes of arrays and share one stream of 16-bit
words: a Python loop over steps handles all lanes at once, and there are at most STEPS steps. The streams of several
packets are decoded side by side as well, because a step costs about the same for 30 lanes and for 200.

A lane takes four bytes for its state, and gives two of them back: it begins with two bytes of other data, which the
decoder finds in its last state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.errors import CorruptBody
from rsdfm_ros.wire.tables import PRECISION, TOTAL, JoinedTables, Table

#: Most symbols of one lane. A lane costs a byte, a step some microseconds.
STEPS = 384
#: States are 32-bit numbers of at least this.
LOWEST = 1 << 16
#: Bytes of other data that a lane carries.
CARRIED_BYTES = 2
#: Streams decoded side by side: with more, the tables of all of them no longer fit into a processor's cache.
SIDE_BY_SIDE = 4
#: Symbols of streams decoded side by side: a symbol takes some 40 bytes meanwhile, and long streams gain nothing.
SYMBOLS_TOGETHER = 1 << 17

# Arrays without dimensions: a step with Python's numbers takes twice as long.
_SLOT, _PRECISION, _LOWEST, _WORD = (np.array(v, np.int64) for v in (TOTAL - 1, PRECISION, LOWEST, 16))
_SHIFT = np.array(2.0**-16)

NOT_AT_END = "the words do not end with the latents"

Shape = tuple[int, int]
"""Channels and symbols per channel of a band."""


@dataclass(frozen=True)
class Coded:
    """Bands as they are sent: the tables of those that are not empty, the stream of words, and the shapes of all."""

    tables: Sequence[Table]
    words: bytes | memoryview
    shapes: Sequence[Shape]


@dataclass(frozen=True)
class Decoded:
    """Bands, and the bytes that the lanes carried: CARRIED_BYTES of every one."""

    bands: list[NDArray[np.int16]]
    carried: bytes


def lanes_of(symbols: int) -> int:
    """Coders that run side by side for so many symbols."""
    return -(-symbols // STEPS)


def carried_bytes(shapes: Sequence[Shape]) -> int:
    """Bytes of other data that the lanes of bands carry."""
    return CARRIED_BYTES * lanes_of(sum(channels * symbols for channels, symbols in shapes))


def encode(bands: Sequence[NDArray[np.int16]], tables: Sequence[Table], carried: bytes = b"") -> bytes:
    """Bands (channels, symbols) to the stream of words. tables: of the bands that are not empty · carried: other
    data, of which the first carried_bytes are taken; zeros follow."""
    filled = [band for band in bands if band.size]
    if not filled:
        return b""
    model = JoinedTables(tables)
    rows = np.concatenate([model.rows(n, band) for n, band in enumerate(filled)])
    room = carried_bytes([band.shape for band in filled])
    first = LOWEST + np.frombuffer(carried[:room].ljust(room, b"\0"), "<u2").astype(np.float64)
    return _encoded(model.frequency[rows], (model.start % TOTAL)[rows], first).tobytes()


def _encoded(
    frequency: NDArray[np.int64], start: NDArray[np.int64], x: NDArray[np.float64]
) -> NDArray[np.uint16]:
    """The words of symbols with these frequencies and starts within their tables, from the states x (lanes,) on, which
    are overwritten.

    Computed in float64, which holds 32-bit states exactly: NumPy divides integers four times slower. A quotient is less
    than 2^32 and, unless it is whole, at least 2^-14 from a whole number, which rounding to 53 bits does not bridge.
    """
    lanes = len(x)
    f, s = (
        _in_steps(frequency, lanes, TOTAL).astype(np.float64),
        _in_steps(start, lanes, 0).astype(np.float64),
    )
    quotient, over = np.empty(lanes), np.empty(lanes, np.bool_)
    words = []
    steps = (array[::-1] for array in (f * 2.0 ** (32 - PRECISION), f, TOTAL - f, s))
    for top, divisor, rest, offset in zip(*steps, strict=True):
        (full,) = np.greater_equal(x, top, over).nonzero()
        part = x[full]
        words.append(part)
        part = np.multiply(part, _SHIFT)
        x[full] = np.floor(part, part)
        # (x / f) TOTAL + x mod f + s
        np.divide(x, divisor, quotient)
        np.floor(quotient, quotient)
        np.multiply(quotient, rest, quotient)
        np.add(x, quotient, x)
        np.add(x, offset, x)
    last = x.astype(np.int64)
    states = np.stack([last >> 16, last], axis=1).ravel()
    taken = np.concatenate([states, np.concatenate(words[::-1]).astype(np.int64)])
    return (taken & 0xFFFF).astype("<u2")


def decode(coded: Coded) -> Decoded:
    """The inverse of `encode`. Raises: CorruptBody unless the stream is exactly what an encoder makes of such bands."""
    (found,) = decode_all([coded])
    if isinstance(found, CorruptBody):
        raise found
    return found


def decode_all(streams: Sequence[Coded]) -> list[Decoded | CorruptBody]:
    """The content of every stream, or why it has none: CorruptBody unless it is exactly what an encoder makes."""
    out: list[Decoded | CorruptBody] = []
    waiting: list[tuple[int, _Stream]] = []
    for n, coded in enumerate(streams):
        try:
            stream = _Stream.of(coded)
        except CorruptBody as error:
            out.append(error)
            continue
        if len(stream.channel):
            waiting.append((n, stream))
            out.append(Decoded([], b""))  # so far
        else:
            out.append(_content(np.empty(0, np.int16), stream.states, coded.shapes))
    for some in _groups(waiting):
        for (n, _), found in zip(some, _decoded([stream for _, stream in some]), strict=True):
            out[n] = found if isinstance(found, CorruptBody) else _content(*found, streams[n].shapes)
    return out


def _groups(waiting: Sequence[tuple[int, _Stream]]) -> list[list[tuple[int, _Stream]]]:
    """Streams that are decoded side by side, in their order."""
    groups: list[list[tuple[int, _Stream]]] = []
    symbols = 0
    for item in waiting:
        symbols += len(item[1].channel)
        if not groups or len(groups[-1]) == SIDE_BY_SIDE or symbols > SYMBOLS_TOGETHER:
            groups.append([])
            symbols = len(item[1].channel)
        groups[-1].append(item)
    return groups


def _content(values: NDArray[np.int16], states: NDArray[np.int64], shapes: Sequence[Shape]) -> Decoded:
    """The content of a stream from its values, one band after the other, and its last states."""
    parts = np.split(values, np.cumsum([c * n for c, n in shapes])[:-1])
    bands = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return Decoded(bands, (states - LOWEST).astype("<u2").tobytes())


def _in_steps(values: NDArray[np.int64], lanes: int, filler: int) -> NDArray[np.int64]:
    """Values (n,) of one symbol after the other as (steps, lanes), the last step filled up."""
    steps = -(-len(values) // lanes)
    out = np.full(steps * lanes, filler, np.int64)
    out[: len(values)] = values
    return out.reshape(steps, lanes)


@dataclass(frozen=True)
class _Stream:
    """One stream before decoding: tables, channel (n,) of every symbol, states, and the words behind them."""

    model: JoinedTables
    channel: NDArray[np.int64]
    states: NDArray[np.int64]
    words: NDArray[np.uint16]

    @staticmethod
    def of(coded: Coded) -> _Stream:
        """Raises: CorruptBody for impossible states, and for words where there is no symbol."""
        repeats = [n for c, n in coded.shapes if c * n for _ in range(c)]
        channel = np.repeat(np.arange(len(repeats)), repeats)
        lanes, words = lanes_of(len(channel)), np.frombuffer(coded.words, "<u2")
        if len(words) and not lanes:
            raise CorruptBody(NOT_AT_END)
        if len(words) < 2 * lanes:
            raise CorruptBody(f"{len(words)} words where {lanes} states take two each")
        head = words[: 2 * lanes].astype(np.int64)
        states = head[::2] << 16 | head[1::2]
        if lanes and states.min() < LOWEST:
            raise CorruptBody("a state below the lowest one")
        return _Stream(JoinedTables(coded.tables), channel, states, words[2 * lanes :])


def _decoded(
    streams: Sequence[_Stream],
) -> list[tuple[NDArray[np.int16], NDArray[np.int64]] | CorruptBody]:
    """The values of every stream, none empty, all bands behind each other, and the last states; CorruptBody unless the
    words end with them."""
    # The last table leaves states as they are: it serves lanes that have no symbol any more.
    frequency = np.concatenate([*(s.model.frequency for s in streams), [TOTAL]])
    value = np.concatenate([*(s.model.value for s in streams), [0]]).astype(np.int16)
    start = np.cumsum(frequency) - frequency
    entry = np.repeat(np.arange(len(frequency)), frequency)
    x, refill = np.concatenate([s.states for s in streams]), _Refill(streams)
    slot, rows = np.empty_like(x), []
    for base in _slots(streams):
        np.bitwise_and(x, _SLOT, slot)
        np.add(slot, base, slot)
        row = entry[slot]
        rows.append(row)
        np.right_shift(x, _PRECISION, x)
        np.multiply(x, frequency[row], x)
        np.add(x, slot, x)
        np.subtract(x, start[row], x)
        refill(x)
    found = value[np.stack(rows)]
    out: list[tuple[NDArray[np.int16], NDArray[np.int64]] | CorruptBody] = []
    for n, (stream, lanes) in enumerate(zip(streams, refill.lanes, strict=True)):
        problem = refill.problem(n, x[lanes])
        mine = found[:, lanes].ravel()[: len(stream.channel)]
        out.append((mine, x[lanes]) if problem is None else CorruptBody(problem))
    return out


def _slots(streams: Sequence[_Stream]) -> NDArray[np.int64]:
    """First slot (steps, lanes) of the table of every lane at every step, the lanes of the streams side by side."""
    before = np.cumsum([0, *(int(s.channel[-1]) + 1 for s in streams)])
    none = int(before[-1]) << PRECISION
    out = np.full((STEPS, sum(len(s.states) for s in streams)), none, np.int64)
    lane = most = 0
    for stream, first in zip(streams, before, strict=False):
        part = _in_steps((stream.channel + first) << PRECISION, len(stream.states), none)
        out[: len(part), lane : lane + part.shape[1]] = part
        lane, most = lane + part.shape[1], max(most, len(part))
    return out[:most]


class _Refill:
    """Takes the next words of every stream into the states of its lanes that have become too low.

    lanes: of every stream. Beyond the end of a stream the words are zeros: `problem` tells.
    """

    def __init__(self, streams: Sequence[_Stream]) -> None:
        ends = np.cumsum([len(s.states) for s in streams])
        self.lanes = [slice(end - len(s.states), end) for s, end in zip(streams, ends, strict=True)]
        self._between, total = ends[:-1], int(ends[-1])
        spare = np.zeros(total, np.int64)
        self._words = [np.concatenate([s.words.astype(np.int64), spare]) for s in streams]
        self._ends = [len(s.words) for s in streams]
        self._at = [0] * len(streams)
        self._low, self._next = np.empty(total, np.bool_), np.empty(total, np.int64)

    def __call__(self, x: NDArray[np.int64]) -> None:
        """Refill the states (lanes,) in place."""
        (low,) = np.less(x, _LOWEST, self._low).nonzero()
        part = x[low]
        np.left_shift(part, _WORD, part)
        if len(self._words) == 1:
            words = self._taken(0, len(low))
        else:
            words, first = self._next[: len(low)], 0
            for n, last in enumerate([*low.searchsorted(self._between).tolist(), len(low)]):
                words[first:last] = self._taken(n, last - first)
                first = last
        np.bitwise_or(part, words, part)
        x[low] = part

    def _taken(self, stream: int, count: int) -> NDArray[np.int64]:
        at = self._at[stream]
        self._at[stream] = at + count
        if at > self._ends[stream]:
            at = self._ends[stream]
        return self._words[stream][at : at + count]

    def problem(self, stream: int, states: NDArray[np.int64]) -> str | None:
        """Describe what is wrong with the stream after its last symbol, None if nothing is."""
        if self._at[stream] > self._ends[stream]:
            return "the words end inside the latents"
        ended = self._at[stream] == self._ends[stream] and (states >> 16 == 1).all()
        return None if ended else NOT_AT_END
