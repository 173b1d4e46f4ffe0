"""Packets taken apart and put together again with what a test changes between, with sizes and checksums that fit."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import zstandard
from numpy.typing import NDArray

from rsdfm_ros.wire import entropy
from rsdfm_ros.wire.body import read_compressed
from rsdfm_ros.wire.header import CRC_OFFSET, FIXED_BYTES, MAGIC, Header, Kind, fields_of
from rsdfm_ros.wire.limits import Limits
from rsdfm_ros.wire.tables import Table

HEADER = struct.Struct("<4sBBBBQIHBBIHH")


def sealed(packet: bytes) -> bytes:
    """The packet with the checksum that its bytes have."""
    if len(packet) < CRC_OFFSET + 4:
        return packet
    blank = packet[:CRC_OFFSET] + bytes(4) + packet[CRC_OFFSET + 4 :]
    return packet[:CRC_OFFSET] + struct.pack("<I", zlib.crc32(blank)) + packet[CRC_OFFSET + 4 :]


class Parts:
    """A good packet taken apart.

    fields: of the header behind the magic · plain: scales and tables · frame: the zstd frame · body: its content ·
    words: None for those of the bands that carry the start of the frame.
    """

    def __init__(self, packet: bytes) -> None:
        _, *self.fields = HEADER.unpack_from(packet)
        header, content = Header.of(fields_of(packet)), memoryview(packet)[FIXED_BYTES:]
        self.plain = bytearray(content[: header.plain_bytes])
        self.words: bytearray | None = None
        self.frame, self._bands, self._tables = _opened(packet)
        self.body = bytearray(zstandard.decompress(self.frame))

    @property
    def tiles(self) -> int:
        return int(self.fields[6])

    def coded_words(self, frame: bytes) -> bytearray:
        """The words of the bands that carry the start of a zstd frame."""
        return bytearray(entropy.encode(self._bands, self._tables, frame))

    def put(self, frame: bytes | None = None, *, sizes: bool = True) -> bytes:
        """The packet of the parts. frame: instead of the compressed body · sizes: let the header tell the sizes as they
        are."""
        packed = zstandard.ZstdCompressor(level=1).compress(bytes(self.body)) if frame is None else frame
        words = self.coded_words(packed) if self.words is None else self.words
        fields = list(self.fields)
        if sizes:
            fields[-2:] = min(len(packed), 65_535), min(len(words) // 2, 65_535)
        head = HEADER.pack(MAGIC, *fields)
        carried = 0
        if fields[1] == Kind.COMPRESSED:
            carried = entropy.carried_bytes(Header.of(fields_of(head)).bands)
        return sealed(head + bytes(self.plain) + bytes(words) + packed[carried:])


@cache
def _opened(packet: bytes) -> tuple[bytes, list[NDArray[np.int16]], Sequence[Table]]:
    """The zstd frame, bands and tables of a packet."""
    header, content = Header.of(fields_of(packet)), memoryview(packet)[FIXED_BYTES:]
    if header.kind is Kind.DENSE:
        return bytes(content), [], []
    part = read_compressed(header, content, Limits())
    decoded = entropy.decode(part.coded)
    return part.body(decoded.carried), decoded.bands, part.coded.tables
