"""The content of packets before zstd and rANS: arrays of whole tiles to a body, tables and bands, and back."""

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
from rsdfm_ros.wire.gap_table import GAP_BYTES, GapTable, fitted_gaps
from rsdfm_ros.wire.header import (
    COUNT_BYTES,
    GAPS,
    HALF_BYTES,
    TILE_KEY_BYTES,
    VISIBLE_BYTES,
    WORD_BYTES,
    Header,
)
from rsdfm_ros.wire.limits import Limits
from rsdfm_ros.wire.tables import CHANNEL_BYTES, RANGE_BYTES, Table, Tables, fitted_tables


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


def bands_of(frame: FeatureFrame, has_low: bool) -> list[NDArray[np.int16]]:
    """The bands of a frame: gaps between cells, low and high latents, each (channels, symbols)."""
    low = frame.low.transpose(1, 0, 2, 3).reshape(frame.low.shape[1], -1)[: None if has_low else 0]
    return [_gaps(frame)[None], low.astype(np.int16), frame.high.T.astype(np.int16)]


def tables_of(bands: Sequence[NDArray[np.int16]]) -> list[GapTable | Tables]:
    """Tables of the bands (gaps, low, high) that are not empty."""
    gaps, *latents = bands
    found: list[GapTable | Tables] = [fitted_gaps(gaps)] if gaps.size else []
    return found + [fitted_tables(band) for band in latents if band.size]


def plain_part(frame: FeatureFrame, has_low: bool, tables: Sequence[GapTable | Tables]) -> bytes:
    """The scales of a frame and its tables."""
    scales = np.concatenate([frame.low_scale[: None if has_low else 0], frame.high_scale]).astype("<f2")
    return scales.tobytes() + b"".join(table.to_bytes() for table in tables)


def compressed_body(frame: FeatureFrame) -> bytes:
    """The body of a frame: tiles, visibility, and cells per tile."""
    counts = _planes(frame.counts.astype("<u2"))
    return _tile_bytes(frame.tiles) + counts + _visible_bytes(frame.visible)


def dense_body(frame: DenseFrame) -> bytes:
    """The body of a frame: tiles, visibility, and values as [channel][visible cell]."""
    values = np.ascontiguousarray(frame.values.T).astype("<f2")
    return _tile_bytes(frame.tiles) + _visible_bytes(frame.visible) + values.tobytes()


@dataclass(frozen=True)
class CodedPart:
    """A compressed part whose bands are not decoded yet: all scales, the coded bands, and the bytes of the body that
    are not in them."""

    header: Header
    scale: NDArray[np.float32]
    coded: entropy.Coded
    rest: memoryview

    def body(self, carried: bytes) -> bytes:
        """The zstd frame, of which the decoded bands carried the first bytes. Raises: CorruptBody if others follow."""
        head = self.header.carried_bytes
        if any(carried[head:]):
            raise CorruptBody("the states carry more than the body")
        return carried[:head] + self.rest

    def part(self, bands: Sequence[NDArray[np.int16]], body: bytes, limits: Limits) -> FeaturePart:
        """The part of decoded bands (gaps, low, high) and the decompressed body, ``header.content_bytes`` bytes.

        Raises: TileOutOfBounds, TilesUnsorted, CountMismatch, CorruptBody.
        """
        header, m = self.header, self.header.tiles
        gaps, low, high = bands
        tiles = _read_tiles(header, body, limits)
        counts = _from_planes(body, m, TILE_KEY_BYTES * m).astype(np.int64)
        if int(counts.sum()) != header.cells:
            raise CountMismatch("sum of the cell counts per tile", header.cells, int(counts.sum()))
        if counts.max() > CELLS_PER_TILE:
            raise CountMismatch("cell count of a tile", f"at most {CELLS_PER_TILE}", int(counts.max()))
        tile = np.repeat(np.arange(m), counts)
        low_scale, high_scale = np.split(self.scale, [header.scales - header.high])
        blocks = (header.low, m, LOW_SIDE, LOW_SIDE)
        latents = low.astype(np.int8).reshape(blocks) if header.has_low else np.zeros(blocks, np.int8)
        frame = FeatureFrame(
            tiles=tiles,
            low=latents.transpose(1, 0, 2, 3).copy(),
            low_scale=low_scale if header.has_low else np.ones(header.low, np.float32),
            visible=_read_visible(header, body, (TILE_KEY_BYTES + COUNT_BYTES) * m),
            high_tile=tile.astype(np.int32),
            high_cell=_cells(gaps[0].astype(np.int64), counts, tile),
            high=high.T.astype(np.int8, order="C"),
            high_scale=high_scale,
        )
        return FeaturePart(header.fingerprint, frame)


