"""Boxes as a side message beside the features, with which peers match objects and compensate their motion
(docs/wire_format.md).

Little-endian, unpadded: magic b"RSBX", version u8, reserved u8 = 0, count u16, origin x and y i32 (m), CRC-32 u32 of
everything with that field zero; then per box 16 bytes: class u8, score u8 (1/255), x, y i16 (cm from the origin), z i16
(cm), length, width, height u8 (dm), heading u8 (2π/256), velocity x, y i16 (cm/s).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.wire.errors import (
    BadMagic,
    ChecksumMismatch,
    InvalidFrame,
    OverLimit,
    ReservedBits,
    TrailingBytes,
    Truncated,
    UnsupportedVersion,
)

MAGIC = b"RSBX"
VERSION = 1
MAX_BOXES = 255
MAX_ORIGIN_M = 1_000_000
"""Origins lie within 1000 km of the map's origin."""

_HEADER = struct.Struct("<4sBBHiiI")
_CRC_OFFSET = 16
_BOX = np.dtype(
    [
        ("class", "u1"),
        ("score", "u1"),
        ("xyz", "<i2", (3,)),
        ("size", "u1", (3,)),
        ("heading", "u1"),
        ("velocity", "<i2", (2,)),
    ]
)
BOX_BYTES = _BOX.itemsize
SIDE_SCORE = 0.3
"""Boxes below this score are not sent beside features."""
BOXES_SHARE = 0.25
"""Largest share of an image's bytes that boxes may take."""


@dataclass(frozen=True)
class SideBoxes(Detections):
    """Detections as the side message carries them."""

    @classmethod
    def of(cls, found: Detections) -> SideBoxes:
        """Detections of any kind."""
        return cls(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities)


def side_boxes(found: Detections) -> SideBoxes:
    """Detections of at least SIDE_SCORE, which is what the side message carries."""
    return SideBoxes.of(found.select(np.asarray(found.scores) >= SIDE_SCORE))


def carries_boxes(payload: bytes | memoryview) -> bool:
    """Whether a payload claims to be boxes, not features."""
    return bytes(payload[: len(MAGIC)]) == MAGIC


def boxes_within(budget_bytes: int) -> int:
    """Number of boxes that may be sent within an image's byte budget: they take at most BOXES_SHARE of it."""
    return max(1, min(MAX_BOXES, int(budget_bytes * BOXES_SHARE) // BOX_BYTES))


def boxes_in(payload_bytes: int) -> int:
    """Number of boxes that fit into a payload of so many bytes."""
    return max(0, min(MAX_BOXES, (payload_bytes - _HEADER.size) // BOX_BYTES))


def encode_boxes(boxes: Detections, most: int = MAX_BOXES) -> bytes:
    """The message of the best `most` boxes, best first; values beyond the format are clipped; boxes farther than 327 m
    from the first one are left out. Raises: InvalidFrame for values that are not finite or out of range."""
    numbers = (boxes.scores, boxes.centres, boxes.sizes, boxes.yaws, boxes.velocities)
    if not all(np.isfinite(v).all() for v in numbers):
        raise InvalidFrame("boxes", "finite numbers", "others")
    order = np.argsort(-boxes.scores, kind="stable")[: min(most, MAX_BOXES)]
    origin = np.round(boxes.centres[order[0], :2]) if len(order) else np.zeros(2)
    if np.abs(origin).max() > MAX_ORIGIN_M:
        raise InvalidFrame("centres", f"within {MAX_ORIGIN_M} m of the origin", origin.tolist())
    offset = boxes.centres - [*origin, 0.0]
    order = order[(np.abs(offset[order, :2]) <= 327.0).all(axis=1)]
    rows = np.zeros(len(order), _BOX)
    rows["class"] = boxes.classes[order].clip(0, 255)
    rows["score"] = np.round(boxes.scores[order].clip(0, 1) * 255)
    rows["xyz"] = np.round(offset[order].clip(-327, 327) * 100)
    rows["size"] = np.round(boxes.sizes[order] * 10).clip(1, 255)
    rows["heading"] = np.round(boxes.yaws[order] * 128 / np.pi).astype(np.int64) & 255
    rows["velocity"] = np.round(boxes.velocities[order].clip(-327, 327) * 100)
    head = _HEADER.pack(MAGIC, VERSION, 0, len(rows), int(origin[0]), int(origin[1]), 0)
    data = bytearray(head + rows.tobytes())
    struct.pack_into("<I", data, _CRC_OFFSET, zlib.crc32(data))
    return bytes(data)


def decode_boxes(data: bytes) -> SideBoxes:
    """The boxes of a message. Raises: WireError for whatever is not exactly such a message."""
    if len(data) < _HEADER.size:
        raise Truncated("header", _HEADER.size, len(data))
    magic, version, reserved, count, x, y, crc = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadMagic(magic, MAGIC)
    if version != VERSION:
        raise UnsupportedVersion(VERSION, version)
    if reserved:
        raise ReservedBits("reserved", reserved)
    if count > MAX_BOXES:
        raise OverLimit("boxes", MAX_BOXES, count)
    if max(abs(x), abs(y)) > MAX_ORIGIN_M:
        raise OverLimit("origin", MAX_ORIGIN_M, max(abs(x), abs(y)))
    size = _HEADER.size + count * BOX_BYTES
    if len(data) < size:
        raise Truncated("boxes", size, len(data))
    if len(data) > size:
        raise TrailingBytes(size, len(data))
    blank = data[:_CRC_OFFSET] + bytes(4) + data[_CRC_OFFSET + 4 :]
    if zlib.crc32(blank) != crc:
        raise ChecksumMismatch(crc, zlib.crc32(blank))
    rows = np.frombuffer(data, _BOX, offset=_HEADER.size)
    if count and not rows["size"].all():
        raise InvalidFrame("sizes", "positive lengths", 0)
    turn = rows["heading"].astype(np.float64) * (np.pi / 128)
    return SideBoxes(
        classes=rows["class"].astype(np.int64),
        scores=rows["score"] / 255.0,
        centres=rows["xyz"] / 100.0 + np.array([x, y, 0.0]),
        sizes=rows["size"] / 10.0,
        yaws=(turn + np.pi) % (2 * np.pi) - np.pi,
        velocities=rows["velocity"] / 100.0,
    )
