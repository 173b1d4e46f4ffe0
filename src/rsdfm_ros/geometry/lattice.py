"""The world-anchored lattice: cells, tiles and windows.

Cell (i, j) of a lattice with cell size r covers x in [i r, (i+1) r) and y in [j r, (j+1) r) of the ``map`` frame.
Arrays over a window are indexed ``[..., i - i0, j - j0]``. Because every agent uses the same lattice, moving data
between windows is an integer shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.errors import RsdfmError


class WindowError(RsdfmError, ValueError):
    """An area that a map does not cover."""


FRAME_ID = "map"
"""Usual name of the frame of the lattice: ENU metres."""
#: Side of a tile in feature cells: the unit of transmission, loss, interest and caching.
TILE_CELLS = 16


@dataclass(frozen=True)
class Window:
    """A rectangle of cells: first cell (i0, j0), ni × nj cells of `cell_size` metres."""

    i0: int
    j0: int
    ni: int
    nj: int
    cell_size: float

    def __post_init__(self) -> None:
        if self.ni <= 0 or self.nj <= 0 or not self.cell_size > 0:
            raise ValueError(f"a window needs positive extent and cell size, got {self}")

    @property
    def shape(self) -> tuple[int, int]:
        """(ni, nj): the shape of an array over this window."""
        return self.ni, self.nj

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x_min, y_min, x_max, y_max) in metres."""
        r = self.cell_size
        return self.i0 * r, self.j0 * r, (self.i0 + self.ni) * r, (self.j0 + self.nj) * r

    def cells(self, points: ArrayLike) -> NDArray[np.int64]:
        """Window-relative (i, j) of points (..., 2) in metres; may lie outside the window."""
        index = np.floor(np.asarray(points, dtype=np.float64) / self.cell_size).astype(np.int64)
        return np.asarray(index - np.array([self.i0, self.j0]))

    def contains(self, cells: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether window-relative cells (..., 2) lie inside."""
        inside = (cells >= 0) & (cells < np.array([self.ni, self.nj]))
        return np.asarray(inside.all(axis=-1))

    def centres(self) -> NDArray[np.float64]:
        """Cell centres (ni, nj, 2) in metres."""
        x = (np.arange(self.i0, self.i0 + self.ni) + 0.5) * self.cell_size
        y = (np.arange(self.j0, self.j0 + self.nj) + 0.5) * self.cell_size
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)

    def centres_of(self, index: NDArray[np.integer]) -> NDArray[np.float64]:
        """Centres (N, 2) in metres of cells given by flat indices (N,) of an array over this window."""
        i, j = np.divmod(index, self.nj)
        return np.stack([i + (self.i0 + 0.5), j + (self.j0 + 0.5)], axis=1) * self.cell_size

    def refined(self, factor: int) -> Window:
        """The same area with cells `factor` times smaller."""
        return Window(
            self.i0 * factor, self.j0 * factor, self.ni * factor, self.nj * factor, self.cell_size / factor
        )

    def crop(self, other: Window) -> tuple[slice, slice]:
        """Slices of an array over this window that cover `other`; WindowError if it does not lie inside."""
        i, j = other.i0 - self.i0, other.j0 - self.j0
        if other.cell_size != self.cell_size:
            raise WindowError(f"cell sizes differ: {self.cell_size} and {other.cell_size} m")
        if i < 0 or j < 0 or i + other.ni > self.ni or j + other.nj > self.nj:
            wanted, there = (
                f"x {x0:g} to {x1:g} m, y {y0:g} to {y1:g} m"
                for x0, y0, x1, y1 in (other.bounds, self.bounds)
            )
            raise WindowError(
                f"the area wanted ({wanted}) does not lie inside the map ({there}): take a model whose window covers it"
            )
        return slice(i, i + other.ni), slice(j, j + other.nj)

    def tiles(self) -> NDArray[np.int32]:
        """Keys (M, 2) of the tiles of this window, lexicographic; ValueError unless it is made of whole tiles."""
        if any(v % TILE_CELLS for v in (self.i0, self.j0, self.ni, self.nj)):
            raise ValueError(f"{self} is not made of whole tiles of {TILE_CELLS} cells")
        ti = np.arange(self.i0 // TILE_CELLS, (self.i0 + self.ni) // TILE_CELLS)
        tj = np.arange(self.j0 // TILE_CELLS, (self.j0 + self.nj) // TILE_CELLS)
        return np.stack(np.meshgrid(ti, tj, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int32)


def square_window(half_extent_m: float, cell_size: float) -> Window:
    """The window of ±`half_extent_m` around the map origin, e.g. ±50 m at 0.5 m is 200 × 200 cells."""
    n = round(half_extent_m / cell_size)
    return Window(-n, -n, 2 * n, 2 * n, cell_size)
