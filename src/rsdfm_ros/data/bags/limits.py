"""Limits on the sizes in a bag. A bag is untrusted input: every size in it is checked against these before it is
used."""

from __future__ import annotations

from dataclasses import dataclass

import zstandard

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Limits:
    """chunk_bytes: an MCAP chunk, compressed or not (usual: 1 to 4 MB; a chunk is held in memory) · message_bytes: one
    message (a 4K image has 25 MB) · open_bytes: all chunks held at once because they overlap in time · file_bytes: a
    file that was compressed as a whole, unpacked · topics, chunks, loose: entries of the tables held in memory ·
    definition_bytes: the text of a message definition."""

    chunk_bytes: int = 1 << 28
    message_bytes: int = 1 << 27
    open_bytes: int = 1 << 29
    file_bytes: int = 1 << 36
    topics: int = 4096
    chunks: int = 1 << 20
    loose: int = 1 << 24
    definition_bytes: int = 1 << 20


END_OF_TIME_NS = 2**31 * 10**9
"""ROS times have 31 bits of seconds."""


class TooLarge(ValueError):
    """More than the limits allow."""


def inflate(data: bytes | memoryview, compression: str, limit: int, *, partial: bool = False) -> bytes:
    """Decompress at most `limit` bytes of a chunk or message.

    compression: "", "zstd" or "lz4" · partial: the data may end early; what can be decompressed is returned.
    Raises: TooLarge beyond the limit; ValueError for damaged data or an unknown compression.
    """
    if compression == "":
        out = bytes(data)
    elif compression == "zstd":
        out = _inflate_zstd(data, limit, partial)
    elif compression == "lz4":
        out = _inflate_lz4(data, limit, partial)
    else:
        raise ValueError(f"compression {compression!r} is unknown: expected zstd, lz4 or none")
    if len(out) > limit:
        raise TooLarge(f"more than {limit} bytes uncompressed")
    return out


def _inflate_zstd(data: bytes | memoryview, limit: int, partial: bool) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
        bytes(data), read_across_frames=True
    )
    parts: list[bytes] = []
    size = 0
    try:
        while size <= limit and (part := reader.read(min(1 << 20, limit + 1 - size))):
            parts.append(part)
            size += len(part)
    except zstandard.ZstdError as error:
        if not partial:
            raise ValueError(f"zstd: {error}") from error
    return b"".join(parts)


def _inflate_lz4(data: bytes | memoryview, limit: int, partial: bool) -> bytes:
    import lz4.frame  # comes with rosbags; few bags need it

    decompressor = lz4.frame.LZ4FrameDecompressor()
    parts: list[bytes] = []
    size, feed = 0, bytes(data)
    try:
        while size <= limit and not decompressor.eof:
            part = decompressor.decompress(feed, max_length=min(1 << 20, limit + 1 - size))
            feed = b""
            parts.append(part)
            size += len(part)
            if not part and decompressor.needs_input:
                break
    except (RuntimeError, EOFError) as error:
        if not partial:
            raise ValueError(f"lz4: {error}") from error
    if not decompressor.eof and not partial and size <= limit:
        raise ValueError("lz4: the data ends early")
    return b"".join(parts)
