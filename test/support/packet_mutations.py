"""Mutations of packets that know their structure: fields are changed one by one, sizes and checksums are made to fit,
so that what is wrong is found by the check of just that field, or by none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import zstandard

from rsdfm_ros.wire.boxes import BOX_BYTES
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.gap_table import GAP_BYTES
from support.packet_parts import Parts, sealed

_BOXES_CRC, _BOXES_HEADER = 16, 20
_BOUNDS = {
    "B": (0, 1, 2, 4, 16, 63, 64, 65, 128, 255),
    "H": (0, 1, 2, 3, 255, 256, 1023, 1024, 1025, 32_767, 65_535),
    "I": (0, 1, 255, 256, 4096, 65_535, 65_536, 2**31 - 1, 2**32 - 1),
    "Q": (0, 1, 2**63, 2**64 - 1),
}
_FIELDS = dict(enumerate("4sBBBBQIHBBIHH".replace("4s", "")))
"""Format of the fields behind the magic."""
_HALVES = np.array([0, 6e-8, 6.1e-5, 1, 31.9, 32, 32.1, 65_504, np.inf, -np.inf, np.nan, -1.0], "<f2")
_STEPS = np.array([0, 1, -1, 2, 255, -256, 8191, 8192, 8193, 32_767, -32_768], "<i2")


def _sealed(packet: bytes) -> bytes:
    """A packet, or a message of boxes, with the checksum that its bytes have."""
    if packet[:4] == b"RSBX" and len(packet) >= _BOXES_HEADER:
        blank = packet[:_BOXES_CRC] + bytes(4) + packet[_BOXES_HEADER:]
        return packet[:_BOXES_CRC] + struct.pack("<I", zlib.crc32(blank)) + packet[_BOXES_HEADER:]
    return sealed(packet)


Rng = np.random.Generator
Mutation = Callable[[Rng, bytes, bytes], bytes]


def header_field(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """One field of the header is at a bound, or anything; the body stays."""
    taken = Parts(packet)
    at = int(rng.choice([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]))
    kind = _FIELDS[at]
    near = int(taken.fields[at]) + int(rng.integers(-2, 3))
    value = int(rng.choice(np.array([*_BOUNDS[kind], max(near, 0)], np.uint64)))
    taken.fields[at] = value % (1 << 8 * struct.calcsize("<" + kind))
    return taken.put(sizes=at < 10)


def counts_that_fit(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Counts of the header are anything, and the body is as long as they say."""
    taken = Parts(packet)
    tiles, low, high, cells = (
        int(rng.choice(v)) for v in ([1, 2, 64, 1024], [1, 4], [1, 4], [0, 9, 3000, 65_535])
    )
    has_low = taken.fields[2] & 1
    taken.fields[6:10] = tiles, low, high, cells
    symbols = [(1, cells), (low * has_low, 4 * tiles), (high, cells)]
    tables = GAP_BYTES * (cells > 0) + sum(2 + 2 * c for c, n in symbols[1:] if c * n)
    taken.plain = _repeated(taken.plain, 2 * (high + low * has_low) + tables)
    taken.body = _repeated(taken.body, 38 * tiles)
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(taken.body))
    if rng.random() < 0.5:
        lanes = -(-sum(c * n for c, n in symbols) // 384)
        states = np.tile(np.array([1, 0], "<u2"), (lanes, 1))
        carried = frame[: 2 * lanes].ljust(2 * lanes, b"\0")
        if rng.random() < 0.5:  # right if no symbol changes a state
            states[:, 1] = np.frombuffer(carried, "<u2")
        taken.words = bytearray(states.tobytes())
    return taken.put(frame)


def _repeated(data: bytes | bytearray, size: int) -> bytearray:
    """Data again and again, up to a size."""
    return bytearray((bytes(data) * (size // max(1, len(data)) + 1))[:size])


def tile_keys(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Steps between tiles."""
    taken = Parts(packet)
    for number in rng.integers(0, 2 * taken.tiles, rng.integers(1, 4)):
        axis, tile = divmod(int(number), taken.tiles)
        first = 2 * taken.tiles * axis + tile
        taken.body[first], taken.body[first + taken.tiles] = rng.choice(_STEPS).tobytes()
    return taken.put()


def tile_counts(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Numbers of cells per tile, often with the same sum."""
    taken = Parts(packet)
    first = 4 * taken.tiles
    planes = np.frombuffer(bytes(taken.body[first : first + 2 * taken.tiles]), np.uint8).reshape(2, -1)
    counts = planes[0] + 256 * planes[1].astype(np.int64)
    a, b = rng.integers(0, len(counts), 2)
    moved = int(rng.integers(0, 300))
    counts[a] += moved
    counts[b] -= moved if rng.random() < 0.8 else 0
    planes = np.stack([counts % 256, counts // 256 % 256]).astype(np.uint8)
    taken.body[first : first + planes.size] = planes.tobytes()
    return taken.put()


def scales(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Scales, or values of a dense packet, at the bounds of half precision and of the limits."""
    taken = Parts(packet)
    halves, first = (taken.plain, 0) if taken.plain else (taken.body, 36 * taken.tiles)
    for channel in rng.integers(0, taken.fields[8], rng.integers(1, 3)):
        at = first + 2 * int(channel)
        halves[at : at + 2] = rng.choice(_HALVES).tobytes()
    return taken.put()


def tables(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Ranges and parameters of the frequency tables, which stand behind the scales."""
    taken = Parts(packet)
    first = max(0, min(2 * taken.fields[8], len(taken.plain) - 1))
    for at in rng.integers(first, len(taken.plain), rng.integers(1, 4)) if taken.plain else ():
        taken.plain[at] = int(rng.choice([0, 1, 2, 63, 64, 127, 128, 255, rng.integers(256)]))
    return taken.put()


def body_bytes(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Any bytes of the body."""
    taken = Parts(packet)
    for at in rng.integers(0, len(taken.body), rng.integers(1, 6)):
        taken.body[at] = int(rng.integers(256))
    return taken.put()


def words(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """States and words of the entropy coder: changed, dropped, added, or those of another packet."""
    taken = Parts(packet)
    taken.words = taken.coded_words(taken.frame)
    way = rng.integers(4)
    if way == 0 and taken.words:
        for at in rng.integers(0, len(taken.words), rng.integers(1, 4)):
            taken.words[at] = int(rng.integers(256))
    elif way == 1:
        del taken.words[len(taken.words) - 2 * int(rng.integers(1, 4)) :]
    elif way == 2:
        taken.words += rng.bytes(2 * int(rng.integers(1, 40)))
    else:
        strange = Parts(other)
        taken.words = strange.coded_words(strange.frame)
    return taken.put(taken.frame)


def zstd_frame(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """A body that is no single frame of the announced size: longer, shorter, two frames, without a size, a bomb."""
    taken = Parts(packet)
    content, one = bytes(taken.body), zstandard.ZstdCompressor(level=1)
    way = rng.integers(6)
    if way == 0:
        body = one.compress(content + bytes(int(rng.integers(1, 100))))
    elif way == 1:
        body = one.compress(content[: -int(rng.integers(1, 20))])
    elif way == 2:
        half = len(content) // 2
        body = one.compress(content[:half]) + one.compress(content[half:])
    elif way == 3:
        body = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(content)
    elif way == 4:
        body = one.compress(bytes(1 << 24))
    else:
        damaged = bytearray(one.compress(content))
        damaged[int(rng.integers(len(damaged)))] ^= int(rng.integers(1, 256))
        body = bytes(damaged)
    return taken.put(body)


def splice(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """The start of one packet and the end of another, with a checksum that fits."""
    return _sealed(packet[: rng.integers(len(packet) + 1)] + other[rng.integers(len(other) + 1) :])


def boxes_field(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """Fields of a message of boxes: counts and origins at their bounds, any bytes of the boxes, boxes more or less."""
    data = bytearray(packet)
    way = rng.integers(4)
    if way == 0:
        struct.pack_into("<H", data, 6, int(rng.choice([0, 1, 254, 255, 256, 65_535])))
    elif way == 1:
        origins = [0, 10**6, -(10**6), 10**6 + 1, 2**31 - 1, -(2**31)]
        struct.pack_into("<ii", data, 8, *(int(rng.choice(origins)) for _ in range(2)))
    elif way == 2 and len(data) > _BOXES_HEADER:
        for at in rng.integers(_BOXES_HEADER, len(data), rng.integers(1, 8)):
            data[at] = int(rng.choice([0, 255, rng.integers(256)]))
    else:
        number = int(rng.integers(0, 256))
        data = data[:_BOXES_HEADER] + bytearray(rng.bytes(number * BOX_BYTES))
        struct.pack_into("<H", data, 6, number)
    return _sealed(bytes(data))


def nothing(rng: Rng, packet: bytes, other: bytes) -> bytes:
    """The packet as it is."""
    return packet


MUTATIONS: tuple[Mutation, ...] = (
    nothing, header_field, counts_that_fit, tile_keys, tile_counts, scales, tables, body_bytes, words, zstd_frame,
    splice,
)  # fmt: skip


def extreme(rng: Rng, frame: FeatureFrame) -> FeatureFrame:
    """A legal frame with hostile values: latents and scales at their bounds, tiles at the end of the lattice, nothing
    or everything visible."""
    scale = np.float32(rng.choice([2.0**-14, 1.0, 32.0]))
    latent = np.int8(rng.choice([-127, 0, 127]))
    moved = rng.choice([0, 0, 8100, -8100])
    return replace(
        frame,
        tiles=(frame.tiles + np.int32(moved)).astype(np.int32),
        low=np.full_like(frame.low, latent) if rng.random() < 0.5 else frame.low,
        high=np.full_like(frame.high, -latent) if rng.random() < 0.5 else frame.high,
        low_scale=np.full_like(frame.low_scale, scale),
        high_scale=np.full_like(frame.high_scale, scale),
        visible=np.full_like(frame.visible, rng.random() < 0.5),
    )
