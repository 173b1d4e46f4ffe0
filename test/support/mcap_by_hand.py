"""MCAP files written record by record, for content that no writer produces."""

from __future__ import annotations

import struct
from pathlib import Path

from rsdfm_ros.data.bags import records as rec
from rsdfm_ros.data.bags.bag import USUAL, Bag
from rsdfm_ros.data.bags.files import find_files


def record(opcode: int, content: bytes) -> bytes:
    return rec.HEAD.pack(opcode, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def header_record() -> bytes:
    return record(rec.HEADER, text("ros2") + text("test"))


def channel_records(kind: str = "geometry_msgs/msg/Point", definition: str = "") -> bytes:
    schema = struct.pack("<H", 1) + text(kind) + text("ros2msg") + text(definition)
    channel = struct.pack("<HH", 0, 1) + text("/topic") + text("cdr") + struct.pack("<I", 0)
    return record(rec.SCHEMA, schema) + record(rec.CHANNEL, channel)


def message_record(channel: int, log_ns: int, raw: bytes) -> bytes:
    return record(rec.MESSAGE, struct.pack("<HIQQ", channel, 0, log_ns, log_ns) + raw)


def chunk_record(messages: list[bytes], crc: int = 0) -> bytes:
    data = b"".join(messages)
    head = struct.pack("<QQQI", 0, 2**62, len(data), crc) + text("") + struct.pack("<Q", len(data))
    return record(rec.CHUNK, head + data)


def open_bag_anyway(path: Path) -> Bag:
    """A bag of which nothing can be read, without the refusal."""
    return Bag(path, find_files(path), USUAL)
