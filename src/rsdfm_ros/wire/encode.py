"""Frames to packets: whole tiles only, as few as possible, none above the size limit.

The tiles of an image are dealt to its packets so that each has a similar share of the cells, and neighbours travel in
different packets: a lost packet takes a part of every place instead of all of one (`spread`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import zstandard

from rsdfm_ros.wire.body import compressed_body, dense_body
from rsdfm_ros.wire.errors import OverLimit, PacketTooSmall, TileOutOfBounds
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.header import LARGEST_PACKET_BYTES, WORD_BYTES, Header, Kind, pack
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES, MAX_PACKET_BYTES, Limits
from rsdfm_ros.wire.spreading import spread, thinned

ZSTD_LEVEL = 15
"""Higher ones take twice the time and make bodies of this size hardly a byte shorter."""
DENSE_ZSTD_LEVEL = 1
"""Dense bodies are large, and numbers of half precision hardly compress."""

TILE_WEIGHT = 8
"""Weight of a tile without cells, in cells, where a frame is split into parts of similar size."""
THINNED_TO = 0.95
"""Share of the limit that a tile with too many cells is expected to take with fewer."""


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
    limit = min(limit, LARGEST_PACKET_BYTES)
    while True:
        try:
            return _split(frame, has_low, limit, fingerprint)
        except PacketTooSmall as error:
            if isinstance(frame, DenseFrame) or not thin:
                raise
            (row,) = np.flatnonzero((frame.tiles == error.tile).all(axis=1))
            cells = int(frame.counts[row])
            if cells == 0:
                raise
            frame = thinned(frame, min(cells - 1, int(cells * THINNED_TO * limit / error.actual)))


def _split(frame: FeatureFrame | DenseFrame, has_low: bool, limit: int, fingerprint: int) -> list[bytes]:
    """Packets of similar size that cover all tiles, as few as fit. Raises: PacketTooSmall."""
    weights = frame.counts + TILE_WEIGHT
    parts = 1
    while True:
        part = spread(frame.tiles, weights, parts)
        packets, worst = [], 0.0
        for number in np.unique(part):
            header, body, words = _encoded(frame.rows(part == number), has_low, fingerprint)
            excess = _excess(header, limit)
            if excess > 1 and header.tiles == 1:
                ti, tj = (int(v) for v in frame.tiles[part == number][0])
                raise PacketTooSmall((ti, tj), limit, header.packet_bytes)
            worst = max(worst, excess)
            if worst <= 1:
                packets.append(pack(header, body, words))
        if worst <= 1:
            return packets
        parts = max(parts + 1, math.ceil(parts * worst))


def _excess(header: Header, limit: int) -> float:
    """Size of a packet relative to the limits of sender and receivers: too large above 1."""
    receiver = Limits()
    shares = (
        header.packet_bytes / limit,
        header.tiles / receiver.max_tiles,
        header.decoded_bytes / receiver.max_decoded_bytes,
    )
    return max(shares)


def _encoded(
    frame: FeatureFrame | DenseFrame, has_low: bool, fingerprint: int
) -> tuple[Header, bytes, bytes]:
    """Header, body and words of one packet."""
    if isinstance(frame, DenseFrame):
        header = Header(
            Kind.DENSE, fingerprint, len(frame.tiles), 0, frame.values.shape[1], len(frame.values)
        )
        body, words = dense_body(frame), b""
    else:
        low, high = frame.channels
        header = Header(Kind.COMPRESSED, fingerprint, len(frame.tiles), low, high, len(frame.high), has_low)
        body, words = compressed_body(frame, has_low)
    level = DENSE_ZSTD_LEVEL if header.kind is Kind.DENSE else ZSTD_LEVEL
    packed = zstandard.ZstdCompressor(level=level, write_content_size=True).compress(body)
    return replace(header, body_bytes=len(packed), words=len(words) // WORD_BYTES), packed, words
