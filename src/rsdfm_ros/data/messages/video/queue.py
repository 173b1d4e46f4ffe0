"""Decodes video in a thread of its own, in the order of arrival; where it falls behind, it goes on at a key frame."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.video.packets import VideoPacket, packet_of
from rsdfm_ros.data.messages.video.stream import VideoStream

MAX_WAITING = 30
"""Packets that wait to be decoded: a second of video. More mean that decoding is too slow."""
MAX_READY = 8
"""Decoded images that wait to be taken; the oldest are dropped."""


class VideoQueue:
    """`put` and `take` in the thread that receives. reject(reason, sentence): may be called from either thread."""

    def __init__(self, reject: Callable[[str, str], None]) -> None:
        self._reject, self._stream = reject, VideoStream(reject)
        self._waiting: deque[tuple[VideoPacket, int]] = deque()
        self._ready: deque[tuple[Any, int]] = deque(maxlen=MAX_READY)
        self._change = threading.Condition()
        self._until_key = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def put(self, message: Any, arrived_ns: int) -> None:
        """Take a message with video."""
        try:
            packet = packet_of(message)
        except MessageError as error:
            self._reject(error.reason, str(error))
            return
        with self._change:
            if len(self._waiting) >= MAX_WAITING and not self._until_key:
                dropped = len(self._waiting)
                self._waiting.clear()
                self._until_key = True
            else:
                dropped = 0
            if self._until_key and not packet.key:
                dropped += 1
            else:
                self._until_key = False
                self._waiting.append((packet, arrived_ns))
                self._change.notify()
        if dropped:
            self._reject(
                "video_behind",
                f"decoding is slower than the video: {dropped} packets dropped, going on at the next key frame",
            )

    def take(self) -> list[tuple[Any, int]]:
        """Decoded image messages, each with the time at which its packet arrived."""
        with self._change:
            out = list(self._ready)
            self._ready.clear()
            return out

    def close(self) -> None:
        """End the thread."""
        with self._change:
            self._ended = True
            self._change.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                packet, arrived_ns = self._waiting.popleft()
            try:
                images = self._stream.decoded(packet)
            except MessageError as error:
                self._reject(error.reason, str(error))
                continue
            with self._change:
                self._ready.extend((image, arrived_ns) for image in images)
