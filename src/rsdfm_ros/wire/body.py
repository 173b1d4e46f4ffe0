"""The content of packets before zstd: arrays of whole tiles to a body and words, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire import entropy
from rsdfm_ros.wire.errors import CorruptBody, CountMismatch, NonFinite, OverLimit, TileOutOfBounds
from rsdfm_ros.wire.features import (
    CELLS_PER_TILE,
    LOW_SIDE,
    DenseFrame,
    FeatureFrame,
    check_scale,
    check_tiles,
)
from rsdfm_ros.wire.header import HALF_BYTES, TILE_KEY_BYTES, VISIBLE_BYTES, Header
from rsdfm_ros.wire.limits import Limits


@dataclass(frozen=True)
class FeaturePart:
    """Some whole tiles of a compressed frame; without low latents these are zeros, with scales of 1."""

    fingerprint: int
    frame: FeatureFrame


@dataclass(frozen=True)
class DensePart:
    """Some whole tiles of a dense frame."""

    fingerprint: int
    frame: DenseFrame


Part = FeaturePart | DensePart


def compressed_body(frame: FeatureFrame, has_low: bool) -> tuple[bytes, bytes]:
    """The body and the words of a frame."""
    low = frame.low.transpose(1, 0, 2, 3).reshape(frame.low.shape[1], -1)
    if not has_low:
        low = low[:0]
    tables, words = entropy.encode([_gaps(frame)[None], low.astype(np.int16), frame.high.T.astype(np.int16)])
    scales = np.concatenate([frame.low_scale[: len(low)], frame.high_scale]).astype("<f2")
    counts = frame.counts.astype("<u2")
    body = _tile_bytes(frame.tiles) + _visible_bytes(frame.visible) + counts.tobytes() + scales.tobytes()
    return body + tables, words


def dense_body(frame: DenseFrame) -> bytes:
    """The body of a frame: tiles, visibility, and values as [channel][visible cell]."""
    values = np.ascontiguousarray(frame.values.T).astype("<f2")
    return _tile_bytes(frame.tiles) + _visible_bytes(frame.visible) + values.tobytes()


@dataclass(frozen=True)
class CodedPart:
    """A compressed part whose bands are not decoded yet: tiles (M, 2), visible (M, 16, 16), sent cells (M,) of each
    tile, all scales."""

    header: Header
    tiles: NDArray[np.int32]
    visible: NDArray[np.bool_]
    counts: NDArray[np.int64]
    scale: NDArray[np.float32]
    coded: entropy.Coded

    def part(self, bands: Sequence[NDArray[np.int16]]) -> FeaturePart:
        """The part with these bands: gaps, low, high. Raises: CorruptBody."""
        header, m = self.header, len(self.tiles)
        gaps, low, high = bands
        tile = np.repeat(np.arange(m), self.counts)
        low_scale, high_scale = np.split(self.scale, [header.scales - header.high])
        blocks = (header.low, m, LOW_SIDE, LOW_SIDE)
        latents = _latents(low).reshape(blocks) if header.has_low else np.zeros(blocks, np.int8)
        frame = FeatureFrame(
            tiles=self.tiles,
            low=latents.transpose(1, 0, 2, 3).copy(),
            low_scale=low_scale if header.has_low else np.ones(header.low, np.float32),
            visible=self.visible,
            high_tile=tile.astype(np.int32),
            high_cell=_cells(gaps[0].astype(np.int64), self.counts, tile),
            high=_latents(high).T.copy(),
            high_scale=high_scale,
        )
        return FeaturePart(header.fingerprint, frame)


def read_compressed(header: Header, body: bytes, words: memoryview, limits: Limits) -> CodedPart:
    """The inverse of compressed_body up to the bands; `body` has exactly ``header.content_bytes`` bytes.

    Raises: TileOutOfBounds, TilesUnsorted, NonFinite, OverLimit, CountMismatch.
    """
    m, n = header.tiles, header.cells
    tiles, visible = _read_tiles(header, body, limits)
    at = m * (TILE_KEY_BYTES + VISIBLE_BYTES)
    counts = np.frombuffer(body, "<u2", count=m, offset=at).astype(np.int64)
    if int(counts.sum()) != n:
        raise CountMismatch("sum of the cell counts per tile", n, int(counts.sum()))
    if counts.max() > CELLS_PER_TILE:
        raise CountMismatch("cell count of a tile", f"at most {CELLS_PER_TILE}", int(counts.max()))
    at += counts.astype("<u2").nbytes
    scale = np.frombuffer(body, "<f2", count=header.scales, offset=at).astype(np.float32)
    check_scale("scale", scale, header.scales)
    if scale.max() > limits.max_scale:
        raise OverLimit("scale", limits.max_scale, float(scale.max()))
    at += header.scales * HALF_BYTES
    coded = entropy.Coded(body[at:], words, header.bands)
    return CodedPart(header, tiles, visible, counts, scale, coded)


def read_dense(header: Header, body: bytes, limits: Limits) -> DensePart:
    """The inverse of dense_body; `body` has exactly ``header.content_bytes`` bytes.

    Raises: TileOutOfBounds, TilesUnsorted, CountMismatch if the visibility bits do not have ``header.cells`` ones,
    NonFinite.
    """
    tiles, visible = _read_tiles(header, body, limits)
    ones = int(np.count_nonzero(visible))
    if ones != header.cells:
        raise CountMismatch("visible cells", header.cells, ones)
    raw = np.frombuffer(body, "<f2", offset=header.tiles * (TILE_KEY_BYTES + VISIBLE_BYTES))
    values = raw.astype(np.float16).reshape(header.high, header.cells).T.copy()
    if not np.isfinite(values).all():
        raise NonFinite("values")
    return DensePart(header.fingerprint, DenseFrame(tiles, visible, values))


def _gaps(frame: FeatureFrame) -> NDArray[np.int16]:
    """(n,) number of cells of the tile between a sent cell and the one before it, or the tile's start."""
    place = frame.high_tile.astype(np.int64) * CELLS_PER_TILE + frame.high_cell
    gap = np.diff(place, prepend=-1) - 1
    first = np.diff(frame.high_tile, prepend=-1) > 0
    return np.where(first, frame.high_cell, gap).astype(np.int16)


