"""The entropy coder of latents and cell positions: interleaved rANS with a small family of frequency tables.

The coded data are *bands*: integer arrays (channels, symbols). Every channel gets a table of its own, a normal
distribution with more zeros, described by three bytes; tables follow from them by integer arithmetic alone, so that
every machine has the same ones (docs/wire_format.md). Many coders run side by side in the lanes of arrays and share
one stream of 16-bit words: a Python loop over steps handles all lanes at once, and there are at most STEPS steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.errors import CorruptBody

#: Frequencies of a table add up to 2^PRECISION; a symbol of the alphabet has at least 1.
PRECISION = 14
TOTAL = 1 << PRECISION
#: Most symbols of one lane. A lane costs two bytes, a step some microseconds.
STEPS = 384
#: States are 32-bit numbers of at least this.
LOWEST = 1 << 16
#: Alphabets of more values than this have their means in whole steps instead of quarters.
FINE = 64
WIDEST, NARROWEST = 0, 63
#: Order and distances in which the encoder tries neighbours of the parameters width 0, mean 1 and zeros 2.
SEARCH = ((0, 2), (1, 2), (2, 32), (0, 1), (1, 1), (2, 16))
RANGE_BYTES, CHANNEL_BYTES = 4, 3

Shape = tuple[int, int]
"""Channels and symbols per channel of a band."""


@dataclass(frozen=True)
class Tables:
    """The frequency tables of one band of values in [lo, hi]: width, mean and zeros (channels,), each one byte."""

    lo: int
    hi: int
    width: NDArray[np.uint8]
    mean: NDArray[np.uint8]
    zeros: NDArray[np.uint8]

    def frequencies(self) -> NDArray[np.int64]:
        """(channels, hi − lo + 1), every row with the sum TOTAL and no entry below 1."""
        return frequencies(self.lo, self.hi, self.width, self.mean, self.zeros)

    def to_bytes(self) -> bytes:
        """int16 lo and hi, then the widths, the means and the zeros of all channels."""
        planes = np.concatenate([self.width, self.mean, self.zeros]).astype(np.uint8)
        return np.array([self.lo, self.hi], "<i2").tobytes() + planes.tobytes()

    @staticmethod
    def from_bytes(raw: bytes) -> Tables:
        """The inverse of to_bytes. Raises: CorruptBody for an impossible range."""
        lo, hi = (int(v) for v in np.frombuffer(raw, "<i2", count=2))
        if not -128 <= lo <= hi <= 255:
            raise CorruptBody(f"values in {lo}…{hi}")
        width, mean, zeros = np.frombuffer(raw, np.uint8, offset=RANGE_BYTES).reshape(3, -1)
        return Tables(lo, hi, width, mean, zeros)


def frequencies(
    lo: int, hi: int, width: NDArray[np.uint8], mean: NDArray[np.uint8], zeros: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Tables (K, hi − lo + 1) of K triples of parameters, in integers.

    A value at distance d (in quarters of a step) from the mean has the weight 2^(−d² g / 2^19) with g = 2, 3, 4, 6, 8,
    12, … for width 0, 1, 2, …; between powers of two the weight is interpolated linearly. `zeros` 256ths of all go to
    the value 0 beforehand.
    """
    size = hi - lo + 1
    unit = 1 if size <= FINE else 4
    w = np.minimum(width, NARROWEST).astype(np.int64)[:, None]
    distance = 4 * np.arange(size) - unit * mean.astype(np.int64)[:, None]
    exponent = distance * distance * ((2 + w % 2) << (w // 2)) >> 3
    mantissa = (1 << 17) - (exponent & 0xFFFF)
    weight = np.maximum(mantissa << 13 >> np.minimum(exponent >> 16, 31), 1)
    room = TOTAL - size
    extra = room * zeros.astype(np.int64) >> 8
    found: NDArray[np.int64] = 1 + weight * (room - extra)[:, None] // weight.sum(axis=1, keepdims=True)
    rows = np.arange(len(found))
    found[rows, found.argmax(axis=1)] += TOTAL - extra - found.sum(axis=1)
    found[:, _zero(lo, size)] += extra
    return found


def fitted_tables(values: NDArray[np.int16]) -> Tables:
    """Tables under which a band (channels, symbols), not empty, is short; found near its moments."""
    lo, hi = int(values.min()), int(values.max())
    size, channels = hi - lo + 1, len(values)
    unit = 1 if size <= FINE else 4
    offsets = (values - np.int16(lo)).astype(np.int64) + np.arange(channels)[:, None] * size
    counts = np.bincount(offsets.ravel(), minlength=channels * size).reshape(channels, size)
    best, cost = np.zeros((channels, 3), np.int64), np.full(channels, np.inf)
    for start in _starts(counts, lo, unit):
        found, bits = start, np.full(channels, np.inf)
        for axis, reach in SEARCH:
            found, bits = _refined(counts, lo, hi, found, axis, reach)
        better = bits < cost
        best[better], cost[better] = found[better], bits[better]
    width, mean, zeros = best.T.astype(np.uint8)
    return Tables(lo, hi, width, mean, zeros)


def _starts(counts: NDArray[np.int64], lo: int, unit: int) -> list[NDArray[np.int64]]:
    """Parameters (channels, 3) that the moments suggest, without and with more zeros than their neighbours."""
    size = counts.shape[1]
    zero = _zero(lo, size)
    beside = [counts[:, k] for k in (zero - 1, zero + 1) if 0 <= k < size]
    usual = np.minimum(counts[:, zero], np.mean(beside, axis=0).astype(np.int64) if beside else 0)
    starts = []
    for kept in (counts[:, zero], usual):
        rest = counts.copy()
        rest[:, zero] = kept
        total = np.maximum(rest.sum(axis=1), 1)
        mean = rest @ np.arange(size) / total
        variance = rest @ np.arange(size) ** 2.0 / total - mean**2
        gain = np.log2((1 << 19) / 22.2 / np.maximum(variance, 1e-3))  # of g in `frequencies`; 22.2 = 32 ln 2
        zeros = 16 * np.round(16 * (counts[:, zero] - kept) / counts.sum(axis=1))
        starts.append(np.stack([np.round(2 * gain) - 2, np.round(4 * mean / unit), zeros], axis=1))
    return [start.astype(np.int64) for start in starts]


def _zero(lo: int, size: int) -> int:
    """Index of the value 0, or of the one next to it, among `size` values from lo on."""
    return min(max(-lo, 0), size - 1)


def _refined(
    counts: NDArray[np.int64], lo: int, hi: int, around: NDArray[np.int64], axis: int, reach: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best parameters (channels, 3) of some and those that are `reach` more or less on one axis, and their cost
    (channels,) in bits."""
    tried = np.repeat(around[:, None], 3, axis=1)
    tried[:, :, axis] += reach * np.arange(-1, 2)
    tried = np.clip(tried, [WIDEST, 0, 0], [NARROWEST, 255, 240])
    tables = frequencies(lo, hi, *tried.reshape(-1, 3).T.astype(np.uint8))
    bits = PRECISION - np.log2(tables.reshape(len(counts), 3, -1))
    costs = np.einsum("ckv,cv->ck", bits, counts.astype(np.float64)).round(
        3
    )  # so that ties are resolved equally on every machine
    best = costs.argmin(axis=1)
    rows = np.arange(len(counts))
    return tried[rows, best], costs[rows, best]


def lanes_of(symbols: int) -> int:
    """Coders that run side by side for so many symbols."""
    return -(-symbols // STEPS)


def tables_bytes(shapes: Sequence[Shape]) -> int:
    """Bytes of the tables of bands; one without symbols has none."""
    return sum(RANGE_BYTES + CHANNEL_BYTES * c for c, n in shapes if c * n)


def encode(bands: Sequence[NDArray[np.int16]]) -> tuple[bytes, bytes]:
    """Bands (channels, symbols) to their tables and the stream of words, both as bytes."""
    filled = [band for band in bands if band.size]
    if not filled:
        return b"", b""
    tables = [fitted_tables(band) for band in filled]
    model = _Model(tables)
    rows = np.concatenate([model.rows(n, band) for n, band in enumerate(filled)])
    frequency, start = model.frequency[rows], model.start[rows] % TOTAL
    lanes = lanes_of(len(rows))
    state = np.full(lanes, LOWEST, np.int64)
    words: list[NDArray[np.int64]] = []
    for begin in reversed(range(0, len(rows), lanes)):
        f, s = frequency[begin : begin + lanes], start[begin : begin + lanes]
        x = state[: len(f)]
        full = x >= f << (32 - PRECISION)
        words.append(x[full] & 0xFFFF)
        x = np.where(full, x >> 16, x)
        quotient = x // f
        state[: len(f)] = (quotient << PRECISION) + (x - quotient * f) + s
    words.append(np.stack([state >> 16, state & 0xFFFF], axis=1).ravel())
    stream = np.concatenate(words[::-1]).astype("<u2")
    return b"".join(t.to_bytes() for t in tables), stream.tobytes()


def decode(tables: bytes, words: bytes | memoryview, shapes: Sequence[Shape]) -> list[NDArray[np.int16]]:
    """The inverse of `encode` for bands of known shapes; `tables` has exactly tables_bytes(shapes) bytes.

    Raises: CorruptBody unless the stream is exactly what an encoder makes of such bands.
    """
    found, at = [], 0
    for c, n in shapes:
        if c * n:
            stop = at + RANGE_BYTES + CHANNEL_BYTES * c
            found.append(Tables.from_bytes(tables[at:stop]))
            at = stop
    sizes = [c * n for c, n in shapes]
    values = _decoded(_Model(found), [s for s in shapes if s[0] * s[1]], np.frombuffer(words, "<u2"))
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


class _Model:
    """The tables of all channels of all bands behind each other: start, frequency and value of every entry. Starts of
    channel k begin at k · TOTAL, so that one search finds channel and value of a slot."""

    def __init__(self, tables: Sequence[Tables]) -> None:
        rows = [row for t in tables for row in t.frequencies()]
        self.frequency = np.concatenate([np.empty(0, np.int64), *rows])
        self.start = np.cumsum(self.frequency) - self.frequency
        values = [np.tile(np.arange(t.lo, t.hi + 1), len(t.width)) for t in tables]
        self.value = np.concatenate([np.empty(0, np.int64), *values]).astype(np.int16)
        ends = np.cumsum([0, *((t.hi - t.lo + 1) * len(t.width) for t in tables)])
        self._tables, self._ends = tables, ends

    def rows(self, band: int, values: NDArray[np.int16]) -> NDArray[np.int64]:
        """The entries of the values (channels, symbols) of a band, channel after channel."""
        t = self._tables[band]
        first = self._ends[band] + np.arange(len(values)) * (t.hi - t.lo + 1)
        found: NDArray[np.int64] = (values.astype(np.int64) - t.lo + first[:, None]).ravel()
        return found


def _decoded(model: _Model, shapes: Sequence[Shape], words: NDArray[np.uint16]) -> NDArray[np.int16]:
    """All values of the bands with these shapes, none empty, behind each other."""
    repeats = [n for c, n in shapes for _ in range(c)]
    channel = np.repeat(np.arange(len(repeats), dtype=np.int16), repeats)
    lanes = lanes_of(len(channel))
    if len(words) < 2 * lanes:
        raise CorruptBody(f"{len(words)} words where {lanes} states take two each")
    head = words[: 2 * lanes].astype(np.int64)
    state, at = head[::2] << 16 | head[1::2], 2 * lanes
    if lanes and state.min() < LOWEST:
        raise CorruptBody("a state below the lowest one")
    values = np.empty(len(channel), np.int16)
    start, frequency = model.start, model.frequency
    for begin in range(0, len(channel), max(lanes, 1)):
        slot = channel[begin : begin + lanes].astype(np.int64) << PRECISION
        x = state[: len(slot)]
        slot += x & (TOTAL - 1)
        row = start.searchsorted(slot, "right") - 1
        values[begin : begin + lanes] = model.value[row]
        x = frequency[row] * (x >> PRECISION) + slot - start[row]
        low = np.flatnonzero(x < LOWEST)
        taken = words[at : at + len(low)]
        if len(taken) < len(low):
            raise CorruptBody("the words end inside the latents")
        x[low] = x[low] << 16 | taken
        at += len(low)
        state[: len(slot)] = x
    if at != len(words) or (lanes and (state != LOWEST).any()):
        raise CorruptBody("the words do not end with the latents")
    return values
