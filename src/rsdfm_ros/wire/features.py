"""Frames exchanged between UAVs, as plain arrays: compressed ones and, for baselines, dense ones.

A frame holds whole tiles of the world lattice (16 × 16 cells, geometry/lattice.py). Row m of every per-tile array
belongs to key ``tiles[m]`` = (ti, tj), which covers cells i in [16 ti, 16 ti + 16), j likewise. Latents are int8;
latent · scale (per channel) is the value that the sender's model produced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.errors import CellsUnsorted, InvalidFrame, NonFinite, TilesUnsorted

#: Cells of one tile; a cell's index within its tile is ``TILE_CELLS * di + dj``.
CELLS_PER_TILE = TILE_CELLS * TILE_CELLS

#: Side of the block of cells that one low-band latent stands for, and blocks along a tile's side.
LOW_BLOCK_CELLS = 8
LOW_SIDE = TILE_CELLS // LOW_BLOCK_CELLS


@dataclass(frozen=True)
class FeatureFrame:
    """One agent's BEV map at one instant, compressed into a low and a high band (algorithm.md, stage 3).

    tiles (M, 2) int32, strictly increasing lexicographically · low (M, Cl, 2, 2) int8 with axes tile, channel, block
    along i, block along j; all zeros where the low band is not sent · low_scale (Cl,) float32 > 0 · visible
    (M, 16, 16) bool, cells the sender saw · high_tile (n,) int32 row into `tiles`, not decreasing · high_cell (n,)
    uint8 = 16 di + dj, strictly increasing within a tile · high (n, Ch) int8 · high_scale (Ch,) float32 > 0. Scales
    are numbers of half precision (`half`).
    """

    tiles: NDArray[np.int32]
    low: NDArray[np.int8]
    low_scale: NDArray[np.float32]
    visible: NDArray[np.bool_]
    high_tile: NDArray[np.int32]
    high_cell: NDArray[np.uint8]
    high: NDArray[np.int8]
    high_scale: NDArray[np.float32]

    def validate(self) -> FeatureFrame:
        """The frame itself if its arrays agree with the class docstring; a WireError that names the field if not."""
        m, n = len(self.tiles), len(self.high_tile)
        check_tiles(self.tiles)
        _check_array("low", self.low, np.int8, (m, None, LOW_SIDE, LOW_SIDE))
        _check_array("visible", self.visible, np.bool_, (m, TILE_CELLS, TILE_CELLS))
        _check_array("high_tile", self.high_tile, np.int32, (n,))
        _check_array("high_cell", self.high_cell, np.uint8, (n,))
        _check_array("high", self.high, np.int8, (n, None))
        check_scale("low_scale", self.low_scale, self.low.shape[1])
        check_scale("high_scale", self.high_scale, self.high.shape[1])
        if n:
            if self.high_tile.min() < 0 or self.high_tile.max() >= m:
                raise InvalidFrame("high_tile", f"rows in 0…{m - 1}", int(self.high_tile.max()))
            order = self.high_tile.astype(np.int64) * CELLS_PER_TILE + self.high_cell
            bad = np.flatnonzero(np.diff(order) <= 0)
            if len(bad):
                raise CellsUnsorted(int(self.high_tile[bad[0] + 1]))
        return self

    @property
    def channels(self) -> tuple[int, int]:
        """Of the low and of the high band."""
        return self.low.shape[1], self.high.shape[1]

    @property
    def has_low(self) -> bool:
        """Whether the low band says anything."""
        return bool(self.low.any())

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sent cells (M,) of each tile."""
        return np.bincount(self.high_tile, minlength=len(self.tiles))

    def rows(self, kept: NDArray[np.bool_]) -> FeatureFrame:
        """The tiles of which `kept` (M,) is true, with their cells."""
        place = np.cumsum(kept) - 1
        cells = kept[self.high_tile]
        return replace(
            self,
            tiles=self.tiles[kept],
            low=self.low[kept],
            visible=self.visible[kept],
            high_tile=place[self.high_tile[cells]].astype(np.int32),
            high_cell=self.high_cell[cells],
            high=self.high[cells],
        )

    @staticmethod
    def joined(frames: Sequence[FeatureFrame]) -> FeatureFrame:
        """One frame of the tiles of several, at least one, that have no tile in common and the scales of the first."""
        tiles = np.concatenate([f.tiles for f in frames])
        order = np.argsort(tile_keys(tiles), kind="stable")
        place = np.argsort(order, kind="stable")
        before = np.cumsum([0, *(len(f.tiles) for f in frames)])
        row = place[np.concatenate([f.high_tile + b for f, b in zip(frames, before[:-1], strict=True)])]
        cells = np.argsort(row, kind="stable")
        return replace(
            frames[0],
            tiles=tiles[order],
            low=np.concatenate([f.low for f in frames])[order],
            visible=np.concatenate([f.visible for f in frames])[order],
            high_tile=row[cells].astype(np.int32),
            high_cell=np.concatenate([f.high_cell for f in frames])[cells],
            high=np.concatenate([f.high for f in frames])[cells],
        )


