"""Every malformed field of a packet is refused by its own error; no bytes raise anything but a WireError."""

import re
import struct
import zlib

import numpy as np
import pytest
import zstandard

from rsdfm_ros.wire import entropy, errors
from rsdfm_ros.wire.header import unpack
from rsdfm_ros.wire.packet import Expected, Limits, decode_packet, decode_packets, encode_frame
from support.hostile_packets import large_frame
from support.places import GOLDEN
from support.wire_frames import dense_frame, feature_frame

FRAME = feature_frame(seed=3, tiles=4, cells=40, low_channels=3, high_channels=5)
(PACKET,) = encode_frame(FRAME, fingerprint=77)
(DENSE,) = encode_frame(dense_frame(tiles=2, channels=4))
V1 = (GOLDEN / "wire_v1_low.bin").read_bytes()

TILES, VISIBLE, COUNTS, SCALES = 0, 4 * 4, 4 * 4 + 4 * 32, 4 * 4 + 4 * 32 + 4 * 2
"""Offsets of the parts in the body of PACKET."""
TABLES = SCALES + 2 * (3 + 5)


def sealed(packet: bytes) -> bytes:
    """The packet with the checksum that its bytes have."""
    crc = zlib.crc32(packet[:16] + b"\0\0\0\0" + packet[20:])
    return packet[:16] + struct.pack("<I", crc) + packet[20:]


def patched(packet: bytes, offset: int, layout: str, *values: int | float) -> bytes:
    """The packet with one field replaced and a checksum that matches."""
    raw = struct.pack(layout, *values)
    return sealed(packet[:offset] + raw + packet[offset + len(raw) :])


