"""Every malformed field of a packet is refused by its own error; no bytes raise anything but a WireError."""

import re
import struct
import zlib

import numpy as np
import pytest
import zstandard
from wire_frames import dense_frame, feature_frame

from rsdfm_ros.wire import errors
from rsdfm_ros.wire.packet import Expected, Limits, decode_packet, encode_frame

FRAME = feature_frame(seed=3, tiles=4, cells=40, low_channels=3, high_channels=5)
LOW, HIGH = encode_frame(FRAME, fingerprint=77)
DENSE = encode_frame(dense_frame(tiles=2, channels=4))[0]


def sealed(packet: bytes) -> bytes:
    """The packet with the checksum that its bytes have."""
    crc = zlib.crc32(packet[:16] + b"\0\0\0\0" + packet[20:])
    return packet[:16] + struct.pack("<I", crc) + packet[20:]


def patched(packet: bytes, offset: int, layout: str, *values: int | float) -> bytes:
    """The packet with one field replaced and a checksum that matches."""
    raw = struct.pack(layout, *values)
    return sealed(packet[:offset] + raw + packet[offset + len(raw) :])


def with_body(packet: bytes, body: bytes, tables: int) -> bytes:
    """The packet with another body, its length and checksum put right."""
    head = packet[:28] + struct.pack("<I", len(body)) + packet[32 : 32 + tables]
    return sealed(head + body)


def body_of(packet: bytes, tables: int) -> bytearray:
    return bytearray(zstandard.decompress(packet[32 + tables :]))


LOW_TABLES, HIGH_TABLES, DENSE_TABLES = 4 * 4 + 3 * 4, 4 * 4 + 5 * 4, 2 * 4


def recompressed_high(change: int, value: int) -> bytes:
    body = body_of(HIGH, HIGH_TABLES)
    body[change] = value
    return with_body(HIGH, zstandard.compress(bytes(body), 1), HIGH_TABLES)


def dense_with(offset: int, raw: bytes) -> bytes:
    body = body_of(DENSE, DENSE_TABLES)
    body[offset : offset + len(raw)] = raw
    return with_body(DENSE, zstandard.compress(bytes(body), 1), DENSE_TABLES)


def streamed(raw: bytes) -> bytes:
    """A zstd frame that does not announce its size."""
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return writer.compress(raw) + writer.flush()


