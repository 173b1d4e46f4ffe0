"""Every malformed field of a packet is refused by its own error; no bytes raise anything but a WireError."""

import re
import struct

import numpy as np
import pytest
import zstandard

from rsdfm_ros.wire import entropy, errors
from rsdfm_ros.wire.gap_table import GapTable, fitted_gaps
from rsdfm_ros.wire.header import Header, fields_of, unpack
from rsdfm_ros.wire.packet import Expected, Limits, decode_packet, decode_packets, encode_frame
from rsdfm_ros.wire.tables import Tables, fitted_tables
from support.hostile_packets import large_frame
from support.packet_parts import Parts, sealed
from support.places import GOLDEN
from support.wire_frames import dense_frame, feature_frame

FRAME = feature_frame(seed=3, tiles=4, cells=40, low_channels=3, high_channels=5)
(PACKET,) = encode_frame(FRAME, fingerprint=77)
(DENSE,) = encode_frame(dense_frame(tiles=2, channels=4))
V1 = (GOLDEN / "wire_v1_low.bin").read_bytes()

V2 = (GOLDEN / "wire_v2_high.bin").read_bytes()

TI, TI_HIGH, TJ, COUNTS, COUNTS_HIGH = 0, 4, 8, 16, 20
"""Offsets in the body of PACKET, whose 16-bit numbers stand in planes: low and high bytes of ti, low ones of tj, low
and high bytes of the counts."""
LOW_TABLE = 2 * (3 + 5) + 10
"""Offset behind the scales and the table of gaps of PACKET."""


def patched(packet: bytes, offset: int, layout: str, *values: int | float) -> bytes:
    """The packet with one field replaced and a checksum that matches."""
    raw = struct.pack(layout, *values)
    return sealed(packet[:offset] + raw + packet[offset + len(raw) :])


def with_frame(packet: bytes, frame: bytes) -> bytes:
    """The packet with another zstd frame, in words that carry its start."""
    return Parts(packet).put(frame)


def with_words(packet: bytes, words: bytes) -> bytes:
    """The packet with other words."""
    parts = Parts(packet)
    parts.words = bytearray(words)
    return parts.put(parts.frame)


def with_body(packet: bytes, changes: dict[int, int]) -> bytes:
    """The packet with other bytes at some places of its decompressed body."""
    parts = Parts(packet)
    for place, value in changes.items():
        parts.body[place] = value
    return parts.put()


def with_cells(cells: int, changes: dict[int, int]) -> bytes:
    """PACKET with this number of cells, none of which changes the states, and other bytes in its body."""
    parts = Parts(PACKET)
    parts.fields[9] = cells
    for place, value in changes.items():
        parts.body[place] = value
    parts.plain[-12:] = struct.pack("<2b5H", 0, 0, *[0] * 5)
    parts.plain[-20:-12] = struct.pack("<2b3H", 0, 0, *[0] * 3)
    parts.plain[16:26] = bytes(10)
    gaps = np.zeros((1, cells), np.int16)
    tables = [GapTable.from_bytes(bytes(10)), *(_constant(k) for k in (3, 5))]
    frame = zstandard.compress(bytes(parts.body))
    bands = [gaps, np.zeros((3, 16), np.int16), np.zeros((5, cells), np.int16)]
    parts.words = bytearray(entropy.encode(bands, tables, frame))
    return parts.put(frame)


