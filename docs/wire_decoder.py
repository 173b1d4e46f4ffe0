"""A decoder of feature packets, of boxes beside them and of messages, written from docs/wire_format.md alone.

A template for other languages: it shares no code with rsdfm_ros, and tests compare the two. It is short, not fast.
It needs NumPy and zstandard:

    python docs/wire_decoder.py PACKET_FILE
"""

from __future__ import annotations

import struct
import sys
import zlib
from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import zstandard

MAX_PACKET_BYTES, MAX_TILES, MAX_CHANNELS = 65_536, 1024, 64
MAX_DECODED_BYTES, MAX_SCALE, MAX_TILE_KEY = 768 << 10, 32.0, 8192
COMPRESSED, DENSE = 0, 1
TOTAL = 1 << 14  # sum of the frequencies of a channel


class Refused(Exception):
    """A packet that must not be used; `reason` as in the table of checks."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def check(holds: bool, reason: str) -> None:
    if not holds:
        raise Refused(reason)


@dataclass
class Packet:
    """M tiles. tiles (M, 2), visible (M, 256). Compressed: the tile row and cell of n sent cells, latents high (n, Ch)
    and low (M, 4, Cl), zeros if they are not sent, and the scales. Dense: values (visible cells, Ch)."""

    kind: int
    fingerprint: int
    tiles: np.ndarray
    visible: np.ndarray
    cell_tile: list[int] = field(default_factory=list)
    cell: list[int] = field(default_factory=list)
    low: np.ndarray | None = None
    low_scale: np.ndarray | None = None
    high: np.ndarray | None = None
    high_scale: np.ndarray | None = None
    values: np.ndarray | None = None


class Reader:
    """Takes arrays from bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kind: str, count: int) -> np.ndarray:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found

    def planes(self, count: int) -> np.ndarray:
        """16-bit numbers, all their low bytes first."""
        low, high = self.take("u1", count), self.take("u1", count)
        return low + 256 * high.astype(np.int64)


