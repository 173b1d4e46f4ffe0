"""Packets to parts: every field is checked before it is used, and sizes before anything is allocated."""

from __future__ import annotations

import zstandard

from rsdfm_ros.wire.body import Part, read_compressed, read_dense
from rsdfm_ros.wire.errors import CorruptBody, DecodedSizeMismatch
from rsdfm_ros.wire.header import FIXED_BYTES, Kind, unpack
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
    stop = FIXED_BYTES + header.body_bytes
    body = _decompress(view[FIXED_BYTES:stop], header.content_bytes)
    if header.kind is Kind.DENSE:
        return read_dense(header, body, limits)
    return read_compressed(header, body, view[stop:], limits)


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
