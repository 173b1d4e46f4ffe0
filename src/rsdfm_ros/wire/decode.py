"""Packets to parts: every field is checked before it is used, and sizes before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from rsdfm_ros.wire import entropy
from rsdfm_ros.wire.body import CodedPart, DensePart, Part, read_compressed, read_dense
from rsdfm_ros.wire.errors import CorruptBody, DecodedSizeMismatch, WireError
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
    (found,) = decode_packets([data], limits=limits, expected=expected)
    if isinstance(found, WireError):
        raise found
    return found


def decode_packets(
    packets: Sequence[bytes | bytearray | memoryview],
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    expected: Expected = Expected(),  # noqa: B008 - frozen
) -> list[Part | WireError]:
    """What decode_packet gives for every packet, or the error it raises; several packets together take half the time
    that they take one by one."""
    opened = [_opened(data, limits, expected) for data in packets]
    decoded = iter(entropy.decode_all([part.coded for part in opened if isinstance(part, CodedPart)]))
    out: list[Part | WireError] = []
    for part in opened:
        if not isinstance(part, CodedPart):
            out.append(part)
            continue
        found = next(decoded)
        if isinstance(found, WireError):
            out.append(found)
            continue
        try:
            body = _decompress(part.body(found.carried), part.header.content_bytes)
            out.append(part.part(found.bands, body, limits))
        except WireError as error:
            out.append(error)
    return out


def _opened(
    data: bytes | bytearray | memoryview, limits: Limits, expected: Expected
) -> CodedPart | DensePart | WireError:
    """A packet up to its coded bands, or what is wrong with it."""
    try:
        view = memoryview(data).cast("B")
        header = unpack(view, limits, expected)
        content = view[FIXED_BYTES:]
        if header.kind is Kind.DENSE:
            return read_dense(header, _decompress(content, header.content_bytes), limits)
        return read_compressed(header, content, limits)
    except WireError as error:
        return error


def _decompress(body: bytes | memoryview, size: int) -> bytes:
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
