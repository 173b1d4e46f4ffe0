"""Packets to parts: every field is checked before it is used, and nothing is allocated for a claim."""

from __future__ import annotations

import numpy as np
import zstandard
from numpy.typing import NDArray

from rsdfm_ros.wire.body import Part, read_dense, read_high, read_low
from rsdfm_ros.wire.errors import CorruptBody, DecodedSizeMismatch, TileOutOfBounds
from rsdfm_ros.wire.features import check_scale, check_tiles
from rsdfm_ros.wire.header import FIXED_BYTES, TILE_KEY_BYTES, Band, Header, unpack
from rsdfm_ros.wire.limits import Expected, Limits


def decode_packet(
    data: bytes | bytearray | memoryview,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    expected: Expected = Expected(),  # noqa: B008 - frozen
) -> Part:
    """The part of a frame that one packet carries.

    Raises: a WireError child, and nothing else, for any bytes whatsoever.
    """
    view = memoryview(data).cast("B")
    header = unpack(view, limits, expected)
    tiles = _read_tiles(view, header, limits)
    scale = _read_scale(view, header)
    body = _decompress(view[FIXED_BYTES + header.tables_bytes :], header.decoded_bytes)
    if header.band is Band.LOW:
        return read_low(header, tiles, scale, body)
    if header.band is Band.HIGH:
        return read_high(header, tiles, scale, body)
    return read_dense(header, tiles, body)


def _read_tiles(view: memoryview, header: Header, limits: Limits) -> NDArray[np.int32]:
    raw = np.frombuffer(view, "<i2", count=2 * header.tiles, offset=FIXED_BYTES)
    tiles = raw.astype(np.int32).reshape(header.tiles, 2)
    far = np.flatnonzero((np.abs(tiles) > limits.max_tile_key).any(axis=1))
    if len(far):
        ti, tj = (int(v) for v in tiles[far[0]])
        raise TileOutOfBounds((ti, tj), limits.max_tile_key)
    check_tiles(tiles)
    return tiles


def _read_scale(view: memoryview, header: Header) -> NDArray[np.float32]:
    offset = FIXED_BYTES + header.tiles * TILE_KEY_BYTES
    scale = np.frombuffer(view, "<f4", count=header.scales, offset=offset).astype(np.float32)
    check_scale("scale", scale, header.scales)
    return scale


def _decompress(body: memoryview, size: int) -> bytes:
    """Exactly `size` bytes. The zstd frame must announce that size itself: the decompressor allocates what the frame
    announces, so the announcement is compared first."""
    try:
        announced = zstandard.get_frame_parameters(body).content_size
        if announced != size:
            unknown = announced in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)
            raise DecodedSizeMismatch(size, None if unknown else announced)
        decoded = zstandard.ZstdDecompressor().decompress(
            body, max_output_size=size, read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise CorruptBody(str(error)) from error
    if len(decoded) != size:
        raise DecodedSizeMismatch(size, len(decoded))
    return decoded
