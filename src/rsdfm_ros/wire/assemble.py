"""Parts back to a frame: lost packets mean unknown tiles, never a failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.body import DensePart, HighPart, LowPart, Part
from rsdfm_ros.wire.errors import InconsistentParts
from rsdfm_ros.wire.features import CELLS_PER_TILE, LOW_SIDE, DenseFrame, FeatureFrame


def assemble(parts: Iterable[Part], *, low_channels: int = 0, high_channels: int = 0) -> FeatureFrame:
    """The frame of the parts that arrived, in any order.

    A tile without its low part is unknown and left out with its high part (see orphan_tiles); a tile without a high
    part has no sent cells. low_channels, high_channels: sizes used for a band of which nothing arrived.
    Raises: InconsistentParts if the parts cannot be of one frame.
    """
    low_parts, high_parts = _bands(parts)
    tiles = np.concatenate([_no_tiles(), *(p.tiles for p in low_parts)])
    low_scale = _scale("low", low_parts, low_channels)
    empty_low = np.empty((0, len(low_scale), LOW_SIDE, LOW_SIDE), np.int8)
    low = np.concatenate([empty_low, *(p.low for p in low_parts)])
    empty_visible = np.empty((0, TILE_CELLS, TILE_CELLS), np.bool_)
    visible = np.concatenate([empty_visible, *(p.visible for p in low_parts)])
    order = np.lexsort((tiles[:, 1], tiles[:, 0]))
    tiles = tiles[order]
    keys = _keys(tiles)
    if len(np.unique(keys)) != len(keys):
        raise InconsistentParts("a tile came in two low parts")

    high_scale = _scale("high", high_parts, high_channels)
    row = np.concatenate([np.empty(0, np.int64), *(_rows(keys, p) for p in high_parts)])
    cell = np.concatenate([np.empty(0, np.uint8), *(p.cell for p in high_parts)])
    high = np.concatenate([np.empty((0, len(high_scale)), np.int8), *(p.high for p in high_parts)])
    place = row * CELLS_PER_TILE + cell
    picked = np.argsort(place, kind="stable")
    picked = picked[row[picked] >= 0]
    if len(np.unique(place[picked])) != len(picked):
        raise InconsistentParts("a cell came in two high parts")
    return FeatureFrame(
        tiles=tiles,
        low=low[order],
        low_scale=low_scale,
        visible=visible[order],
        high_tile=row[picked].astype(np.int32),
        high_cell=cell[picked],
        high=high[picked],
        high_scale=high_scale,
    )


def orphan_tiles(parts: Iterable[Part]) -> int:
    """How many tiles came with a high part but no low part: lost on the way, dropped by `assemble`."""
    low_parts, high_parts = _bands(parts)
    low = np.concatenate([np.empty(0, np.int64), *(_keys(p.tiles) for p in low_parts)])
    high = np.concatenate([np.empty(0, np.int64), *(_keys(p.tiles) for p in high_parts)])
    return len(np.setdiff1d(high, low))


def assemble_dense(parts: Iterable[Part], *, channels: int = 0) -> DenseFrame:
    """The dense frame of the parts that arrived, in any order; `channels` is used if none did.

    Raises: InconsistentParts if the parts cannot be of one frame.
    """
    dense = [p for p in parts if isinstance(p, DensePart)]
    if len({(p.fingerprint, p.values.shape[1]) for p in dense}) > 1:
        raise InconsistentParts("dense parts of different models or channel counts")
    channels = dense[0].values.shape[1] if dense else channels
    tiles = np.concatenate([_no_tiles(), *(p.tiles for p in dense)])
    visible = np.concatenate([np.empty((0, TILE_CELLS, TILE_CELLS), np.bool_), *(p.visible for p in dense)])
    values = np.concatenate([np.empty((0, channels), np.float16), *(p.values for p in dense)])
    order = np.lexsort((tiles[:, 1], tiles[:, 0]))
    counts = np.count_nonzero(visible.reshape(-1, CELLS_PER_TILE), axis=1)
    owner = np.repeat(np.arange(len(tiles)), counts)
    rank = np.empty(len(tiles), np.int64)
    rank[order] = np.arange(len(tiles))
    if len(np.unique(_keys(tiles))) != len(tiles):
        raise InconsistentParts("a tile came in two dense parts")
    return DenseFrame(tiles[order], visible[order], values[np.argsort(rank[owner], kind="stable")])


def _bands(parts: Iterable[Part]) -> tuple[list[LowPart], list[HighPart]]:
    every = list(parts)
    if len({p.fingerprint for p in every}) > 1:
        raise InconsistentParts("parts of different models")
    if any(isinstance(p, DensePart) for p in every):
        raise InconsistentParts("a dense part among compressed ones")
    low = [p for p in every if isinstance(p, LowPart)]
    return low, [p for p in every if isinstance(p, HighPart)]


def _scale(band: str, parts: Sequence[LowPart] | Sequence[HighPart], channels: int) -> NDArray[np.float32]:
    if not parts:
        return np.ones(channels, np.float32)
    first = parts[0].scale
    if any(not np.array_equal(p.scale, first) for p in parts):
        raise InconsistentParts(f"{band} parts with different scales")
    return first


def _rows(keys: NDArray[np.int64], part: HighPart) -> NDArray[np.int64]:
    """(n,) row of each cell's tile in the sorted `keys`, -1 for a tile that is not there."""
    wanted = _keys(part.tiles)
    row = np.searchsorted(keys, wanted)
    found = row < len(keys)
    found[found] = keys[row[found]] == wanted[found]
    return np.repeat(np.where(found, row, -1), part.counts)


def _keys(tiles: NDArray[np.int32]) -> NDArray[np.int64]:
    """(M,) one integer per tile that sorts as the keys do."""
    return tiles[:, 0].astype(np.int64) * (1 << 32) + tiles[:, 1].astype(np.int64)


def _no_tiles() -> NDArray[np.int32]:
    return np.empty((0, 2), np.int32)
