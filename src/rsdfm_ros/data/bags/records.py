"""The records of an MCAP file (https://mcap.dev/spec), parsed with every length checked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from rsdfm_ros.data.bags.limits import END_OF_TIME_NS

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
CHUNK_INDEX, STATISTICS, DATA_END = 0x08, 0x0B, 0x0F
HEAD = struct.Struct("<BQ")
"""Opcode and length in front of every record."""
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")
_CHUNK_INDEX = struct.Struct("<QQQQ")
_STATISTICS = struct.Struct("<QHIIIIQQ")


class RecordError(ValueError):
    """A record whose lengths contradict each other."""


@dataclass(frozen=True)
class Schema:
    """A message type: name · encoding of its definition, ros2msg or ros2idl · definition."""

    number: int
    name: str
    encoding: str
    definition: str


@dataclass(frozen=True)
class Channel:
    """A topic in one file."""

    number: int
    schema: int
    topic: str
    encoding: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkHead:
    """The fields before a chunk's data. body: where the data begins within the record."""

    start_ns: int
    end_ns: int
    size: int
    crc: int
    compression: str
    compressed: int
    body: int


@dataclass(frozen=True)
class ChunkPlace:
    """Position of a chunk: offset of the record in the file, its length with head, times, channels if they are
    known."""

    offset: int
    length: int
    start_ns: int
    end_ns: int
    size: int
    channels: frozenset[int] | None = None


@dataclass(frozen=True)
class Statistics:
    """Counts of the writer."""

    messages: int
    chunks: int
    counts: dict[int, int]


class Cursor:
    """Reads fields off a record; RecordError where it is too short."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, size: int) -> memoryview:
        """The next `size` bytes."""
        if size > len(self.data) - self.at:
            raise RecordError(f"a field of {size} bytes in a record with {len(self.data) - self.at} left")
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """The next fixed fields."""
        return form.unpack(self.take(form.size))

    def number(self, size: int) -> int:
        """The next unsigned integer."""
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        """The next string."""
        return bytes(self.take(self.number(4))).decode("utf-8", "replace")

    def texts(self) -> dict[str, str]:
        """The next map of strings."""
        inner = Cursor(self.take(self.number(4)))
        out = {}
        while inner.at < len(inner.data):
            key = inner.text()
            out[key] = inner.text()
        return out


def schema_of(record: memoryview) -> Schema:
    """Raises: RecordError."""
    c = Cursor(record)
    return Schema(c.number(2), c.text(), c.text(), c.text())


def channel_of(record: memoryview) -> Channel:
    """Raises: RecordError."""
    c = Cursor(record)
    return Channel(c.number(2), c.number(2), c.text(), c.text(), c.texts())


def message_of(record: memoryview) -> tuple[int, int, memoryview]:
    """(channel, log time in ns, data). Raises: RecordError, also for a time that no ROS clock can show."""
    c = Cursor(record)
    channel, _, log_ns, _ = c.unpack(_MESSAGE)
    if log_ns >= END_OF_TIME_NS:
        raise RecordError(f"a log time of {log_ns} ns")
    return channel, log_ns, record[c.at :]


def chunk_head_of(record: bytes | memoryview) -> ChunkHead:
    """Raises: RecordError; the data itself may be missing."""
    c = Cursor(record)
    start, end, size, crc = c.unpack(_CHUNK)
    compression = c.text()
    compressed = c.number(8)
    return ChunkHead(start, end, size, crc, compression, compressed, c.at)


def chunk_index_of(record: memoryview) -> ChunkPlace:
    """Raises: RecordError."""
    c = Cursor(record)
    start, end, offset, length = c.unpack(_CHUNK_INDEX)
    places = c.take(c.number(4))
    if len(places) % 10:
        raise RecordError("a chunk index with a broken map")
    channels = frozenset(number for number, _ in struct.iter_unpack("<HQ", places))
    c.number(8)
    c.text()
    c.number(8)
    return ChunkPlace(offset, length, start, end, c.number(8), channels or None)


def statistics_of(record: memoryview) -> Statistics:
    """Raises: RecordError."""
    c = Cursor(record)
    messages, _, _, _, _, chunks, _, _ = c.unpack(_STATISTICS)
    counts = c.take(c.number(4))
    if len(counts) % 10:
        raise RecordError("statistics with a broken map")
    return Statistics(messages, chunks, dict(struct.iter_unpack("<HQ", counts)))


def records_in(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """(opcode, content) of all whole records in a chunk or summary; ends at the first that is cut off."""
    view, at = memoryview(data), 0
    while len(view) - at >= HEAD.size:
        opcode, length = HEAD.unpack_from(view, at)
        at += HEAD.size
        if length > len(view) - at:
            return
        yield opcode, view[at : at + length]
        at += length
