"""Damage to bags: in messages and their types, in the records and tables around them, and in bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from rsdfm_ros.data.bags.types import typestore
from support.bag_drafts import Draft, Lies, Topic, with_message, with_topic

Mutation = Callable[[np.random.Generator, Draft], Draft]

SIZES = (0, 1, 7, 2**16, 2**24, 2**27, 2**27 + 1, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0, 1, -1, 255, 2**16, 2**31 - 1, -(2**31), 2**32 - 1, 2**62)
REALS = (0.0, -1.0, 1e-300, 1e38, 1e300, float("nan"), float("inf"), float("-inf"))
TEXTS = ("", "odom", "x" * 70_000, "a\0b", "é" * 300, "[/b]", "../../etc", "uav2")
NAMES = (
    "",
    "/",
    "[/red]",
    "/uav1/[bold]",
    "//",
    "/uav9/pose",
    "no_slash",
    "/a" * 3000,
    "/\x1b[2J",
    "/uav1/camera/image_raw",
)
DEFINITIONS = (
    "float64 x", "", "garbage !!", "Other x", "geometry_msgs/Point[90000000] x", "string[90000000] x",
    "float64[2000000000] x", "std_msgs/Header header", "std_msgs/Header header\nuint8[] data",
    "string header", "float64 import", "x" * 3000, "=" * 80 + "\nIDL: a/msg/B\n" + "module x {", "\n" * 5000,
    "std_msgs/Header header\nstring height\nfloat64 width\nfloat64[] encoding\nuint8 step\nstring[] data",
)  # fmt: skip
LOG_NS = (0, 1, -1, 2**31 * 10**9 - 1, 2**31 * 10**9, 2**62, 2**63 - 1, 2**64 - 1, -(2**62))
ODD = (
    ("data", "text"), ("data", None), ("data", 7), ("data", b""), ("timestamp", "late"), ("timestamp", None),
    ("timestamp", 0.5), ("timestamp", -(2**62)), ("topic_id", 99), ("topic_id", None), ("topic_id", "1"),
)  # fmt: skip


def any_message(rng: np.random.Generator, draft: Draft) -> int:
    """Number of a message; rare topics are as likely as others."""
    topic = rng.integers(len(draft.topics))
    found = [n for n, m in enumerate(draft.messages) if m.topic == topic] or range(len(draft.messages))
    return int(rng.choice(list(found)))


def other_field(rng: np.random.Generator, draft: Draft) -> Draft:
    """A field of a message with a value that no sensor tells, serialised as it should be."""
    number = any_message(rng, draft)
    message, kind = draft.messages[number], draft.topics[draft.messages[number].topic].kind
    try:
        content: Any = typestore().deserialize_cdr(message.raw, kind)
        _set_somewhere(rng, content)
        raw = bytes(typestore().serialize_cdr(content, kind))
    except (
        Exception
    ):  # an earlier mutation was here, or the value does not fit: something else is damaged then
        return other_bytes(rng, draft)
    return with_message(draft, number, dataclasses.replace(message, raw=raw))


def _set_somewhere(rng: np.random.Generator, content: Any) -> None:
    """Another value for one field of a message, or of one inside of it."""
    fields = [f.name for f in dataclasses.fields(content) if f.name != "__msgtype__"]
    name = fields[rng.integers(len(fields))]
    value = getattr(content, name)
    if dataclasses.is_dataclass(value):
        _set_somewhere(rng, value)
    elif isinstance(value, np.ndarray):
        setattr(content, name, _other_array(rng, value))
    elif isinstance(value, list):
        if value and dataclasses.is_dataclass(value[0]) and rng.random() < 0.6:
            _set_somewhere(rng, value[rng.integers(len(value))])
        else:
            setattr(content, name, value * int(rng.choice([0, 2, 90])))
    elif isinstance(value, str):
        object.__setattr__(content, name, TEXTS[rng.integers(len(TEXTS))])
    elif isinstance(value, float):
        object.__setattr__(content, name, REALS[rng.integers(len(REALS))])
    else:
        object.__setattr__(content, name, type(value)(NUMBERS[rng.integers(len(NUMBERS))]))


def _other_array(rng: np.random.Generator, value: np.ndarray) -> np.ndarray:
    """Other values, or another length (which arrays of a fixed length do not take)."""
    if rng.random() < 0.3 or not value.size:
        return np.resize(value if value.size else np.zeros(1, value.dtype), int(rng.choice([0, 1, 5, 5000])))
    value = value.copy()
    chosen = rng.random(value.shape) < rng.choice([0.1, 1.0])
    with np.errstate(all="ignore"):
        value[chosen] = (
            np.array(rng.choice(REALS)) if value.dtype.kind == "f" else np.array(rng.integers(256))
        ).astype(value.dtype)
    return value


def other_bytes(rng: np.random.Generator, draft: Draft) -> Draft:
    """A serialised message that is cut, flipped, of another endianness, with a giant length, or another's."""
    number = any_message(rng, draft)
    message = draft.messages[number]
    raw = bytearray(message.raw)
    way = rng.integers(6)
    if way == 0:
        del raw[rng.integers(len(raw) + 1) :]
    elif way == 1 and len(raw) > 8:
        at = 4 * int(rng.integers(1, min(len(raw) // 4, 80)))
        raw[at : at + 4] = int(SIZES[rng.integers(len(SIZES))]).to_bytes(4, "little")
    elif way == 2 and raw:
        for at in rng.integers(0, min(len(raw), 400), 4):
            raw[at] = rng.integers(256)
    elif way == 3 and len(raw) > 1:
        raw[1] ^= 1
    elif way == 4:
        raw = bytearray(draft.messages[any_message(rng, draft)].raw)
    else:
        raw += bytes(rng.integers(0, 256, int(rng.choice([1, 3, 4000])), dtype=np.uint8))
    return with_message(draft, number, dataclasses.replace(message, raw=bytes(raw)))


def other_time(rng: np.random.Generator, draft: Draft) -> Draft:
    """A message recorded at a time that no clock shows, or in another order."""
    number = any_message(rng, draft)
    log_ns = int(LOG_NS[rng.integers(len(LOG_NS))])
    return with_message(draft, number, dataclasses.replace(draft.messages[number], log_ns=log_ns))


def other_topic(rng: np.random.Generator, draft: Draft) -> Draft:
    """A topic with another name, type, definition or serialisation."""
    number, other = rng.integers(0, len(draft.topics), 2)
    topic = draft.topics[number]
    way = rng.integers(6)
    if way == 0:
        topic = dataclasses.replace(topic, name=str(rng.choice(NAMES)))
    elif way == 1:
        topic = dataclasses.replace(topic, kind=draft.topics[other].kind)
    elif way == 2:
        topic = dataclasses.replace(topic, definition=_without_a_line(rng, topic))
    elif way == 3:
        topic = dataclasses.replace(topic, definition=DEFINITIONS[rng.integers(len(DEFINITIONS))])
    elif way == 4:
        topic = dataclasses.replace(topic, form=str(rng.choice(["ros2idl", "", "protobuf"])))
    else:
        topic = dataclasses.replace(topic, serialisation=str(rng.choice(["", "json", "x" * 5000])))
    return with_topic(draft, int(number), topic)


def _without_a_line(rng: np.random.Generator, topic: Topic) -> str:
    """A definition that lacks a field, has one twice, or with another type."""
    lines = topic.definition.splitlines() or [""]
    at = int(rng.integers(len(lines)))
    kinds = ["string", "float64", "uint8[]", "int32[3]", "std_msgs/Header"]
    name = lines[at].split()[-1] if lines[at].split() else "x"
    instead = [[], [lines[at]] * 2, [f"{rng.choice(kinds)} {name}"]][rng.integers(3)]
    return "\n".join([*lines[:at], *instead, *lines[at + 1 :]])


def repeated(rng: np.random.Generator, draft: Draft) -> Draft:
    """Messages or topics several times, in any order."""
    if rng.random() < 0.5:
        return dataclasses.replace(draft, messages=draft.messages * 2)
    order = rng.permutation(len(draft.messages))
    return dataclasses.replace(draft, messages=tuple(draft.messages[k] for k in order))


def lies(rng: np.random.Generator, draft: Draft) -> Draft:
    """A field of a chunk, an index or the summary that is not true."""
    names = [f.name for f in dataclasses.fields(Lies)]
    name = names[rng.integers(len(names))]
    value = int(rng.choice([1, -1, 9, -9, 2**20, 2**28, 2**32, 2**62]))
    value = abs(value) % 2000 if name == "chunk_repeated" else value
    return dataclasses.replace(draft, lies=dataclasses.replace(draft.lies, **{name: value}))


MUTATIONS: tuple[Mutation, ...] = (
    other_field, other_field, other_field, other_bytes, other_bytes, other_time, other_topic, other_topic, repeated,
    lies,
)  # fmt: skip


def damaged_file(rng: np.random.Generator, data: bytes) -> bytes:
    """The bytes of a file: cut off, flipped, with a piece left out, put in or from elsewhere, or as they are."""
    way = rng.integers(10)
    raw = bytearray(data)
    if way == 0:
        del raw[rng.integers(len(raw)) :]
    elif way == 1:
        for at in rng.integers(0, len(raw), int(rng.integers(1, 30))):
            raw[at] = rng.integers(256)
    elif way == 2:
        for at in rng.integers(0, min(len(raw), 4096), int(rng.integers(1, 6))):
            raw[at] = rng.integers(256)
    elif way == 3:
        at, size = rng.integers(len(raw)), int(rng.integers(1, 300))
        del raw[at : at + size]
    elif way == 4:
        at, start = rng.integers(0, len(raw), 2)
        raw[at:at] = raw[start : start + int(rng.integers(1, 5000))]
    return bytes(raw)
