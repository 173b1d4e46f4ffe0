"""The fixed header of a feature packet (docs/wire_format.md)."""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from rsdfm_ros.wire.entropy import Shape, carried_bytes
from rsdfm_ros.wire.errors import (
    BadMagic,
    ChecksumMismatch,
    CountMismatch,
    FingerprintMismatch,
    OverLimit,
    ReservedBits,
    TrailingBytes,
    Truncated,
    UnknownKind,
    UnsupportedVersion,
)
from rsdfm_ros.wire.features import CELLS_PER_TILE, LOW_SIDE
from rsdfm_ros.wire.gap_table import GAP_BYTES
from rsdfm_ros.wire.limits import Expected, Limits
from rsdfm_ros.wire.tables import CHANNEL_BYTES, RANGE_BYTES

MAGIC = b"RSDF"
VERSION = 3

# The fields of Fields; little-endian, unpadded.
_FIXED = struct.Struct("<4sBBBBQIHBBIHH")
FIXED_BYTES = _FIXED.size
CRC_OFFSET = 16
WORD_BYTES = 2
TILE_KEY_BYTES = 4
COUNT_BYTES = 2
HALF_BYTES = 2
VISIBLE_BYTES = CELLS_PER_TILE // 8
TILE_INDEX_BYTES, TILE_ID_BYTES, SCALE_BYTES = 4, 8, 4
"""Bytes of numbers in the arrays of a part: indices of tiles and cells, integers that stand for a tile, scales."""
LARGEST_PACKET_BYTES = 65_536
GAPS = 0
"""Index of the gaps among the bands."""
_HAS_LOW = 1


class Kind(enum.IntEnum):
    """Content of a packet's tiles."""

    COMPRESSED = 0
    DENSE = 1


class Fields(NamedTuple):
    """The fixed header as it stands in a packet, nothing of it checked; docs/wire_format.md describes each field."""

    magic: bytes
    version: int
    kind: int
    flags: int
    reserved: int
    fingerprint: int
    crc32: int
    tiles: int
    low: int
    high: int
    cells: int
    body_bytes: int
    words: int


def fields_of(data: bytes | memoryview) -> Fields:
    """The fields of at least FIXED_BYTES bytes."""
    return Fields(*_FIXED.unpack_from(data))


def checksum(data: memoryview) -> int:
    """CRC-32 of a packet with its own checksum taken as zero."""
    return zlib.crc32(data[CRC_OFFSET + 4 :], zlib.crc32(b"\0\0\0\0", zlib.crc32(data[:CRC_OFFSET])))


@dataclass(frozen=True)
class Header:
    """The counts that fix every size in the packet.

    low, high: channels of the bands (COMPRESSED), 0 and those of the features (DENSE). cells: sent cells (COMPRESSED),
    visible cells (DENSE). has_low: whether low latents are present.
    """

    kind: Kind
    fingerprint: int
    tiles: int
    low: int
    high: int
    cells: int
    has_low: bool = False
    body_bytes: int = 0
    words: int = 0

    @classmethod
    def of(cls, raw: Fields) -> Header:
        """The counts of a header whose kind and flags were checked."""
        has_low = bool(raw.flags & _HAS_LOW)
        return cls(
            Kind(raw.kind),
            raw.fingerprint,
            raw.tiles,
            raw.low,
            raw.high,
            raw.cells,
            has_low,
            raw.body_bytes,
            raw.words,
        )

    @property
    def packet_bytes(self) -> int:
        """Bytes of the whole packet."""
        return FIXED_BYTES + self.plain_bytes + WORD_BYTES * self.words + self.body_bytes - self.carried_bytes

    @property
    def scales(self) -> int:
        """Scales in the body: one per channel of every band that is present."""
        return 0 if self.kind is Kind.DENSE else self.high + self.low * self.has_low

    @property
    def bands(self) -> list[Shape]:
        """Shapes of the coded words: channels and symbols of the gaps between cells, the low and the high latents."""
        if self.kind is Kind.DENSE:
            return []
        blocks = LOW_SIDE * LOW_SIDE * self.tiles
        return [(1, self.cells), (self.low * self.has_low, blocks), (self.high, self.cells)]

    @property
    def tables_bytes(self) -> int:
        """Bytes of the frequency tables; a band without symbols has none."""
        if self.kind is Kind.DENSE:
            return 0
        gaps, *latents = self.bands
        rest = sum(RANGE_BYTES + CHANNEL_BYTES * c for c, n in latents if c * n)
        return GAP_BYTES * (gaps[1] > 0) + rest

    @property
    def plain_bytes(self) -> int:
        """Bytes behind the header that are not compressed: scales and frequency tables."""
        return self.scales * HALF_BYTES + self.tables_bytes

    @property
    def carried_bytes(self) -> int:
        """Bytes of the body that travel in the states of the entropy coder."""
        return min(self.body_bytes, carried_bytes(self.bands))

    @property
    def content_bytes(self) -> int:
        """Bytes of the body after decompression: follows from the counts, is never read from the packet."""
        fixed = self.tiles * (TILE_KEY_BYTES + VISIBLE_BYTES)
        if self.kind is Kind.DENSE:
            return fixed + self.cells * self.high * HALF_BYTES
        return fixed + self.tiles * COUNT_BYTES

    @property
    def decoded_bytes(self) -> int:
        """Bytes after decoding: scales, tables, body, and two bytes per symbol."""
        symbols = sum(channels * symbols for channels, symbols in self.bands)
        return self.plain_bytes + self.content_bytes + 2 * symbols

    @property
    def part_bytes(self) -> int:
        """Bytes of the arrays of a COMPRESSED part (wire/features.py), with a key per tile."""
        tile = 2 * TILE_INDEX_BYTES + TILE_ID_BYTES + CELLS_PER_TILE + self.low * LOW_SIDE * LOW_SIDE
        cell = TILE_INDEX_BYTES + 1 + self.high
        return self.tiles * tile + self.cells * cell + SCALE_BYTES * (self.low + self.high)