def decode(packet: bytes) -> Packet:
    """The content of one packet. Raises: Refused."""
    check(len(packet) <= MAX_PACKET_BYTES, "over_limit")
    check(len(packet) > 0 and b"RSDF".startswith(packet[:4]), "bad_magic")
    check(len(packet) >= 32, "truncated")
    version, kind, flags, reserved, fingerprint, crc, m, cl, ch, n, body_bytes, words = struct.unpack_from(
        "<BBBBQIHBBIHH", packet, 4
    )
    check(version == 3, "unsupported_version")
    check(kind in (COMPRESSED, DENSE), "unknown_kind")
    check(flags & ~(1 if kind == COMPRESSED else 0) == 0 and reserved == 0, "reserved_bits")
    sent_low = cl * (flags & 1)
    bands = [(1, n), (sent_low, 4 * m), (ch, n)] if kind == COMPRESSED else []
    plain = carried = 0
    if kind == COMPRESSED:
        plain = 2 * (sent_low + ch) + 10 * (n > 0) + sum(2 + 2 * k for k, s in bands[1:] if k and s)
        carried = min(body_bytes, 2 * -(-sum(k * s for k, s in bands) // 384))
    size = 32 + plain + 2 * words + body_bytes - carried
    check(len(packet) >= size, "truncated")
    check(len(packet) <= size, "trailing_bytes")
    check(zlib.crc32(packet[:16] + bytes(4) + packet[20:]) == crc, "checksum_mismatch")
    check(kind == COMPRESSED or (cl == 0 and words == 0), "count_mismatch")
    check(m <= MAX_TILES and cl <= MAX_CHANNELS and ch <= MAX_CHANNELS, "over_limit")
    check(m > 0 and ch > 0 and (cl > 0 or kind == DENSE) and n <= 256 * m, "count_mismatch")
    decoded = 38 * m if kind == COMPRESSED else 36 * m + 2 * ch * n
    check(plain + decoded + 2 * sum(k * s for k, s in bands) <= MAX_DECODED_BYTES, "over_limit")

    reader, low_scale, high_scale, values = Reader(packet[32:]), None, None, []
    carry = b""
    if kind == COMPRESSED:
        low_scale, high_scale = reader.take("<f2", sent_low), reader.take("<f2", ch)
        scales = np.concatenate([low_scale, high_scale]).astype(np.float64)
        check(bool((np.isfinite(scales) & (scales > 0)).all()), "non_finite")
        check(scales.max() <= MAX_SCALE, "over_limit")
        channels = read_tables(reader, bands)
        values, carry = decode_words(reader.take("<u2", words).tolist(), channels)
        check(not any(carry[carried:]), "corrupt_body")
    body = Reader(decompress(carry[:carried] + packet[32 + plain + 2 * words :], decoded))

    ti, tj = (np.cumsum(body.planes(m).astype(np.uint16).view(np.int16), dtype=np.int64) for _ in range(2))
    check(max(abs(ti).max(), abs(tj).max()) <= MAX_TILE_KEY, "tile_out_of_bounds")
    keys = list(zip(ti.tolist(), tj.tolist(), strict=True))
    check(all(a < b for a, b in pairwise(keys)), "tiles_unsorted")
    counts = body.planes(m) if kind == COMPRESSED else None
    visible = np.unpackbits(body.take("u1", 32 * m), bitorder="little").reshape(m, 256).astype(bool)
    found = Packet(kind, fingerprint, np.array(keys), visible)
    if counts is None:
        check(visible.sum() == n, "count_mismatch")
        found.values = body.take("<f2", ch * n).reshape(ch, n).T
        check(bool(np.isfinite(found.values).all()), "non_finite")
        return found

    check(counts.max() <= 256 and counts.sum() == n, "count_mismatch")
    gaps = iter(values)
    for row, count in enumerate(counts):
        at = -1
        for _ in range(count):
            at += 1 + next(gaps)
            check(at < 256, "corrupt_body")
            found.cell_tile.append(row)
            found.cell.append(at)
    latents = np.array(list(gaps), np.int64)
    split = sent_low * 4 * m
    low = latents[:split].reshape(sent_low, m, 4)
    found.low = np.moveaxis(low, 0, 2) if sent_low else np.zeros((m, 4, cl), np.int64)
    found.high = latents[split:].reshape(ch, n).T
    found.low_scale, found.high_scale = low_scale, high_scale
    return found


def read_tables(reader: Reader, bands: list[tuple[int, int]]) -> list[tuple[int, int, list[int]]]:
    """Of every channel: symbols, lowest value, frequencies."""
    (_, n), *latents = bands
    channels = []
    if n:
        pairs = reader.take("u1", 10).tolist()
        channels.append(
            (n, 0, gap_frequencies([level for pair in pairs for level in (pair & 15, pair >> 4)]))
        )
    for number, symbols in latents:
        if number and symbols:
            lo, hi = (int(v) for v in reader.take("i1", 2))
            check(lo <= hi, "corrupt_body")
            for v in reader.take("<u2", number).tolist():
                channels.append((symbols, lo, frequencies(lo, hi, v & 63, v >> 6 & 63, v >> 12)))
    return channels


def decompress(body: bytes, size: int) -> bytes:
    """One whole zstd frame that announces exactly `size` bytes."""
    try:
        check(zstandard.get_frame_parameters(body).content_size == size, "decoded_size_mismatch")
        content = zstandard.ZstdDecompressor().decompress(
            body, max_output_size=size, read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError:
        raise Refused("corrupt_body") from None
    check(len(content) == size, "decoded_size_mismatch")
    return content


def frequencies(lo: int, hi: int, w: int, m: int, z: int) -> list[int]:
    """Frequencies of the values lo to hi, which add up to 2^14."""
    s = hi - lo + 1
    zero = min(max(-lo, 0), s - 1)
    u = 1 if s <= 64 else 4
    g = (2 + w % 2) << (w // 2)
    weight = []
    for k in range(s):
        e = (4 * (k - zero) - u * (m - 32)) ** 2 * g // 8
        weight.append(max(1, (2**17 - e % 2**16) * 2**13 >> min(e // 2**16, 31)))
    extra = (TOTAL - s) * z // 16
    whole = sum(weight)
    f = [1 + v * (TOTAL - s - extra) // whole for v in weight]
    f[f.index(max(f))] += TOTAL - extra - sum(f)
    f[zero] += extra
    return f


def gap_frequencies(levels: list[int]) -> list[int]:
    """Frequencies of the gaps 0 to 255 from the levels of 20 classes."""
    sizes = [1] * 16 + [16, 32, 64, 128]
    weight = [(2 + level % 2) << (level // 2) if level else 0 for level in levels]
    whole, f = max(1, sum(weight)), []
    for size, v in zip(sizes, weight, strict=True):
        f += [1 + v * (TOTAL - 256) // (size * whole)] * size
    f[f.index(max(f))] += TOTAL - sum(f)
    return f


def decode_words(words: list[int], channels: list[tuple[int, int, list[int]]]) -> tuple[list[int], bytes]:
    """The symbols of all channels, one channel after the other, and the bytes that the states carry."""
    total = sum(symbols for symbols, _, _ in channels)
    coders = -(-total // 384)
    check(len(words) >= 2 * coders, "corrupt_body")
    states = [words[2 * c] << 16 | words[2 * c + 1] for c in range(coders)]
    check(all(x >= 1 << 16 for x in states), "corrupt_body")
    at, t, out = 2 * coders, 0, []
    for symbols, lo, f in channels:
        start = [0, *accumulate(f)]
        for _ in range(symbols):
            x = states[t % coders]
            slot = x % TOTAL
            k = bisect(start, slot) - 1
            x = f[k] * (x // TOTAL) + slot - start[k]
            if x < 1 << 16:
                check(at < len(words), "corrupt_body")
                x = x << 16 | words[at]
                at += 1
            states[t % coders] = x
            out.append(lo + k)
            t += 1
    check(at == len(words) and all(x >> 16 == 1 for x in states), "corrupt_body")
    return out, b"".join(struct.pack("<H", x & 0xFFFF) for x in states)


BOX = np.dtype(
    [
        ("class", "u1"),
        ("score", "u1"),
        ("centre", "<i2", (3,)),
        ("size", "u1", (3,)),
        ("heading", "u1"),
        ("velocity", "<i2", (2,)),
    ]
)


def decode_boxes(payload: bytes) -> list[dict[str, object]]:
    """The boxes beside the features, in m, rad and m/s. Raises: Refused."""
    check(len(payload) >= 20, "truncated")
    magic, version, reserved, count, x, y, crc = struct.unpack_from("<4sBBHiiI", payload)
    check(magic == b"RSBX", "bad_magic")
    check(version == 1, "unsupported_version")
    check(reserved == 0, "reserved_bits")
    check(count <= 255 and max(abs(x), abs(y)) <= 1_000_000, "over_limit")
    check(len(payload) >= 20 + 16 * count, "truncated")
    check(len(payload) == 20 + 16 * count, "trailing_bytes")
    check(zlib.crc32(payload[:16] + bytes(4) + payload[20:]) == crc, "checksum_mismatch")
    rows = np.frombuffer(payload, BOX, count, 20)
    check(bool(rows["size"].all()), "invalid_frame")
    return [
        {
            "class": int(row["class"]),
            "score": row["score"] / 255,
            "centre": row["centre"] / 100 + [x, y, 0],
            "size": row["size"] / 10,
            "heading": int(row["heading"]) * 2 * np.pi / 256,
            "velocity": row["velocity"] / 100,
        }
        for row in rows
    ]


def decode_message(data: bytes) -> dict[str, Any]:
    """The fields of a FeaturePacket (definition 2) in CDR, covariance as (6, 6). Raises: Refused."""
    check(data[:4] == b"\x00\x01\x00\x00", "not_cdr")
    at = 4
    fields: dict[str, Any] = {}

    def take(name: str, kind: str, count: int = 1) -> np.ndarray:
        nonlocal at
        size = np.dtype(kind).itemsize
        at += -(at - 4) % size  # alignment is counted from behind the encapsulation
        check(len(data) >= at + size * count, "not_cdr")
        fields[name] = np.frombuffer(data, kind, count, at)
        at += size * count
        return fields[name]

    take("stamp", "<u4", 2)
    for name in ("frame_id", "agent"):
        text = take(name, "u1", int(take(name, "<u4")[0])).tobytes()
        check(text[-1:] == b"\0", "not_cdr")
        fields[name] = text[:-1].decode(errors="replace")
    for name, kind in (
        ("frame", "<u4"),
        ("packet_index", "<u2"),
        ("packet_count", "<u2"),
        ("fingerprint", "<u8"),
    ):
        fields[name] = int(take(name, kind)[0])
    take("position", "<f8", 3)
    take("orientation", "<f8", 4)
    upper = np.zeros((6, 6))
    upper[np.triu_indices(6)] = take("covariance", "<f4", 21)
    fields["covariance"] = upper + np.triu(upper, 1).T
    fields["payload"] = take("payload", "u1", int(take("payload", "<u4")[0])).tobytes()
    return fields


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        data = file.read(MAX_PACKET_BYTES + 1)
    try:
        print(decode_boxes(data) if data[:4] == b"RSBX" else decode(data))
    except Refused as refused:
        sys.exit(f"refused: {refused}")
