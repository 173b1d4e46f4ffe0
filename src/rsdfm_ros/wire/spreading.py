"""Which tile travels in which packet of an image, and which cells stay where a tile has too many for its packet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.features import CELLS_PER_TILE, FeatureFrame

NEIGHBOUR_SHARE = 0.5
"""Share of the weight of a tile's neighbours in a packet that counts as if it were the packet's own, when the tile is
dealt: more separates neighbours better, less makes packets more equal."""


def spread(tiles: NDArray[np.int32], weights: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """(M,) the packet 0 … parts − 1 of every tile (M, 2) of these weights (M,).

    The heaviest tile is dealt first, each to the packet that is lightest, where the tile's neighbours (of eight) that
    are in a packet already make it heavier.
    """
    part = np.zeros(len(tiles), np.int64)
    if parts == 1:
        return part
    load, done = np.zeros(parts), dict[tuple[int, int], int]()
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    for row in np.argsort(-weights, kind="stable").tolist():
        ti, tj = (int(v) for v in tiles[row])
        cost = load.copy()
        for i, j in steps:
            other = done.get((ti + i, tj + j))
            if other is not None:
                cost[part[other]] += NEIGHBOUR_SHARE * weights[other]
        part[row] = cost.argmin()
        load[part[row]] += weights[row]
        done[ti, tj] = row
    return part


def thinned(frame: FeatureFrame, most: int) -> FeatureFrame:
    """The frame with at most `most` cells of every tile, those first in an order (`_dithered`) of which any beginning
    covers a tile evenly; receivers fill in the cells between."""
    order = np.lexsort((DITHERED[frame.high_cell], frame.high_tile))
    first = np.concatenate([[0], np.cumsum(frame.counts)])[frame.high_tile[order]]
    kept = np.zeros(len(order), bool)
    kept[order] = np.arange(len(order)) - first < most
    return replace(
        frame,
        high_tile=frame.high_tile[kept],
        high_cell=frame.high_cell[kept],
        high=frame.high[kept],
    )


def _dithered() -> NDArray[np.int64]:
    """(256,) the place of every cell of a tile in the order of a Bayer matrix, as for ordered dithering: its first half
    is the checkerboard of even cells."""
    matrix = np.zeros((1, 1), np.int64)
    while len(matrix) < TILE_CELLS:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return matrix.reshape(CELLS_PER_TILE)


DITHERED = _dithered()
