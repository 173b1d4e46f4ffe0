"""The frequency table of the gaps between sent cells: a histogram of small gaps and of ranges of larger ones.

Gaps are no normal distribution: at small budgets odd ones are frequent and even ones rare, because cells are chosen in
a checkerboard, and few are very large. Ten bytes tell the shares of 20 classes (docs/wire_format.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.features import CELLS_PER_TILE
from rsdfm_ros.wire.tables import TOTAL

#: First gap of every class: 0 to 15 alone, then 16 to 31, 32 to 63, 64 to 127 and 128 to 255.
FIRST = np.array([*range(16), 16, 32, 64, 128])
SIZES = np.diff(FIRST, append=CELLS_PER_TILE)
MOST = 15
"""Largest level of a class; a step is a factor of √2, about, and 0 stands for none."""
GAP_BYTES = len(FIRST) // 2


@dataclass(frozen=True)
class GapTable:
    """The frequency table of gaps 0 … 255: levels (20,) uint8 of the classes, 0 to 15."""

    levels: NDArray[np.uint8]
    lo, hi, channels = 0, CELLS_PER_TILE - 1, 1

    def frequencies(self) -> NDArray[np.int64]:
        """(1, 256), with the sum TOTAL and no entry below 1."""
        level = self.levels.astype(np.int64)
        weight = np.where(level > 0, (2 + level % 2) << (level // 2), 0)
        share = weight * (TOTAL - CELLS_PER_TILE) // (SIZES * max(int(weight.sum()), 1))
        found = 1 + np.repeat(share, SIZES)
        found[found.argmax()] += TOTAL - found.sum()
        return found[None]

    def to_bytes(self) -> bytes:
        """Two levels a byte, the first one in the lower half."""
        return (self.levels[::2] | self.levels[1::2] << 4).astype(np.uint8).tobytes()

    @staticmethod
    def from_bytes(raw: bytes) -> GapTable:
        """The inverse of to_bytes."""
        pairs = np.frombuffer(raw, np.uint8)
        return GapTable(np.stack([pairs & 15, pairs >> 4], axis=1).ravel())


def fitted_gaps(gaps: NDArray[np.int16]) -> GapTable:
    """The table of these gaps, at least one."""
    classes = np.searchsorted(FIRST, gaps.ravel(), side="right") - 1
    counts = np.bincount(classes, minlength=len(FIRST))
    level = MOST + np.round(2.0 * np.log2(np.maximum(counts, 1) / counts.max()))
    return GapTable(np.where(counts > 0, np.maximum(level, 1), 0).astype(np.uint8))
