"""What a message with video holds: codec, time, bytes in Annex B form, and whether decoding may begin there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from rsdfm_ros.data.messages.errors import MessageError

H264, HEVC = CODECS = ("h264", "hevc")
_NAMES = {"h264": H264, "avc": H264, "x264": H264, "hevc": HEVC, "h265": HEVC, "x265": HEVC}
_WORD = re.compile(r"[a-z]+\d*")
MAX_PACKET_BYTES = 16_000_000
MAX_UNITS = 4096
"""Units of a packet that are looked at."""
_START = b"\x00\x00\x01"
_IDR, _SEI, _RECOVERY = 5, 6, 6
_IRAP = range(16, 22)


@dataclass(frozen=True)
class VideoPacket:
    """header: stamp and frame_id · key: whether decoding may begin here."""

    codec: str
    header: Any
    data: bytes
    key: bool


def codec_of(message: Any) -> str | None:
    """h264 or hevc where the message holds video, by `encoding` (sensor_msgs/Image, FFMPEGPacket) or `format`
    (sensor_msgs/CompressedImage, foxglove_msgs/CompressedVideo)."""
    said = str(getattr(message, "encoding", "") or getattr(message, "format", "")).lower().replace(".", "")
    # image_transport names the source first (`rgb8; h264`), ffmpeg_image_transport the encoder (`hevc_nvenc`).
    for word in _WORD.findall(said.replace("lib", " ")):
        if word in _NAMES:
            return _NAMES[word]
    return None


def packet_of(message: Any) -> VideoPacket:
    """The packet of a message with video. Raises: MessageError `video` for what is no Annex B stream."""
    codec = codec_of(message)
    assert codec is not None
    data = bytes(message.data)
    if len(data) > MAX_PACKET_BYTES:
        raise MessageError(
            "image_size", f"expected at most {MAX_PACKET_BYTES} bytes of video, got {len(data)}"
        )
    if not (data.startswith(_START) or data.startswith(b"\x00" + _START)):
        raise MessageError(
            "video",
            f"expected {codec} with start codes (Annex B), got {len(data)} bytes {data[:4].hex(' ')} …",
        )
    header = getattr(message, "header", None)
    if header is None:
        header = SimpleNamespace(stamp=message.timestamp, frame_id=str(message.frame_id))
    return VideoPacket(codec, header, data, _is_key(codec, data))


def _is_key(codec: str, data: bytes) -> bool:
    """Whether a packet has an IDR (H.264) or IRAP (H.265) picture, or a recovery point, as streams without key frames
    have."""
    at = 0
    for _ in range(MAX_UNITS):
        at = data.find(_START, at)
        if at < 0 or at + 5 > len(data):
            return False
        first = data[at + 3]
        if codec == H264:
            kind = first & 0x1F
            if kind == _IDR or (kind == _SEI and data[at + 4] == _RECOVERY):
                return True
        elif (first >> 1) & 0x3F in _IRAP:
            return True
        at += 3
    return False