def _cells(gaps: NDArray[np.int64], counts: NDArray[np.int64], tile: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The inverse of _gaps for cells with these rows (n,) of tiles."""
    place = np.cumsum(gaps + 1)
    before = np.concatenate([[0], place])[np.cumsum(counts) - counts]
    cell: NDArray[np.int64] = place - before[tile] - 1
    if len(gaps) and (gaps.min() < 0 or cell.max() >= CELLS_PER_TILE):
        raise CorruptBody("cells beyond their tile")
    return cell.astype(np.uint8)


def _latents(values: NDArray[np.int16]) -> NDArray[np.int8]:
    if values.max(initial=0) > np.iinfo(np.int8).max:
        raise CorruptBody(f"a latent is {values.max()}")
    return values.astype(np.int8)


def _tile_bytes(tiles: NDArray[np.int32]) -> bytes:
    """All ti, then all tj, each as int16 differences to the tile before."""
    return np.diff(tiles, axis=0, prepend=np.zeros((1, 2), np.int32)).T.astype("<i2").tobytes()


def _visible_bytes(visible: NDArray[np.bool_]) -> bytes:
    """256 bits per tile, first cell in the lowest bit."""
    return np.packbits(visible.reshape(len(visible), CELLS_PER_TILE), axis=1, bitorder="little").tobytes()


def _read_tiles(header: Header, body: bytes, limits: Limits) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Tiles (M, 2) and their visibility (M, 16, 16), with which every body begins."""
    m = header.tiles
    steps = np.frombuffer(body, "<i2", count=2 * m).astype(np.int32)
    tiles = np.ascontiguousarray(np.cumsum(steps.reshape(2, m), axis=1, dtype=np.int32).T)
    far = np.flatnonzero((np.abs(tiles) > limits.max_tile_key).any(axis=1))
    if len(far):
        ti, tj = (int(v) for v in tiles[far[0]])
        raise TileOutOfBounds((ti, tj), limits.max_tile_key)
    check_tiles(tiles)
    packed = np.frombuffer(body, np.uint8, count=m * VISIBLE_BYTES, offset=m * TILE_KEY_BYTES)
    bits = np.unpackbits(packed, bitorder="little").astype(np.bool_)
    return tiles, bits.reshape(m, TILE_CELLS, TILE_CELLS)