@dataclass(frozen=True)
class DenseFrame:
    """One agent's whole feature map, for the uncompressed baselines.

    tiles (M, 2) int32, strictly increasing lexicographically · visible (M, 16, 16) bool · values (V, C) float16, one
    row per visible cell, tile after tile, row-major within a tile.
    """

    tiles: NDArray[np.int32]
    visible: NDArray[np.bool_]
    values: NDArray[np.float16]

    def validate(self) -> DenseFrame:
        """The frame itself if its arrays agree with the class docstring; a WireError that names the field if not."""
        check_tiles(self.tiles)
        _check_array("visible", self.visible, np.bool_, (len(self.tiles), TILE_CELLS, TILE_CELLS))
        _check_array("values", self.values, np.float16, (int(np.count_nonzero(self.visible)), None))
        if not np.isfinite(self.values).all():
            raise NonFinite("values")
        return self

    @property
    def channels(self) -> tuple[int]:
        """Of the features."""
        return (self.values.shape[1],)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Visible cells (M,) of each tile."""
        seen: NDArray[np.int64] = self.visible.reshape(-1, CELLS_PER_TILE).sum(axis=1, dtype=np.int64)
        return seen

    def rows(self, kept: NDArray[np.bool_]) -> DenseFrame:
        """The tiles of which `kept` (M,) is true, with their values."""
        return DenseFrame(self.tiles[kept], self.visible[kept], self.values[np.repeat(kept, self.counts)])

    @staticmethod
    def joined(frames: Sequence[DenseFrame]) -> DenseFrame:
        """One frame of the tiles of several, at least one, that have no tile in common."""
        tiles = np.concatenate([f.tiles for f in frames])
        order = np.argsort(tile_keys(tiles), kind="stable")
        owner = np.repeat(np.argsort(order, kind="stable"), np.concatenate([f.counts for f in frames]))
        values = np.concatenate([f.values for f in frames])[np.argsort(owner, kind="stable")]
        return DenseFrame(tiles[order], np.concatenate([f.visible for f in frames])[order], values)


def tile_keys(tiles: NDArray[np.int32]) -> NDArray[np.int64]:
    """(M,) one integer per tile (M, 2) that sorts as the tiles do."""
    keys: NDArray[np.int64] = tiles[:, 0].astype(np.int64) * (1 << 32) + tiles[:, 1].astype(np.int64)
    return keys


def half(scale: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scales rounded to half precision, as they are sent; positive ones stay positive and finite."""
    limits = np.finfo(np.float16)
    rounded: NDArray[np.float16] = np.clip(scale, limits.smallest_subnormal, limits.max).astype(np.float16)
    return rounded.astype(np.float32)


def check_tiles(tiles: NDArray[np.int32]) -> None:
    """Raise unless `tiles` is (M, 2) int32 with strictly increasing rows."""
    _check_array("tiles", tiles, np.int32, (None, 2))
    if len(tiles) > 1:
        step = np.diff(tiles.astype(np.int64), axis=0)
        bad = np.flatnonzero((step[:, 0] < 0) | ((step[:, 0] == 0) & (step[:, 1] <= 0)))
        if len(bad):
            raise TilesUnsorted(int(bad[0]) + 1)


def check_scale(name: str, scale: NDArray[np.float32], channels: int) -> None:
    """Raise unless `scale` is (channels,) float32, finite, positive and of half precision."""
    _check_array(name, scale, np.float32, (channels,))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise NonFinite(name)
    if not np.array_equal(half(scale), scale):
        raise InvalidFrame(name, "numbers of half precision", scale)


def _check_array(
    name: str,
    array: NDArray[np.generic],
    dtype: type[np.generic],
    shape: tuple[int | None, ...],
) -> None:
    if array.dtype != dtype:
        raise InvalidFrame(name, f"dtype {np.dtype(dtype)}", array.dtype)
    if array.ndim != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, array.shape, strict=True)
    ):
        expected = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise InvalidFrame(name, f"shape {expected}", array.shape)
