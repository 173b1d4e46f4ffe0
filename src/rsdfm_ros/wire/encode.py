"""Frames to packets: whole tiles only, as few as possible, none above the size limit.

The tiles of an image are dealt to its packets so that each has a similar share of the cells, and neighbours travel in
different packets: a lost packet takes a part of every place instead of all of one (`spread`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import zstandard
from numpy.typing import NDArray

from rsdfm_ros.wire import entropy
from rsdfm_ros.wire.body import bands_of, compressed_body, dense_body, plain_part, tables_of
from rsdfm_ros.wire.errors import OverLimit, PacketTooSmall, TileOutOfBounds
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.header import (
    FIXED_BYTES,
    LARGEST_PACKET_BYTES,
    WORD_BYTES,
    Header,
    Kind,
    pack,
)
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES, MAX_PACKET_BYTES, Limits
from rsdfm_ros.wire.spreading import spread, thinned

ZSTD_LEVEL = 15
"""Higher ones take twice the time and make bodies of this size hardly a byte shorter."""
DENSE_ZSTD_LEVEL = 1
"""Dense bodies are large, and numbers of half precision hardly compress."""

TILE_WEIGHT = 8
"""Weight of a tile without cells, in cells, where a frame is split into parts of similar size."""
THINNED_TO = 0.97
"""Share of a packet's room that a tile with too many cells is expected to take with fewer."""


def encode_frame(
    frame: FeatureFrame | DenseFrame,
    max_packet_bytes: int | None = None,
    *,
    fingerprint: int = 0,
    thin: bool = False,
) -> list[bytes]:
    """The packets of a frame; every one decodes alone. A frame without tiles gives no packet.

    The low band is sent if any of its latents is not zero. max_packet_bytes: defaults to MAX_PACKET_BYTES, or
    MAX_DENSE_PACKET_BYTES for a DenseFrame. fingerprint: uint64 of the sender's model. thin: tiles of a FeatureFrame
    that do not fit into a packet alone are sent with fewer cells (`thinned`). Raises: InvalidFrame, TilesUnsorted,
    CellsUnsorted, NonFinite if the frame is malformed; TileOutOfBounds, OverLimit if every receiver would refuse it;
    PacketTooSmall if a single tile does not fit.
    """
    frame.validate()
    limits = Limits()
    far = np.flatnonzero((np.abs(frame.tiles.astype(np.int64)) > limits.max_tile_key).any(axis=1))
    if len(far):
        ti, tj = (int(v) for v in frame.tiles[far[0]])
        raise TileOutOfBounds((ti, tj), limits.max_tile_key)
    dense = isinstance(frame, DenseFrame)
    for channels in frame.channels:
        if not 1 <= channels <= limits.max_channels:
            raise OverLimit("channel count", limits.max_channels, channels)
    limit = max_packet_bytes or (MAX_DENSE_PACKET_BYTES if dense else MAX_PACKET_BYTES)
    has_low = isinstance(frame, FeatureFrame) and frame.has_low
    limit, parts = min(limit, LARGEST_PACKET_BYTES), 1
    while True:
        found = _split(frame, has_low, limit, fingerprint, parts)
        if not isinstance(found, _TooLarge):
            return found
        rows = np.flatnonzero(found.rows)
        if len(rows) > 1:
            parts = min(len(frame.tiles), max(parts + 1, math.ceil(parts * found.growth)))
            continue
        (row,), cells = rows, found.header.cells
        if isinstance(frame, DenseFrame) or not thin or cells == 0:
            ti, tj = (int(v) for v in frame.tiles[row])
            raise PacketTooSmall((ti, tj), limit, found.header.packet_bytes)
        frame = thinned(frame, min(cells - 1, int(THINNED_TO * cells / found.growth)))


@dataclass(frozen=True)
class _TooLarge:
    """The tiles of a packet beyond a limit, as a mask (M,), its header, and the factor by which its content is too
    much: above 1."""

    rows: NDArray[np.bool_]
    header: Header
    growth: float


def _split(
    frame: FeatureFrame | DenseFrame, has_low: bool, limit: int, fingerprint: int, parts: int
) -> list[bytes] | _TooLarge:
    """At most `parts` packets of similar size that cover all tiles, or the first one that is too large, the heaviest
    first."""
    weights = frame.counts + TILE_WEIGHT
    part = spread(frame.tiles, weights, parts)
    heaviest = np.argsort(-np.bincount(part, weights), kind="stable")
    packets = []
    for number in heaviest[np.isin(heaviest, part)]:
        rows = part == number
        header, *content = _encoded(frame.rows(rows), has_low, fingerprint)
        growth = _growth(header, limit)
        if growth > 1:
            return _TooLarge(rows, header, growth)
        packets.append(pack(header, *content))
    return packets


def _growth(header: Header, limit: int) -> float:
    """Content of a packet relative to the limits of sender and receivers: too much above 1. Of the bytes, those that
    every part of an image has (header, scales, tables) are no content."""
    receiver = Limits()
    fixed = min(FIXED_BYTES + header.plain_bytes, limit // 2)
    shares = (
        (header.packet_bytes - fixed) / (limit - fixed),
        header.tiles / receiver.max_tiles,
        header.decoded_bytes / receiver.max_decoded_bytes,
    )
    return max(shares)


def _encoded(
    frame: FeatureFrame | DenseFrame, has_low: bool, fingerprint: int
) -> tuple[Header, bytes, bytes, bytes]:
    """Header, scales and tables, words, and body of one packet."""
    if isinstance(frame, DenseFrame):
        header = Header(
            Kind.DENSE, fingerprint, len(frame.tiles), 0, frame.values.shape[1], len(frame.values)
        )
        body = _compressed(dense_body(frame), DENSE_ZSTD_LEVEL)
        plain, words = b"", b""
    else:
        low, high = frame.channels
        header = Header(Kind.COMPRESSED, fingerprint, len(frame.tiles), low, high, len(frame.high), has_low)
        body = _compressed(compressed_body(frame), ZSTD_LEVEL)
        bands = bands_of(frame, has_low)
        tables = tables_of(bands)
        plain = plain_part(frame, has_low, tables)
        words = entropy.encode(bands, tables, body)
    header = replace(header, body_bytes=len(body), words=len(words) // WORD_BYTES)
    return header, plain, words, body


def _compressed(body: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(body)
