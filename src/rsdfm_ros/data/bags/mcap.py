"""One MCAP file: its topics and chunks, from the summary at its end or, where that is missing, from the data itself."""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from rsdfm_ros.data.bags import records as rec
from rsdfm_ros.data.bags.limits import Limits, TooLarge, inflate
from rsdfm_ros.data.bags.records import Channel, ChunkPlace, RecordError, Schema
from rsdfm_ros.data.bags.streams import Record, Stream

_FOOTER_SIZE = 9 + 20 + 8
_WINDOW = 1 << 22
_CHUNK_PATTERN = re.compile(rb"\x06.{4}\x00{4}.{28}(?:\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd)", re.DOTALL)
"""A chunk record whose length has four bytes at most; `_plausible` checks the rest."""
_HEAD_SIZE = 9 + 28 + 4 + 8 + 8


class McapFile:
    """damage: sentences on what could not be read; reading may add to it.

    schemas, channels, chunks, loose: see records.py; loose are messages outside chunks as (log time, offset, length,
    channel) · counts: messages by channel, where they are known.
    """

    def __init__(self, path: Path, limits: Limits, damage: list[str]) -> None:
        self.path, self.limits, self.damage = path, limits, damage
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.chunks: list[ChunkPlace] = []
        self.loose: list[tuple[int, int, int, int]] = []
        self.counts: Counter[int] = Counter()
        self._file: BinaryIO = path.open("rb")
        self._size = path.stat().st_size
        self._named: set[str] = set()
        if self._size < 8 or self._read(0, 8) != rec.MAGIC:
            what = "is empty" if not self._size else "does not begin as an MCAP file"
            self.say(what)
            if self._size < 8:
                return
        if not self._from_summary():
            self._scan()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def say(self, problem: str) -> None:
        """Name damage, once."""
        if problem not in self._named:
            self._named.add(problem)
            self.damage.append(f"{self.path.name}: {problem}")

    # --- the index ------------------------------------------------------------------------------------------------

    def _from_summary(self) -> bool:
        if self._size < 8 + _FOOTER_SIZE:
            self.say("the end is missing")
            return False
        footer = self._read(self._size - _FOOTER_SIZE, _FOOTER_SIZE)
        if footer[-8:] != rec.MAGIC or footer[0] != rec.FOOTER:
            self.say("the end is missing: the recorder was stopped hard, or the file was cut")
            return False
        start = int.from_bytes(footer[9:17], "little")
        end = self._size - _FOOTER_SIZE
        if not start:
            return False
        if not 8 < start <= end or end - start > self.limits.chunk_bytes:
            self.say("the footer points outside the file")
            return False
        statistics = None
        try:
            for opcode, record in rec.records_in(self._read(start, end - start)):
                if opcode == rec.CHUNK_INDEX and len(self.chunks) < self.limits.chunks:
                    self.chunks.append(rec.chunk_index_of(record))
                elif opcode == rec.STATISTICS:
                    statistics = rec.statistics_of(record)
                else:
                    self._declare(opcode, record)
        except RecordError as error:
            self.say(f"the summary is damaged ({error})")
            statistics = None
        good = all(
            c.offset > 8 and c.length >= 9 and c.offset + c.length <= start and c.start_ns <= c.end_ns
            for c in self.chunks
        )
        # Chunks that overlap would let a small file be read again and again.
        ends = sorted((c.offset, c.offset + c.length) for c in self.chunks)
        good = good and all(end <= after for (_, end), (after, _) in pairwise(ends))
        if statistics is None or not good or statistics.chunks != len(self.chunks) or not self.channels:
            if statistics is not None and (not good or statistics.chunks != len(self.chunks)):
                self.say("the summary contradicts the file")
            self._forget()
            return False
        if statistics.messages and not self.chunks:
            self._forget()
            return False
        self.counts = Counter(statistics.counts)
        return True

    def _forget(self) -> None:
        self.schemas.clear()
        self.channels.clear()
        self.chunks.clear()

    def _scan(self) -> None:
        """Walk over all records and unpack every chunk to index it."""
        at = 8
        while at < self._size:
            if self._size - at < rec.HEAD.size:
                return self._cut(at)
            opcode, length = rec.HEAD.unpack(self._read(at, rec.HEAD.size))
            if opcode in (rec.DATA_END, rec.FOOTER):
                return None
            if 0 < opcode <= rec.DATA_END and length <= self._size - at - rec.HEAD.size:
                self._scan_record(opcode, at, length)
                at += rec.HEAD.size + length
                continue
            following = self._next_chunk(at + 1)
            if following is None:
                if opcode == rec.CHUNK:
                    self._scan_chunk(at, self._size - at)
                return self._cut(at)
            self.say(f"bytes {at} to {following} are damaged and left out")
            at = following
        return None

    def _scan_record(self, opcode: int, at: int, length: int) -> None:
        limits, inner = self.limits, at + rec.HEAD.size
        if opcode == rec.CHUNK:
            self._scan_chunk(at, rec.HEAD.size + length)
        elif opcode == rec.MESSAGE:
            try:
                if length > limits.message_bytes or len(self.loose) >= limits.loose:
                    raise RecordError(f"{length} bytes, message {len(self.loose) + 1} of the file")
                channel, log_ns, _ = rec.message_of(memoryview(self._read(inner, min(length, 22))))
                self.loose.append((log_ns, inner, length, channel))
                self.counts[channel] += 1
            except RecordError as error:
                self.say(f"a message at byte {at} is left out ({error})")
        elif opcode in (rec.SCHEMA, rec.CHANNEL):
            if length > limits.definition_bytes + 4096:
                self.say(f"a definition of {length} bytes at byte {at} is left out")
                return
            try:
                self._declare(opcode, memoryview(self._read(inner, length)))
            except RecordError as error:
                self.say(f"a damaged record at byte {at} is left out ({error})")

    def _scan_chunk(self, at: int, length: int) -> None:
        data = self._unpack(at, length)
        if data is None or len(self.chunks) >= self.limits.chunks:
            return
        channels: Counter[int] = Counter()
        first, last = 2**64, -1
        try:
            for opcode, record in rec.records_in(data):
                if opcode == rec.MESSAGE:
                    channel, log_ns, _ = rec.message_of(record)
                    channels[channel] += 1
                    first, last = min(first, log_ns), max(last, log_ns)
                else:
                    self._declare(opcode, record)
        except RecordError as error:
            self.say(f"the chunk at byte {at} is damaged ({error}): what came before is used")
        if channels:
            self.counts += channels
            self.chunks.append(ChunkPlace(at, length, first, last, len(data), frozenset(channels)))

    def _declare(self, opcode: int, record: memoryview) -> None:
        if opcode == rec.SCHEMA and len(self.schemas) < self.limits.topics:
            schema = rec.schema_of(record)
            self.schemas.setdefault(schema.number, schema)
        elif opcode == rec.CHANNEL and len(self.channels) < self.limits.topics:
            channel = rec.channel_of(record)
            self.channels.setdefault(channel.number, channel)

    def _cut(self, at: int) -> None:
        self.say(f"cut off at byte {at} of {self._size}: what came before is used")

    def _next_chunk(self, at: int) -> int | None:
        """Offset of the next record that can only be a chunk."""
        while at < self._size:
            window = self._read(at, min(_WINDOW + _HEAD_SIZE, self._size - at))
            for found in _CHUNK_PATTERN.finditer(window):
                if found.start() < _WINDOW and self._plausible(at + found.start()):
                    return at + found.start()
            at += _WINDOW
        return None

    def _plausible(self, at: int) -> bool:
        head = self._read(at, min(_HEAD_SIZE + 16, self._size - at))
        try:
            _, length = rec.HEAD.unpack_from(head)
            chunk = rec.chunk_head_of(head[rec.HEAD.size :])
        except (RecordError, struct.error):
            return False
        fits = length == chunk.body + chunk.compressed and chunk.start_ns <= chunk.end_ns
        return fits and at + rec.HEAD.size + length <= self._size

    # --- the messages ---------------------------------------------------------------------------------------------

    def streams(self, topics: Collection[str] | None) -> list[Stream]:
        """Streams that have to be read for these topics (all if None)."""
        wanted = {n for n, c in self.channels.items() if topics is None or c.topic in topics}
        chunks = [c for c in self.chunks if c.channels is None or c.channels & wanted]
        out = [Stream(c.start_ns, c.size, lambda c=c: self._chunk(c, wanted)) for c in chunks]  # type: ignore[misc]
        loose = sorted((i for i in self.loose if i[3] in wanted), key=lambda i: i[:2])
        if loose:
            out.append(Stream(loose[0][0], 0, lambda: self._loose(loose)))
        return out

    def _chunk(self, place: ChunkPlace, wanted: set[int]) -> Iterator[tuple[str, str, Record]]:
        data = self._unpack(place.offset, place.length)
        found: list[tuple[int, int, int, memoryview]] = []
        try:
            for opcode, record in rec.records_in(data or b""):
                if opcode == rec.MESSAGE:
                    channel, log_ns, raw = rec.message_of(record)
                    if channel in wanted and len(raw) <= self.limits.message_bytes:
                        found.append((log_ns, len(found), channel, raw))
        except RecordError as error:
            self.say(f"the chunk at byte {place.offset} is damaged ({error}): what came before is used")
        found.sort(key=lambda item: item[:2])
        for log_ns, _, channel, raw in found:
            yield self._named_record(Record(log_ns, channel, raw))

    def _loose(self, items: list[tuple[int, int, int, int]]) -> Iterator[tuple[str, str, Record]]:
        for log_ns, offset, length, channel in items:
            raw = self._read(offset + 22, length - 22)
            yield self._named_record(Record(log_ns, channel, raw))

    def _named_record(self, record: Record) -> tuple[str, str, Record]:
        channel = self.channels[record.channel]
        schema = self.schemas.get(channel.schema)
        return channel.topic, "" if schema is None else schema.name, record

    def _unpack(self, at: int, length: int) -> bytes | None:
        """The content of the chunk record at `at`; None, with a note in `damage`, if it is damaged."""
        if length > self.limits.chunk_bytes + 4096:
            self.say(
                f"a chunk of {length} bytes at byte {at} is left out: the limit is {self.limits.chunk_bytes}"
            )
            return None
        record = self._read(at, length)
        if len(record) < rec.HEAD.size or record[0] != rec.CHUNK:
            self.say(f"no chunk at byte {at}, where the summary promises one")
            return None
        try:
            body = memoryview(record)[rec.HEAD.size :]
            head = rec.chunk_head_of(body)
            if head.size > self.limits.chunk_bytes:
                raise TooLarge(f"{head.size} bytes uncompressed, the limit is {self.limits.chunk_bytes}")
            stored = body[head.body : head.body + head.compressed]
            partial = len(stored) < head.compressed
            data = inflate(stored, head.compression, head.size, partial=partial)
        except ValueError as error:
            self.say(f"the chunk at byte {at} is damaged and left out ({error})")
            return None
        if partial:
            return data
        if len(data) != head.size:
            self.say(f"the chunk at byte {at} is left out: {len(data)} bytes instead of {head.size}")
            return None
        if head.crc and zlib.crc32(data) != head.crc:
            self.say(f"the chunk at byte {at} is left out: its checksum is wrong")
            return None
        return data

    def _read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)