def split(packet: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, body and words."""
    (size,) = struct.unpack_from("<H", packet, 28)
    return packet[:32], packet[32 : 32 + size], packet[32 + size :]


def with_body(packet: bytes, body: bytes, words: bytes | None = None) -> bytes:
    """The packet with another body, its length and checksum put right; other words, too, if given."""
    head, _, old = split(packet)
    words = old if words is None else words
    return sealed(head[:28] + struct.pack("<HH", len(body), len(words) // 2) + body + words)


def content(packet: bytes) -> bytes:
    return zstandard.decompress(split(packet)[1])


def changed(packet: bytes, offset: int, layout: str, *values: float) -> bytes:
    """The packet with something else at a place of its decompressed body."""
    raw, body = struct.pack(layout, *values), content(packet)
    return with_body(packet, zstandard.compress(body[:offset] + raw + body[offset + len(raw) :]))


def streamed(raw: bytes) -> bytes:
    """A zstd frame that does not announce its size."""
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return writer.compress(raw) + writer.flush()


_, BODY, WORDS = split(PACKET)
CONTENT = content(PACKET)
REFUSALS = {
    "empty": (b"", errors.BadMagic),
    "another format": (b"OggS" + PACKET[4:], errors.BadMagic),
    "half a header": (PACKET[:20], errors.Truncated),
    "version 1": (V1, errors.UnsupportedVersion),
    "newer version": (patched(PACKET, 4, "<B", 3), errors.UnsupportedVersion),
    "unknown kind": (patched(PACKET, 5, "<B", 2), errors.UnknownKind),
    "unknown flag": (patched(PACKET, 6, "<B", 3), errors.ReservedBits),
    "flag of the other kind": (patched(DENSE, 6, "<B", 1), errors.ReservedBits),
    "reserved byte": (patched(PACKET, 7, "<B", 1), errors.ReservedBits),
    "other model": (patched(PACKET, 8, "<Q", 78), errors.FingerprintMismatch),
    "wrong checksum": (PACKET[:16] + b"\1\2\3\4" + PACKET[20:], errors.ChecksumMismatch),
    "flipped word": (PACKET[:-1] + bytes([PACKET[-1] ^ 1]), errors.ChecksumMismatch),
    "tail missing": (PACKET[:-1], errors.Truncated),
    "tail added": (PACKET + b"x", errors.TrailingBytes),
    "body size beyond the packet": (patched(PACKET, 28, "<H", 65535), errors.Truncated),
    "words beyond the packet": (patched(PACKET, 30, "<H", 65535), errors.Truncated),
    "no tiles": (patched(PACKET, 20, "<H", 0), errors.CountMismatch),
    "too many tiles": (patched(PACKET, 20, "<H", 1025), errors.OverLimit),
    "no low channels": (patched(PACKET, 22, "<B", 0), errors.CountMismatch),
    "no high channels": (patched(PACKET, 23, "<B", 0), errors.CountMismatch),
    "too many channels": (patched(PACKET, 23, "<B", 65), errors.OverLimit),
    "low channels of a dense packet": (patched(DENSE, 22, "<B", 1), errors.CountMismatch),
    "words of a dense packet": (with_body(DENSE, split(DENSE)[1], b"xy"), errors.CountMismatch),
    "more cells than tiles hold": (patched(PACKET, 24, "<I", 4 * 256 + 1), errors.CountMismatch),
    "four thousand million cells": (patched(PACKET, 24, "<I", 2**32 - 1), errors.CountMismatch),
    "fewer cells than sent": (patched(PACKET, 24, "<I", 39), errors.CountMismatch),
    "no cells": (patched(PACKET, 24, "<I", 0), errors.DecodedSizeMismatch),
    "more than a receiver holds": (patched(PACKET, 20, "<HBBI", 1024, 1, 64, 1 << 18), errors.OverLimit),
    "body too long": (with_body(PACKET, zstandard.compress(CONTENT + b"x")), errors.DecodedSizeMismatch),
    "bomb": (with_body(PACKET, zstandard.compress(bytes(10**8))), errors.DecodedSizeMismatch),
    "size not announced": (with_body(PACKET, streamed(CONTENT)), errors.DecodedSizeMismatch),
    "body is no zstd": (with_body(PACKET, b"\0" * 40), errors.CorruptBody),
    "body missing": (with_body(PACKET, b""), errors.CorruptBody),
    "bytes behind the zstd frame": (with_body(PACKET, BODY + b"xy"), errors.CorruptBody),
    "zstd frame cut": (with_body(PACKET, BODY[:-5]), errors.CorruptBody),
    "far tile": (changed(PACKET, TILES, "<h", -9000), errors.TileOutOfBounds),
    "tiles far apart": (changed(PACKET, TILES, "<4h", 30_000, 30_000, 30_000, 1), errors.TileOutOfBounds),
    "duplicate tile": (changed(PACKET, TILES, "<8h", 5, 0, 0, 0, 5, 0, 0, 0), errors.TilesUnsorted),
    "unsorted tiles": (changed(PACKET, TILES, "<8h", 5, -1, 0, 0, 5, 0, 0, 0), errors.TilesUnsorted),
    "counts per tile off": (changed(PACKET, COUNTS, "<H", 255), errors.CountMismatch),
    "a tile with too many cells": (
        with_body(changed(patched(PACKET, 24, "<I", 300), COUNTS, "<4H", 300, 0, 0, 0), BODY),
        errors.CountMismatch,
    ),
    "scale not a number": (changed(PACKET, SCALES, "<e", float("nan")), errors.NonFinite),
    "scale infinite": (changed(PACKET, SCALES, "<e", float("inf")), errors.NonFinite),
    "scale of no model": (changed(PACKET, SCALES, "<e", 65504.0), errors.OverLimit),
    "scale zero": (changed(PACKET, SCALES + 6, "<e", 0.0), errors.NonFinite),
    "scale negative": (changed(PACKET, SCALES + 14, "<e", -1.0), errors.NonFinite),
    "values in no range": (changed(PACKET, TABLES, "<2h", 5, 4), errors.CorruptBody),
    "other tables": (changed(PACKET, TABLES + 4, "<3B", 0, 0, 0), errors.CorruptBody),
    "no words": (with_body(PACKET, BODY, b""), errors.CorruptBody),
    "words cut": (with_body(PACKET, BODY, WORDS[:-2]), errors.CorruptBody),
    "a word more": (with_body(PACKET, BODY, WORDS + b"xy"), errors.CorruptBody),
    "another word": (with_body(PACKET, BODY, WORDS[:-2] + b"xy"), errors.CorruptBody),
    "cells beyond their tile": (changed(PACKET, TABLES, "<2h", 200, 240), errors.CorruptBody),
    "visible bits off": (changed(DENSE, 8, "<B", 0), errors.CountMismatch),
    "values not finite": (changed(DENSE, 2 * 36, "<e", float("inf")), errors.NonFinite),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_malformed_packet_is_refused_by_its_own_error(name: str) -> None:
    packet, error = REFUSALS[name]
    with pytest.raises(errors.WireError) as caught:
        decode_packet(packet, expected=Expected(fingerprint=None if packet[5:6] == b"\1" else 77))
    assert type(caught.value) is error
    assert len(str(caught.value)) > 15


def test_every_error_has_a_slug_of_its_own() -> None:
    children = errors.WireError.__subclasses__()
    reasons = {child.reason for child in children}
    assert len(reasons) == len(children) and all(re.fullmatch("[a-z_]+", r) for r in reasons)


def coded(gaps: list[int], high: int) -> bytes:
    """A packet of one tile whose words hold these gaps between cells and one latent."""
    (packet,) = encode_frame(feature_frame(tiles=1, cells=len(gaps), low_channels=1, high_channels=1))
    bands = [np.array([gaps]), np.zeros((1, 4)), np.full((1, len(gaps)), high)]
    tables, words = entropy.encode([band.astype(np.int16) for band in bands])
    return with_body(packet, zstandard.compress(content(packet)[: -len(tables)] + tables), words)


def test_symbols_that_mean_nothing_are_refused() -> None:
    assert len(decode_packet(coded([0, 253, 0], 127)).frame.tiles) == 1
    for gaps, high, detail in (
        ([0, 254, 0], 0, "cells"),
        ([0, -1, 3], 0, "cells"),
        ([0, 1, 2], 128, "latent"),
    ):
        with pytest.raises(errors.CorruptBody, match=detail):
            decode_packet(coded(gaps, high))


def test_channel_counts_that_the_model_does_not_have_are_refused() -> None:
    decode_packet(PACKET, expected=Expected(low_channels=3, high_channels=5))
    decode_packet(DENSE, expected=Expected(low_channels=3, high_channels=5, dense_channels=4))
    for packet, expected in (
        (PACKET, Expected(low_channels=4)),
        (PACKET, Expected(high_channels=4)),
        (DENSE, Expected(dense_channels=3)),
    ):
        with pytest.raises(errors.CountMismatch, match="channel count"):
            decode_packet(packet, expected=expected)


def test_limits_are_the_receivers_to_choose() -> None:
    for limits in (Limits(max_tiles=3), Limits(max_channels=2), Limits(max_decoded_bytes=100)):
        with pytest.raises(errors.OverLimit):
            decode_packet(PACKET, limits=limits)
    with pytest.raises(errors.OverLimit, match="packet size"):
        decode_packet(PACKET, limits=Limits(max_packet_bytes=len(PACKET) - 1))
    with pytest.raises(errors.TileOutOfBounds):
        decode_packet(PACKET, limits=Limits(max_tile_key=int(np.abs(FRAME.tiles).max()) - 1))


def test_packets_that_decode_to_too_much_are_refused_by_their_header_and_never_sent() -> None:
    frame, limits = large_frame(1024, 65_535, 0.0), Limits()
    sent = encode_frame(frame, 65_536)
    assert len(sent) > 1 and max(map(len, sent)) < 4096, "by their length alone one would do"
    for packet in sent:
        header = unpack(memoryview(packet), limits, Expected())
        assert header.decoded_bytes <= limits.max_decoded_bytes
        decode_packet(packet)
        with pytest.raises(errors.OverLimit, match="decoded size"):
            unpack(memoryview(packet), Limits(max_decoded_bytes=header.decoded_bytes - 1), Expected())


def test_packets_decoded_together_are_refused_one_by_one() -> None:
    end = with_body(PACKET, split(PACKET)[1], split(PACKET)[2][:-2])
    packets = [PACKET, PACKET[:-1], DENSE, end, PACKET, b""]
    found = decode_packets(packets)
    for packet, part in zip(packets, found, strict=True):
        if isinstance(part, errors.WireError):
            with pytest.raises(type(part)) as error:
                decode_packet(packet)
            assert str(part) == str(error.value)
        else:
            assert np.array_equal(part.frame.tiles, decode_packet(packet).frame.tiles)
            if packet is PACKET:
                assert np.array_equal(part.frame.high, FRAME.high)
    assert [isinstance(part, errors.WireError) for part in found] == [False, True, False, True, False, True]
    assert decode_packets([]) == []