def pack(header: Header, plain: bytes, words: bytes, body: bytes) -> bytes:
    """The packet: fixed header with its checksum filled in, scales and tables, words, and the bytes of the body that
    are not in the words."""
    fixed = _FIXED.pack(
        MAGIC,
        VERSION,
        header.kind,
        _HAS_LOW * header.has_low,
        0,
        header.fingerprint,
        0,
        header.tiles,
        header.low,
        header.high,
        header.cells,
        header.body_bytes,
        header.words,
    )
    rest = plain + words + body[header.carried_bytes :]
    crc = zlib.crc32(rest, zlib.crc32(fixed))
    return fixed[:CRC_OFFSET] + struct.pack("<I", crc) + fixed[CRC_OFFSET + 4 :] + rest


def unpack(data: memoryview, limits: Limits, expected: Expected) -> Header:
    """Read and check the fixed header; nothing is allocated and nothing behind it is interpreted yet.

    Raises: a WireError child for whatever is wrong, in the order of docs/wire_format.md.
    """
    if len(data) > limits.max_packet_bytes:
        raise OverLimit("packet size in bytes", limits.max_packet_bytes, len(data))
    if bytes(data[:4]) != MAGIC[: len(data[:4])] or len(data) == 0:
        raise BadMagic(bytes(data[:4]))
    if len(data) < FIXED_BYTES:
        raise Truncated("fixed header", FIXED_BYTES, len(data))
    raw = fields_of(data)
    if raw.version != VERSION:
        raise UnsupportedVersion(VERSION, raw.version)
    if raw.kind not in tuple(Kind):
        raise UnknownKind(raw.kind)
    known = _HAS_LOW if raw.kind == Kind.COMPRESSED else 0
    if raw.flags & ~known or raw.reserved:
        raise ReservedBits("flags and reserved (offset 6)", raw.flags & ~known | raw.reserved << 8)
    header = Header.of(raw)
    if header.packet_bytes > len(data):
        raise Truncated("body or words", header.packet_bytes, len(data))
    if header.packet_bytes < len(data):
        raise TrailingBytes(header.packet_bytes, len(data))
    actual = checksum(data)
    if actual != raw.crc32:
        raise ChecksumMismatch(raw.crc32, actual)
    if expected.fingerprint is not None and raw.fingerprint != expected.fingerprint:
        raise FingerprintMismatch(expected.fingerprint, raw.fingerprint)
    _check_counts(header, limits, expected)
    return header


def _check_counts(header: Header, limits: Limits, expected: Expected) -> None:
    if header.tiles > limits.max_tiles:
        raise OverLimit("tile count", limits.max_tiles, header.tiles)
    if header.tiles == 0:
        raise CountMismatch("tile count", "at least 1", 0)
    if header.kind is Kind.DENSE:
        _check_channels("high channel count", header.high, expected.dense_channels, limits)
        if header.low or header.words:
            raise CountMismatch("low channels and words", 0, header.low or header.words)
    else:
        _check_channels("low channel count", header.low, expected.low_channels, limits)
        _check_channels("high channel count", header.high, expected.high_channels, limits)
    if header.cells > header.tiles * CELLS_PER_TILE:
        raise CountMismatch("cell count", f"at most {header.tiles * CELLS_PER_TILE}", header.cells)
    if header.decoded_bytes > limits.max_decoded_bytes:
        raise OverLimit("decoded size in bytes", limits.max_decoded_bytes, header.decoded_bytes)


def _check_channels(field: str, channels: int, wanted: int | None, limits: Limits) -> None:
    if channels > limits.max_channels:
        raise OverLimit(field, limits.max_channels, channels)
    if channels == 0 or (wanted is not None and channels != wanted):
        raise CountMismatch(field, "at least 1" if wanted is None else wanted, channels)
