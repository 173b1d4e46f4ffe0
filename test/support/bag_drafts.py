"""Bags as they are before they are files: topics with definitions, messages, and files in both formats written by hand,
with whatever a writer would never put into them."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import lz4.frame
import zstandard

from rsdfm_ros.data.bags import records as rec
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.types import typestore
from support.mcap_by_hand import header_record, record, text

CHUNK_MESSAGES = 9


@dataclass(frozen=True)
class Topic:
    """definition: in the encoding `form`, ros2msg or ros2idl · serialisation: `cdr` of real bags."""

    name: str
    kind: str
    definition: str = ""
    form: str = "ros2msg"
    serialisation: str = "cdr"


@dataclass(frozen=True)
class Message:
    """topic: index of its topic."""

    topic: int
    log_ns: int
    raw: bytes


@dataclass(frozen=True)
class Lies:
    """What an MCAP file says of itself beside the truth: added to the field of that name, or put instead of it."""

    chunk_size: int = 0
    chunk_compressed: int = 0
    chunk_crc: int = 0
    chunk_offset: int = 0
    chunk_repeated: int = 0
    statistics_messages: int = 0
    summary_start: int = 0
    record_length: int = 0


@dataclass(frozen=True)
class Draft:
    """A bag that is not written yet. compression: of MCAP chunks · summary: at the end of the MCAP file."""

    topics: tuple[Topic, ...]
    messages: tuple[Message, ...]
    compression: str = ""
    summary: bool = True
    lies: Lies = field(default_factory=Lies)


def draft_of(folder: Path) -> Draft:
    """The draft of an existing bag of known types."""
    with open_bag(folder) as bag:
        names = list(bag.topics)
        topics = tuple(
            Topic(n, t.type_name, typestore().generate_msgdef(t.type_name, ros_version=2)[0])
            for n, t in bag.topics.items()
        )
        messages = tuple(Message(names.index(m.topic), m.log_ns, m.raw) for m in bag.messages())
    return Draft(topics, messages)


def mcap_of(draft: Draft) -> bytes:
    """The file in MCAP: one chunk per few messages, then the summary."""
    lies = draft.lies
    data = rec.MAGIC + header_record()
    declared = b"".join(_channel(number, topic) for number, topic in enumerate(draft.topics))
    places: list[tuple[int, int, int, int, int]] = []
    for first in range(0, len(draft.messages), CHUNK_MESSAGES):
        chosen = draft.messages[first : first + CHUNK_MESSAGES]
        body = (declared if first == 0 else b"") + b"".join(map(_message, chosen))
        packed = _packed(body, draft.compression)
        times = [m.log_ns % 2**64 for m in chosen]
        size, compressed = (
            (len(body) + lies.chunk_size) % 2**64,
            (len(packed) + lies.chunk_compressed) % 2**64,
        )
        crc = (zlib.crc32(body) + lies.chunk_crc) % 2**32
        head = struct.pack("<QQQI", min(times), max(times), size, crc)
        chunk = record(rec.CHUNK, head + text(draft.compression) + struct.pack("<Q", compressed) + packed)
        if lies.record_length:
            length = (int.from_bytes(chunk[1:9], "little") + lies.record_length) % 2**64
            chunk = chunk[:1] + length.to_bytes(8, "little") + chunk[9:]
        place = (min(times), max(times), len(data) + lies.chunk_offset, len(chunk), size)
        places += [place] * (1 + lies.chunk_repeated)
        data += chunk
    data += record(rec.DATA_END, bytes(4))
    start = (len(data) + lies.summary_start) % 2**64 if draft.summary else 0
    if draft.summary:
        data += declared + b"".join(_chunk_index(*place, draft.compression) for place in places)
        number = (len(draft.messages) + lies.statistics_messages) % 2**64
        counts = b"".join(
            struct.pack("<HQ", n, sum(m.topic == n for m in draft.messages)) for n in range(len(draft.topics))
        )
        statistics = struct.pack("<QHIIIIQQ", number, 0, len(draft.topics), 0, 0, len(places), 0, 0)
        data += record(rec.STATISTICS, statistics + struct.pack("<I", len(counts)) + counts)
    return data + record(rec.FOOTER, struct.pack("<QQI", start, 0, 0)) + rec.MAGIC


def _channel(number: int, topic: Topic) -> bytes:
    schema = struct.pack("<H", number + 1) + text(topic.kind) + text(topic.form) + text(topic.definition)
    channel = struct.pack("<HH", number, number + 1) + text(topic.name) + text(topic.serialisation)
    return record(rec.SCHEMA, schema) + record(rec.CHANNEL, channel + struct.pack("<I", 0))


def _message(message: Message) -> bytes:
    log_ns = message.log_ns % 2**64
    return record(rec.MESSAGE, struct.pack("<HIQQ", message.topic, 0, log_ns, log_ns) + message.raw)


def _packed(body: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    return bytes(lz4.frame.compress(body)) if compression == "lz4" else body


def _chunk_index(start_ns: int, end_ns: int, offset: int, length: int, size: int, compression: str) -> bytes:
    content = struct.pack("<QQQQ", start_ns, end_ns, offset % 2**64, length) + struct.pack("<IQ", 0, 0)
    return record(rec.CHUNK_INDEX, content + text(compression) + struct.pack("<QQ", size, size))


def sqlite_of(draft: Draft, path: Path, odd: Sequence[tuple[str, object]] = ()) -> bytes:
    """The file as a database of rosbag2. path: where it may be made · odd: columns of `messages` and values that some
    rows have instead."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB);"
        "CREATE TABLE message_definitions(topic_type TEXT, encoding TEXT, encoded_message_definition TEXT);"
        "CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
    )
    for number, topic in enumerate(draft.topics, 1):
        name, definition = _text(topic.name), _text(topic.definition)
        database.execute(
            "INSERT INTO topics VALUES(?, ?, ?, ?)", (number, name, topic.kind, topic.serialisation)
        )
        database.execute(
            "INSERT INTO message_definitions VALUES(?, ?, ?)", (topic.kind, topic.form, definition)
        )
    for m in draft.messages:
        log_ns = (m.log_ns + 2**63) % 2**64 - 2**63
        database.execute(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)", (m.topic + 1, log_ns, m.raw)
        )
    for number, (column, value) in enumerate(odd):
        database.execute(f"UPDATE messages SET {column} = ? WHERE id % 3 = ?", (value, number % 3))
    database.commit()
    database.close()
    return path.read_bytes()


def _text(value: str) -> str:
    """Without what SQLite cannot bind."""
    return value.encode("utf-8", "replace").decode()


def with_message(draft: Draft, number: int, message: Message) -> Draft:
    """The draft with another message in that place."""
    messages = list(draft.messages)
    messages[number] = message
    return replace(draft, messages=tuple(messages))


def with_topic(draft: Draft, number: int, topic: Topic) -> Draft:
    """The draft with another topic in that place."""
    topics = list(draft.topics)
    topics[number] = topic
    return replace(draft, topics=tuple(topics))
