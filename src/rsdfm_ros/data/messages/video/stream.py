"""Decodes the video of one camera into image messages."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import MAX_PIXELS, check_size
from rsdfm_ros.data.messages.video.packets import VideoPacket, packet_of
from rsdfm_ros.errors import RsdfmError

MAX_PENDING = 64
"""Packets whose image has not come out of the decoder; more mean that it gives none."""


def check_installed() -> None:
    """Raises: RsdfmError with what to do where PyAV is missing."""
    _av()


def _av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise RsdfmError(
            "video (h264, hevc) needs the package av (PyAV), which is not installed: `pip install av`, or let the "
            "driver publish JPEG"
        ) from error


class VideoStream:
    """Decoding begins at a key frame, and begins anew at the next one after an error.

    `reject(reason, sentence)` is called for what is left out: `video` for packets that cannot be decoded and damaged
    images, `video_key_frame` for packets before the first key frame.
    """

    def __init__(self, reject: Callable[[str, str], None]) -> None:
        self._reject = reject
        self._context: Any = None
        self._codec = ""
        self._number = 0
        self._headers: dict[int, Any] = {}

    def clear(self) -> None:
        """Forget everything: the next packet that is used is a key frame."""
        self._context, self._headers = None, {}

    def images(self, message: Any) -> list[Any]:
        """Image messages (nv12, or rgb8 where a side is odd) that come out with a message of video; mostly one. Raises:
        RsdfmError where PyAV is missing."""
        try:
            return self.decoded(packet_of(message))
        except MessageError as error:
            self._reject(error.reason, str(error))
            return []

    def decoded(self, packet: VideoPacket) -> list[Any]:
        """As `images`, of a packet. Raises: MessageError `video`, `video_key_frame`, `image_size`."""
        av = _av()
        if self._context is None or packet.codec != self._codec:
            self.clear()
            if not packet.key:
                raise MessageError(
                    "video_key_frame", f"{packet.codec} before its first key frame: waiting for one"
                )
            self._open(av, packet.codec)
        piece = av.Packet(packet.data)
        piece.pts = self._number
        self._headers[self._number] = packet.header
        self._number += 1
        try:
            frames = self._context.decode(piece)
        except (av.error.FFmpegError, ValueError) as error:
            self.clear()
            raise MessageError(
                "video",
                f"{packet.codec} cannot be decoded ({str(error)[:120]}): waiting for the next key frame",
            ) from error
        out = [self._message(frame) for frame in frames]
        if len(self._headers) > MAX_PENDING:
            self.clear()
            raise MessageError(
                "video", f"no image came out of {MAX_PENDING} packets: waiting for the next key frame"
            )
        return out

    def _open(self, av: Any, codec: str) -> None:
        context = av.CodecContext.create(codec, "r")
        context.thread_count = 1  # more would hold images back
        # An image with errors is an error, and a small packet cannot ask for a huge image.
        context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS), "flags": "low_delay"}
        self._context, self._codec = context, codec

    def _message(self, frame: Any) -> Any:
        header = self._headers.pop(frame.pts, None)
        for old in [n for n in self._headers if n < (frame.pts or 0) - MAX_PENDING]:
            del self._headers[old]
        if header is None or frame.is_corrupt:
            self.clear()
            raise MessageError("video", "an image of the video is damaged: waiting for the next key frame")
        width, height = int(frame.width), int(frame.height)
        check_size(width, height)
        even = width % 2 == 0 and height % 2 == 0
        pixels = np.ascontiguousarray(frame.to_ndarray(format="nv12" if even else "rgb24"))
        return SimpleNamespace(
            header=header,
            height=height,
            width=width,
            encoding="nv12" if even else "rgb8",
            is_bigendian=0,
            step=width * (1 if even else 3),
            data=pixels.reshape(-1),
        )