def sized(offset: int, layout: str, *values: int) -> bytes:
    """PACKET with other counts, as long as they say."""
    head = bytearray(PACKET[:32])
    struct.pack_into(layout, head, offset, *values)
    size = min(Header.of(fields_of(bytes(head))).packet_bytes, 65_536)
    return sealed(bytes(head) + (PACKET[32:] * (size // len(PACKET) + 2))[: size - 32])


def carrying_more() -> bytes:
    """PACKET whose header tells of a body of one byte, and whose states carry two."""
    parts = Parts(PACKET)
    parts.words = parts.coded_words(b"ab")
    parts.fields[-2:] = 1, len(parts.words) // 2
    return parts.put(b"a", sizes=False)


def one_tile(cells: int) -> dict[int, int]:
    """Changes of the body after which all cells are in the first tile."""
    low = {COUNTS + k: cells % 256 if k == 0 else 0 for k in range(4)}
    return low | {COUNTS_HIGH + k: cells // 256 if k == 0 else 0 for k in range(4)}


TILE_STEPS = {TI + k: int(k == 0) for k in range(4)} | {TI_HIGH + k: 0 for k in range(4)}
"""Changes of the body after which all tiles are in one row."""


def _constant(channels: int) -> Tables:
    """Tables of channels that are zero."""
    return Tables(0, 0, *(np.zeros(channels, np.uint8) for _ in range(3)))


def streamed(raw: bytes) -> bytes:
    """A zstd frame that does not announce its size."""
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return writer.compress(raw) + writer.flush()


PARTS = Parts(PACKET)
FRAME_BYTES, CONTENT, WORDS = PARTS.frame, bytes(PARTS.body), bytes(PARTS.coded_words(PARTS.frame))
REFUSALS = {
    "empty": (b"", errors.BadMagic),
    "another format": (b"OggS" + PACKET[4:], errors.BadMagic),
    "half a header": (PACKET[:20], errors.Truncated),
    "version 1": (V1, errors.UnsupportedVersion),
    "version 2": (V2, errors.UnsupportedVersion),
    "newer version": (patched(PACKET, 4, "<B", 4), errors.UnsupportedVersion),
    "unknown kind": (patched(PACKET, 5, "<B", 2), errors.UnknownKind),
    "unknown flag": (patched(PACKET, 6, "<B", 3), errors.ReservedBits),
    "flag of the other kind": (patched(DENSE, 6, "<B", 1), errors.ReservedBits),
    "reserved byte": (patched(PACKET, 7, "<B", 1), errors.ReservedBits),
    "other model": (patched(PACKET, 8, "<Q", 78), errors.FingerprintMismatch),
    "wrong checksum": (PACKET[:16] + b"\1\2\3\4" + PACKET[20:], errors.ChecksumMismatch),
    "flipped byte": (PACKET[:-1] + bytes([PACKET[-1] ^ 1]), errors.ChecksumMismatch),
    "tail missing": (PACKET[:-1], errors.Truncated),
    "tail added": (PACKET + b"x", errors.TrailingBytes),
    "body size beyond the packet": (patched(PACKET, 28, "<H", 65535), errors.Truncated),
    "words beyond the packet": (patched(PACKET, 30, "<H", 65535), errors.Truncated),
    "no tiles": (sized(20, "<H", 0), errors.CountMismatch),
    "too many tiles": (sized(20, "<H", 1025), errors.OverLimit),
    "no low channels": (sized(22, "<B", 0), errors.CountMismatch),
    "no high channels": (sized(23, "<B", 0), errors.CountMismatch),
    "too many channels": (sized(23, "<B", 65), errors.OverLimit),
    "low channels of a dense packet": (patched(DENSE, 22, "<B", 1), errors.CountMismatch),
    "words of a dense packet": (with_words(DENSE, b"xy"), errors.CountMismatch),
    "more cells than tiles hold": (sized(24, "<I", 4 * 256 + 1), errors.CountMismatch),
    "four thousand million cells": (sized(24, "<I", 2**32 - 1), errors.CountMismatch),
    "fewer cells than sent": (with_cells(39, {}), errors.CountMismatch),
    "no cells": (sized(24, "<I", 0), errors.CorruptBody),
    "more than a receiver holds": (sized(20, "<HBBI", 1024, 1, 64, 1 << 18), errors.OverLimit),
    "body too long": (with_frame(PACKET, zstandard.compress(CONTENT + b"x")), errors.DecodedSizeMismatch),
    "bomb": (with_frame(PACKET, zstandard.compress(bytes(10**8))), errors.DecodedSizeMismatch),
    "size not announced": (with_frame(PACKET, streamed(CONTENT)), errors.DecodedSizeMismatch),
    "body is no zstd": (with_frame(PACKET, b"\0" * 40), errors.CorruptBody),
    "body missing": (with_frame(PACKET, b""), errors.CorruptBody),
    "bytes behind the zstd frame": (with_frame(PACKET, FRAME_BYTES + b"xy"), errors.CorruptBody),
    "zstd frame cut": (with_frame(PACKET, FRAME_BYTES[:-5]), errors.CorruptBody),
    "more carried than the body": (carrying_more(), errors.CorruptBody),
    "far tile": (with_body(PACKET, {TI: 216, TI_HIGH: 220}), errors.TileOutOfBounds),
    "tiles far apart": (
        with_body(PACKET, {TI + 1: 48, TI_HIGH + 1: 117, TI + 2: 48, TI_HIGH + 2: 117}),
        errors.TileOutOfBounds,
    ),
    "duplicate tile": (with_body(PACKET, TILE_STEPS | {TJ + 1: 0}), errors.TilesUnsorted),
    "unsorted tiles": (with_body(PACKET, TILE_STEPS | {TI + 1: 255, TI_HIGH + 1: 255}), errors.TilesUnsorted),
    "counts per tile off": (with_body(PACKET, {COUNTS: 255}), errors.CountMismatch),
    "a tile with too many cells": (with_cells(300, one_tile(300)), errors.CountMismatch),
    "scale not a number": (patched(PACKET, 32, "<e", float("nan")), errors.NonFinite),
    "scale infinite": (patched(PACKET, 32, "<e", float("inf")), errors.NonFinite),
    "scale of no model": (patched(PACKET, 32, "<e", 65504.0), errors.OverLimit),
    "scale zero": (patched(PACKET, 32 + 6, "<e", 0.0), errors.NonFinite),
    "scale negative": (patched(PACKET, 32 + 14, "<e", -1.0), errors.NonFinite),
    "values in no range": (patched(PACKET, 32 + LOW_TABLE, "<2b", 5, 4), errors.CorruptBody),
    "other tables": (patched(PACKET, 32 + LOW_TABLE + 2, "<3H", 0, 0, 0), errors.CorruptBody),
    "other gaps": (patched(PACKET, 32 + 16, "<10B", *range(10)), errors.CorruptBody),
    "no words": (with_words(PACKET, b""), errors.CorruptBody),
    "words cut": (with_words(PACKET, WORDS[:-2]), errors.CorruptBody),
    "a word more": (with_words(PACKET, WORDS + b"xy"), errors.CorruptBody),
    "another word": (with_words(PACKET, WORDS[:-2] + b"xy"), errors.CorruptBody),
    "cells beyond their tile": (with_body(PACKET, one_tile(40)), errors.CorruptBody),
    "visible bits off": (with_body(DENSE, {8: 0}), errors.CountMismatch),
    "values not finite": (with_body(DENSE, {2 * 36: 0, 2 * 36 + 1: 0x7C}), errors.NonFinite),
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


def test_gaps_that_lead_out_of_their_tile_are_refused() -> None:
    for gaps, good in (([0, 253, 0], True), ([0, 254, 0], False), ([255, 0], False)):
        (packet,) = encode_frame(
            feature_frame(tiles=1, cells=len(gaps), low_channels=1, high_channels=1), fingerprint=3
        )
        parts = Parts(packet)
        band = np.array([gaps], np.int16)
        table = fitted_gaps(band)
        parts.plain[4:14] = table.to_bytes()
        latents = decode_packet(packet).frame
        bands = [band, latents.low.reshape(1, 4).astype(np.int16), latents.high.T.astype(np.int16)]
        words = entropy.encode(bands, [table, *(fitted_tables(b) for b in bands[1:])], parts.frame)
        parts.words = bytearray(words)
        changed = parts.put(parts.frame)
        if good:
            assert decode_packet(changed).frame.high_cell.tolist() == [0, 254, 255]
        else:
            with pytest.raises(errors.CorruptBody, match="cells"):
                decode_packet(changed)


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
    end = with_words(PACKET, WORDS[:-2])
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