def read_compressed(header: Header, content: memoryview, limits: Limits) -> CodedPart:
    """A compressed part up to its bands; `content` is what stands behind the header.

    Raises: NonFinite, OverLimit, CorruptBody.
    """
    at = header.scales * HALF_BYTES
    scale = np.frombuffer(content, "<f2", count=header.scales).astype(np.float32)
    check_scale("scale", scale, header.scales)
    if scale.max() > limits.max_scale:
        raise OverLimit("scale", limits.max_scale, float(scale.max()))
    tables: list[Table] = []
    for band, (channels, symbols) in enumerate(header.bands):
        if channels * symbols:
            size = GAP_BYTES if band == GAPS else RANGE_BYTES + CHANNEL_BYTES * channels
            raw = bytes(content[at : at + size])
            tables.append(GapTable.from_bytes(raw) if band == GAPS else Tables.from_bytes(raw))
            at += size
    stop = at + WORD_BYTES * header.words
    coded = entropy.Coded(tables, content[at:stop], header.bands)
    return CodedPart(header, scale, coded, content[stop:])


def read_dense(header: Header, body: bytes, limits: Limits) -> DensePart:
    """The inverse of dense_body; `body` has exactly ``header.content_bytes`` bytes.

    Raises: TileOutOfBounds, TilesUnsorted, CountMismatch if the visibility bits do not have ``header.cells`` ones,
    NonFinite.
    """
    tiles = _read_tiles(header, body, limits)
    visible = _read_visible(header, body, TILE_KEY_BYTES * header.tiles)
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


def _planes(values: NDArray[np.generic]) -> bytes:
    """16-bit numbers (n,) as all their low bytes, then all their high ones."""
    return values.view(np.uint8).reshape(-1, 2).T.tobytes()


def _from_planes(body: bytes, count: int, at: int) -> NDArray[np.uint16]:
    """The inverse of _planes for the numbers at a place of the body."""
    planes = np.frombuffer(body, np.uint8, 2 * count, at).reshape(2, count)
    return np.ascontiguousarray(planes.T).view("<u2")[:, 0]


def _tile_bytes(tiles: NDArray[np.int32]) -> bytes:
    """All ti, then all tj, each as int16 differences to the tile before."""
    steps = np.diff(tiles, axis=0, prepend=np.zeros((1, 2), np.int32)).astype("<i2")
    return b"".join(_planes(np.ascontiguousarray(axis)) for axis in steps.T)


def _visible_bytes(visible: NDArray[np.bool_]) -> bytes:
    """256 bits per tile, first cell in the lowest bit."""
    return np.packbits(visible.reshape(len(visible), CELLS_PER_TILE), axis=1, bitorder="little").tobytes()


def _read_tiles(header: Header, body: bytes, limits: Limits) -> NDArray[np.int32]:
    """Tiles (M, 2), with which every body begins."""
    m = header.tiles
    steps = np.stack([_from_planes(body, m, 2 * m * axis).view(np.int16) for axis in (0, 1)], axis=1)
    tiles = np.cumsum(steps, axis=0, dtype=np.int32)
    far = np.flatnonzero((np.abs(tiles) > limits.max_tile_key).any(axis=1))
    if len(far):
        ti, tj = (int(v) for v in tiles[far[0]])
        raise TileOutOfBounds((ti, tj), limits.max_tile_key)
    check_tiles(tiles)
    return tiles


def _read_visible(header: Header, body: bytes, at: int) -> NDArray[np.bool_]:
    """The visibility (M, 16, 16) at a place of the body."""
    packed = np.frombuffer(body, np.uint8, count=header.tiles * VISIBLE_BYTES, offset=at)
    bits = np.unpackbits(packed, bitorder="little").astype(np.bool_)
    return bits.reshape(header.tiles, TILE_CELLS, TILE_CELLS)
