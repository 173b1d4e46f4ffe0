"""The frequency tables of latents: a normal distribution with more zeros per channel.

A table is described by two bytes and follows from them by integer arithmetic alone, so that every machine has the
same one (docs/wire_format.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.errors import CorruptBody

#: Frequencies of a table add up to 2^PRECISION; a symbol of the alphabet has at least 1.
PRECISION = 14
TOTAL = 1 << PRECISION
#: Alphabets of more values than this have their means in whole steps instead of quarters.
FINE = 64
#: Largest width, mean and zeros; a mean of CENTRE is that of the value 0.
NARROWEST, HIGHEST, MOST_ZEROS = 63, 63, 15
CENTRE = 32
#: Order and distances in which the encoder tries neighbours of the parameters width 0, mean 1 and zeros 2.
SEARCH = ((0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (2, 1))
RANGE_BYTES, CHANNEL_BYTES = 2, 2
_MEAN_BITS, _ZEROS_BITS = 6, 12


class Table(Protocol):
    """The frequencies of the values lo … hi in every channel of a band."""

    @property
    def lo(self) -> int:
        """Smallest value."""

    @property
    def hi(self) -> int:
        """Largest value."""

    @property
    def channels(self) -> int:
        """Channels of the band."""

    def frequencies(self) -> NDArray[np.int64]:
        """(channels, hi − lo + 1), every row with the sum TOTAL and no entry below 1."""


class JoinedTables:
    """The tables of all channels of all bands behind each other: start, frequency and value of every entry. Starts of
    channel k begin at k · TOTAL."""

    def __init__(self, tables: Sequence[Table]) -> None:
        rows = [row for t in tables for row in t.frequencies()]
        self.frequency = np.concatenate([np.empty(0, np.int64), *rows])
        self.start = np.cumsum(self.frequency) - self.frequency
        values = [np.tile(np.arange(t.lo, t.hi + 1), t.channels) for t in tables]
        self.value = np.concatenate([np.empty(0, np.int64), *values]).astype(np.int16)
        ends = np.cumsum([0, *((t.hi - t.lo + 1) * t.channels for t in tables)])
        self._tables, self._ends = tables, ends

    def rows(self, band: int, values: NDArray[np.int16]) -> NDArray[np.int64]:
        """The entries of the values (channels, symbols) of a band, channel after channel."""
        t = self._tables[band]
        first = self._ends[band] + np.arange(len(values)) * (t.hi - t.lo + 1)
        found: NDArray[np.int64] = (values.astype(np.int64) - t.lo + first[:, None]).ravel()
        return found


@dataclass(frozen=True)
class Tables:
    """The frequency tables of one band of latents in [lo, hi]: width and mean, up to 63, and zeros, up to 15
    (channels,)."""

    lo: int
    hi: int
    width: NDArray[np.uint8]
    mean: NDArray[np.uint8]
    zeros: NDArray[np.uint8]

    @property
    def channels(self) -> int:
        """Channels of the band."""
        return len(self.width)

    def frequencies(self) -> NDArray[np.int64]:
        """(channels, hi − lo + 1), every row with the sum TOTAL and no entry below 1."""
        return frequencies(self.lo, self.hi, self.width, self.mean, self.zeros)

    def to_bytes(self) -> bytes:
        """int8 lo and hi, then uint16 of every channel: width, mean and zeros from the lowest bit on."""
        width, mean, zeros = (v.astype(np.uint16) for v in (self.width, self.mean, self.zeros))
        packed = (width | mean << _MEAN_BITS | zeros << _ZEROS_BITS).astype("<u2")
        return np.array([self.lo, self.hi], np.int8).tobytes() + packed.tobytes()

    @staticmethod
    def from_bytes(raw: bytes) -> Tables:
        """The inverse of to_bytes. Raises: CorruptBody for an impossible range."""
        lo, hi = (int(v) for v in np.frombuffer(raw, np.int8, count=2))
        if lo > hi:
            raise CorruptBody(f"values in {lo}…{hi}")
        packed = np.frombuffer(raw, "<u2", offset=RANGE_BYTES)
        planes = (packed & NARROWEST, packed >> _MEAN_BITS & HIGHEST, packed >> _ZEROS_BITS)
        return Tables(lo, hi, *(plane.astype(np.uint8) for plane in planes))


def frequencies(
    lo: int, hi: int, width: NDArray[np.uint8], mean: NDArray[np.uint8], zeros: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Tables (K, hi − lo + 1) of K triples of parameters, in integers.

    A value at distance d (in quarters of a step) from the mean has the weight 2^(−d² g / 2^19) with g = 2, 3, 4, 6, 8,
    12, … for width 0, 1, 2, …; between powers of two the weight is interpolated linearly. `zeros` 16ths of all go to
    the value 0 beforehand.
    """
    size = hi - lo + 1
    zero, unit = _zero(lo, size), _unit(size)
    w = width.astype(np.int64)[:, None]
    distance = 4 * (np.arange(size) - zero) - unit * (mean.astype(np.int64)[:, None] - CENTRE)
    exponent = distance * distance * ((2 + w % 2) << (w // 2)) >> 3
    mantissa = (1 << 17) - (exponent & 0xFFFF)
    weight = np.maximum(mantissa << 13 >> np.minimum(exponent >> 16, 31), 1)
    room = TOTAL - size
    extra = room * zeros.astype(np.int64) >> 4
    found: NDArray[np.int64] = 1 + weight * (room - extra)[:, None] // weight.sum(axis=1, keepdims=True)
    rows = np.arange(len(found))
    found[rows, found.argmax(axis=1)] += TOTAL - extra - found.sum(axis=1)
    found[:, zero] += extra
    return found


def fitted_tables(values: NDArray[np.int16]) -> Tables:
    """Tables under which a band (channels, symbols), not empty, is short; found near its moments."""
    lo, hi = int(values.min()), int(values.max())
    size, channels = hi - lo + 1, len(values)
    offsets = (values - np.int16(lo)).astype(np.int64) + np.arange(channels)[:, None] * size
    counts = np.bincount(offsets.ravel(), minlength=channels * size).reshape(channels, size)
    starts = _starts(counts, lo)
    twice = np.tile(counts, (len(starts), 1))  # all starts are refined side by side
    found, bits = np.concatenate(starts), None
    for axis, reach in SEARCH:
        found, bits = _refined(twice, lo, hi, found, bits, axis, reach)
    assert bits is not None
    best = bits.reshape(len(starts), channels).argmin(axis=0)
    width, mean, zeros = found.reshape(len(starts), channels, 3)[best, np.arange(channels)].T.astype(np.uint8)
    return Tables(lo, hi, width, mean, zeros)


def _starts(counts: NDArray[np.int64], lo: int) -> list[NDArray[np.int64]]:
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
        zeros = np.round(16 * (counts[:, zero] - kept) / counts.sum(axis=1))
        offset = np.round(4 * (mean - zero) / _unit(size)) + CENTRE
        starts.append(np.stack([np.round(2 * gain) - 2, offset, zeros], axis=1))
    return [start.astype(np.int64) for start in starts]


def _zero(lo: int, size: int) -> int:
    """Index of the value 0, or of the one next to it, among `size` values from lo on."""
    return min(max(-lo, 0), size - 1)


def _unit(size: int) -> int:
    """Unit of the mean in quarters of a step, for an alphabet of this size."""
    return 1 if size <= FINE else 4


def _refined(
    counts: NDArray[np.int64],
    lo: int,
    hi: int,
    around: NDArray[np.int64],
    known: NDArray[np.float64] | None,
    axis: int,
    reach: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best parameters (channels, 3) of some and those that are `reach` more or less on one axis, and their cost
    (channels,) in bits. known: cost of the parameters `around`, if they were tried before."""
    tried = np.stack([around, around, around])
    tried[:, :, axis] += reach * np.arange(-1, 2)[:, None]
    np.clip(tried, 0, [NARROWEST, HIGHEST, MOST_ZEROS], out=tried)
    costs = np.empty(tried.shape[:2])
    new = slice(None) if known is None else slice(None, None, 2)
    if known is not None:
        costs[1] = known
    rows = tried[new].reshape(-1, 3).T.astype(np.uint8)
    bits = PRECISION - np.log2(frequencies(lo, hi, *rows).reshape(-1, *counts.shape))
    # Rounded, so that ties are resolved equally on every machine.
    costs[new] = np.einsum("kcv,cv->kc", bits, counts.astype(np.float64)).round(3)
    best, channels = costs.argmin(axis=0), np.arange(len(counts))
    return tried[best, channels], costs[best, channels]
