"""The fixed header of a feature packet and the two tables behind it (docs/wire_format.md)."""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from rsdfm_ros.wire.errors import (
    BadMagic,
    ChecksumMismatch,
    CountMismatch,
    FingerprintMismatch,
    OverLimit,
    ReservedBits,
    TrailingBytes,
    Truncated,
    UnknownBand,
    UnsupportedVersion,
)
from rsdfm_ros.wire.features import CELLS_PER_TILE, LOW_SIDE
from rsdfm_ros.wire.limits import Expected, Limits

MAGIC = b"RSDF"
VERSION = 1

# magic, version, band, reserved, fingerprint, crc32, tiles, channels, cells, body bytes; little-endian, unpadded.
_FIXED = struct.Struct("<4sBBHQIHHII")
FIXED_BYTES = _FIXED.size
CRC_OFFSET = 16
TILE_KEY_BYTES = 4
SCALE_BYTES = 4
VISIBLE_BYTES = CELLS_PER_TILE // 8


class Band(enum.IntEnum):
    """What a packet carries of its tiles."""

    LOW = 0
    HIGH = 1
    DENSE = 2


@dataclass(frozen=True)
class Header:
    """The counts that fix every size in the packet. cells: sent cells (HIGH), visible cells (DENSE), 0 (LOW)."""

    band: Band
    fingerprint: int
    tiles: int
    channels: int
    cells: int
    body_bytes: int

    @property
    def scales(self) -> int:
        """Entries of the scale table: one per channel of the quantised bands, none for DENSE."""
        return 0 if self.band is Band.DENSE else self.channels

    @property
    def tables_bytes(self) -> int:
        """Bytes of the tile and scale tables between the fixed header and the body."""
        return self.tiles * TILE_KEY_BYTES + self.scales * SCALE_BYTES

    @property
    def packet_bytes(self) -> int:
        """Bytes of the whole packet."""
        return FIXED_BYTES + self.tables_bytes + self.body_bytes

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the body after decompression: follows from the counts, is never read from the packet."""
        if self.band is Band.LOW:
            return self.tiles * (self.channels * LOW_SIDE * LOW_SIDE + VISIBLE_BYTES)
        if self.band is Band.HIGH:
            return self.tiles * 2 + self.cells * (1 + self.channels)
        return self.tiles * VISIBLE_BYTES + self.cells * self.channels * 2


def pack(header: Header, tables: bytes, body: bytes) -> bytes:
    """The packet: fixed header with its checksum filled in, tables, body."""
    fixed = _FIXED.pack(
        MAGIC,
        VERSION,
        header.band,
        0,
        header.fingerprint,
        0,
        header.tiles,
        header.channels,
        header.cells,
        header.body_bytes,
    )
    crc = zlib.crc32(body, zlib.crc32(tables, zlib.crc32(fixed)))
    return fixed[:CRC_OFFSET] + struct.pack("<I", crc) + fixed[CRC_OFFSET + 4 :] + tables + body


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
    _, version, band, reserved, fingerprint, crc, tiles, channels, cells, body_bytes = _FIXED.unpack_from(
        data
    )
    if version != VERSION:
        raise UnsupportedVersion(VERSION, version)
    if band not in tuple(Band):
        raise UnknownBand(band)
    if reserved:
        raise ReservedBits("reserved (offset 6)", reserved)
    header = Header(Band(band), fingerprint, tiles, channels, cells, body_bytes)
    if header.packet_bytes > len(data):
        raise Truncated("tables or body", header.packet_bytes, len(data))
    if header.packet_bytes < len(data):
        raise TrailingBytes(header.packet_bytes, len(data))
    actual = zlib.crc32(data[CRC_OFFSET + 4 :], zlib.crc32(b"\0\0\0\0", zlib.crc32(data[:CRC_OFFSET])))
    if actual != crc:
        raise ChecksumMismatch(crc, actual)
    if expected.fingerprint is not None and fingerprint != expected.fingerprint:
        raise FingerprintMismatch(expected.fingerprint, fingerprint)
    _check_counts(header, limits, expected)
    return header


def _check_counts(header: Header, limits: Limits, expected: Expected) -> None:
    if header.tiles > limits.max_tiles:
        raise OverLimit("tile count", limits.max_tiles, header.tiles)
    if header.tiles == 0:
        raise CountMismatch("tile count", "at least 1", 0)
    if header.channels > limits.max_channels:
        raise OverLimit("channel count", limits.max_channels, header.channels)
    wanted = (expected.low_channels, expected.high_channels, expected.dense_channels)[header.band]
    if header.channels == 0 or (wanted is not None and header.channels != wanted):
        raise CountMismatch("channel count", "at least 1" if wanted is None else wanted, header.channels)
    most_cells = 0 if header.band is Band.LOW else header.tiles * CELLS_PER_TILE
    if header.cells > most_cells:
        raise CountMismatch("cell count", f"at most {most_cells}", header.cells)
    if header.decoded_bytes > limits.max_decoded_bytes:
        raise OverLimit("decoded size in bytes", limits.max_decoded_bytes, header.decoded_bytes)


def band_of(packet: bytes) -> Band:
    """The band of a packet that this process encoded itself; nothing is checked."""
    return Band(packet[5])
