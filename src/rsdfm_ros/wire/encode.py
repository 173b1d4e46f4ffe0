"""Frames to packets: whole tiles only, low band first, none above the size limit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import zstandard
from numpy.typing import NDArray

from rsdfm_ros.wire.body import dense_body, high_body, low_body
from rsdfm_ros.wire.errors import OverLimit, PacketTooSmall, TileOutOfBounds
from rsdfm_ros.wire.features import CELLS_PER_TILE, LOW_SIDE, DenseFrame, FeatureFrame
from rsdfm_ros.wire.header import FIXED_BYTES, VISIBLE_BYTES, Band, Header, pack
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES, MAX_PACKET_BYTES, Limits

ZSTD_LEVEL = 1

#: A chunk of tiles [start, stop) as header (body size still 0), tables and uncompressed body.
Chunk = Callable[[int, int], tuple[Header, bytes, bytes]]


def encode_frame(
    frame: FeatureFrame | DenseFrame, max_packet_bytes: int | None = None, *, fingerprint: int = 0
) -> list[bytes]:
    """The packets of a frame, low band first; every one decodes alone. A frame without tiles gives no packet.

    max_packet_bytes: defaults to MAX_PACKET_BYTES, or MAX_DENSE_PACKET_BYTES for a DenseFrame. fingerprint: uint64 of
    the sender's model.
    Raises: InvalidFrame, TilesUnsorted, CellsUnsorted, NonFinite if the frame is malformed; TileOutOfBounds, OverLimit
    if no receiver would take it; PacketTooSmall if a single tile does not fit.
    """
    frame.validate()
    limits = Limits()
    far = np.flatnonzero((np.abs(frame.tiles.astype(np.int64)) > limits.max_tile_key).any(axis=1))
    if len(far):
        ti, tj = (int(v) for v in frame.tiles[far[0]])
        raise TileOutOfBounds((ti, tj), limits.max_tile_key)
    if isinstance(frame, DenseFrame):
        _check_channels(frame.values.shape[1], limits)
        return _encode_dense(frame, max_packet_bytes or MAX_DENSE_PACKET_BYTES, fingerprint)
    _check_channels(frame.low.shape[1], limits)
    _check_channels(frame.high.shape[1], limits)
    limit = max_packet_bytes or MAX_PACKET_BYTES
    return _encode_low(frame, limit, fingerprint) + _encode_high(frame, limit, fingerprint)


def _encode_low(frame: FeatureFrame, limit: int, fingerprint: int) -> list[bytes]:
    channels = frame.low.shape[1]

    def chunk(start: int, stop: int) -> tuple[Header, bytes, bytes]:
        rows = slice(start, stop)
        header = Header(Band.LOW, fingerprint, stop - start, channels, 0, 0)
        tables = _tile_table(frame.tiles[rows]) + frame.low_scale.astype("<f4").tobytes()
        return header, tables, low_body(frame.low[rows], frame.visible[rows])

    sizes = np.full(len(frame.tiles), channels * LOW_SIDE * LOW_SIDE + VISIBLE_BYTES)
    return _split(frame.tiles, sizes, chunk, limit)


def _encode_high(frame: FeatureFrame, limit: int, fingerprint: int) -> list[bytes]:
    channels = frame.high.shape[1]
    all_counts = np.bincount(frame.high_tile, minlength=len(frame.tiles))
    rows = np.flatnonzero(all_counts)
    tiles, counts = frame.tiles[rows], all_counts[rows].astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(counts)])

    def chunk(start: int, stop: int) -> tuple[Header, bytes, bytes]:
        cells = slice(int(ends[start]), int(ends[stop]))
        header = Header(Band.HIGH, fingerprint, stop - start, channels, cells.stop - cells.start, 0)
        tables = _tile_table(tiles[start:stop]) + frame.high_scale.astype("<f4").tobytes()
        return header, tables, high_body(counts[start:stop], frame.high_cell[cells], frame.high[cells])

    return _split(tiles, 2 + counts * (1 + channels), chunk, limit)


def _encode_dense(frame: DenseFrame, limit: int, fingerprint: int) -> list[bytes]:
    channels = frame.values.shape[1]
    counts = np.count_nonzero(frame.visible.reshape(-1, CELLS_PER_TILE), axis=1)
    ends = np.concatenate([[0], np.cumsum(counts)])

    def chunk(start: int, stop: int) -> tuple[Header, bytes, bytes]:
        cells = slice(int(ends[start]), int(ends[stop]))
        header = Header(Band.DENSE, fingerprint, stop - start, channels, cells.stop - cells.start, 0)
        body = dense_body(frame.visible[start:stop], frame.values[cells])
        return header, _tile_table(frame.tiles[start:stop]), body

    return _split(frame.tiles, VISIBLE_BYTES + counts * channels * 2, chunk, limit)


def _split(tiles: NDArray[np.int32], sizes: NDArray[np.int64], chunk: Chunk, limit: int) -> list[bytes]:
    """Cover all tiles with as few packets as the measured compression ratio predicts, verifying each.

    sizes (M,): uncompressed bytes per tile.
    """
    receiver = Limits()
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True)
    before = np.concatenate([[0], np.cumsum(sizes)])
    packets: list[bytes] = []
    start, ratio = 0, 0.0  # 0: the first attempt takes everything that is left
    while start < len(tiles):
        room = limit - FIXED_BYTES
        stop = min(len(tiles), start + receiver.max_tiles)
        if ratio > 0:
            fits = np.searchsorted(before, before[start] + room / ratio, side="right") - 1
            stop = max(start + 1, min(stop, int(fits)))
        while True:
            packet, ratio = _compress(compressor, *chunk(start, stop))
            if len(packet) <= limit:
                break
            if stop == start + 1:
                ti, tj = (int(v) for v in tiles[start])
                raise PacketTooSmall((ti, tj), limit, len(packet))
            fits = np.searchsorted(before, before[start] + room / ratio, side="right") - 1
            stop = max(start + 1, min(stop - 1, int(fits)))
        packets.append(packet)
        start = stop
    return packets


def _compress(
    compressor: zstandard.ZstdCompressor, header: Header, tables: bytes, body: bytes
) -> tuple[bytes, float]:
    """(packet, bytes of it behind the fixed header per uncompressed byte)."""
    packed = compressor.compress(body)
    whole = Header(header.band, header.fingerprint, header.tiles, header.channels, header.cells, len(packed))
    return pack(whole, tables, packed), (len(tables) + len(packed)) / max(1, len(body))


def _tile_table(tiles: NDArray[np.int32]) -> bytes:
    return tiles.astype("<i2").tobytes()


def _check_channels(channels: int, limits: Limits) -> None:
    if not 1 <= channels <= limits.max_channels:
        raise OverLimit("channel count", limits.max_channels, channels)