RAW_LOW = bytes(body_of(LOW, LOW_TABLES))
REFUSALS = {
    "empty": (b"", errors.BadMagic),
    "another format": (b"OggS" + LOW[4:], errors.BadMagic),
    "half a header": (LOW[:20], errors.Truncated),
    "newer version": (patched(LOW, 4, "<B", 2), errors.UnsupportedVersion),
    "unknown band": (patched(LOW, 5, "<B", 3), errors.UnknownBand),
    "reserved bits": (patched(LOW, 6, "<H", 1), errors.ReservedBits),
    "other model": (patched(LOW, 8, "<Q", 78), errors.FingerprintMismatch),
    "wrong checksum": (LOW[:16] + b"\1\2\3\4" + LOW[20:], errors.ChecksumMismatch),
    "flipped body": (LOW[:-1] + bytes([LOW[-1] ^ 1]), errors.ChecksumMismatch),
    "tail missing": (LOW[:-1], errors.Truncated),
    "tail added": (LOW + b"x", errors.TrailingBytes),
    "no tiles": (with_body(patched(LOW, 20, "<H", 0), b"", 12), errors.CountMismatch),
    "too many tiles": (patched(LOW + bytes(4 * 1021), 20, "<H", 1025), errors.OverLimit),
    "no channels": (patched(LOW[:-12], 22, "<H", 0), errors.CountMismatch),
    "too many channels": (patched(LOW + bytes(4 * 62), 22, "<H", 65), errors.OverLimit),
    "cells in the low band": (patched(LOW, 24, "<I", 1), errors.CountMismatch),
    "more cells than tiles hold": (patched(HIGH, 24, "<I", 4 * 256 + 1), errors.CountMismatch),
    "four thousand million cells": (patched(HIGH, 24, "<I", 2**32 - 1), errors.CountMismatch),
    "fewer cells than sent": (patched(HIGH, 24, "<I", 39), errors.DecodedSizeMismatch),
    "body size beyond the packet": (patched(LOW, 28, "<I", 2**32 - 1), errors.Truncated),
    "far tile": (patched(LOW, 32, "<h", -9000), errors.TileOutOfBounds),
    "duplicate tile": (sealed(LOW[:36] + LOW[32:36] + LOW[40:]), errors.TilesUnsorted),
    "unsorted tiles": (sealed(LOW[:32] + LOW[36:40] + LOW[32:36] + LOW[40:]), errors.TilesUnsorted),
    "scale not a number": (patched(LOW, 48, "<f", float("nan")), errors.NonFinite),
    "scale infinite": (patched(LOW, 48, "<f", float("inf")), errors.NonFinite),
    "scale zero": (patched(HIGH, 48, "<f", 0.0), errors.NonFinite),
    "scale negative": (patched(HIGH, 48, "<f", -1.0), errors.NonFinite),
    "body too long": (
        with_body(LOW, zstandard.compress(RAW_LOW + b"x"), LOW_TABLES),
        errors.DecodedSizeMismatch,
    ),
    "bomb": (with_body(LOW, zstandard.compress(bytes(10**8)), LOW_TABLES), errors.DecodedSizeMismatch),
    "size not announced": (with_body(LOW, streamed(RAW_LOW), LOW_TABLES), errors.DecodedSizeMismatch),
    "body is no zstd": (with_body(LOW, b"\0" * 40, LOW_TABLES), errors.CorruptBody),
    "body missing": (with_body(LOW, b"", LOW_TABLES), errors.CorruptBody),
    "bytes behind the zstd frame": (
        with_body(LOW, zstandard.compress(RAW_LOW) + b"xy", LOW_TABLES),
        errors.CorruptBody,
    ),
    "zstd frame cut": (with_body(LOW, zstandard.compress(RAW_LOW)[:-5], LOW_TABLES), errors.CorruptBody),
    "counts per tile off": (recompressed_high(0, 255), errors.CountMismatch),
    "cells out of order": (recompressed_high(8, 255), errors.CellsUnsorted),
    "visible bits off": (dense_with(0, b"\0"), errors.CountMismatch),
    "values not finite": (dense_with(64, struct.pack("<e", float("inf"))), errors.NonFinite),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_malformed_packet_is_refused_by_its_own_error(name: str) -> None:
    packet, error = REFUSALS[name]
    with pytest.raises(errors.WireError) as caught:
        decode_packet(packet, expected=Expected(fingerprint=None if packet[5:6] == b"\2" else 77))
    assert type(caught.value) is error
    assert len(str(caught.value)) > 15


def test_every_error_has_a_slug_of_its_own() -> None:
    children = errors.WireError.__subclasses__()
    reasons = {child.reason for child in children}
    assert len(reasons) == len(children) and all(re.fullmatch("[a-z_]+", r) for r in reasons)


def test_channel_counts_that_the_model_does_not_have_are_refused() -> None:
    decode_packet(LOW, expected=Expected(low_channels=3, high_channels=9))
    for packet, expected in ((LOW, Expected(low_channels=4)), (HIGH, Expected(high_channels=4))):
        with pytest.raises(errors.CountMismatch, match="channel count"):
            decode_packet(packet, expected=expected)


def test_limits_are_the_receivers_to_choose() -> None:
    for limits in (Limits(max_tiles=3), Limits(max_channels=2), Limits(max_decoded_bytes=100)):
        with pytest.raises(errors.OverLimit):
            decode_packet(LOW, limits=limits)
    with pytest.raises(errors.OverLimit, match="packet size"):
        decode_packet(LOW, limits=Limits(max_packet_bytes=len(LOW) - 1))
    with pytest.raises(errors.TileOutOfBounds):
        decode_packet(LOW, limits=Limits(max_tile_key=int(np.abs(FRAME.tiles).max()) - 1))
