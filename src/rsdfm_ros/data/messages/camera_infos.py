"""The camera_info messages of one camera, and which of them belongs to an image. Free of ROS."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.data.messages.stamps import stamp_ns

_KEPT = 256
"""Newest messages that are kept: those of the images that wait for a pose."""


class CameraInfos:
    """camera_info by stamp: an image uses the one of its own stamp, else the newest.

    Drivers publish it with every image, before or after it, or seldom. Once an image had one of its own stamp, the next
    image waits for its own.
    """

    def __init__(self) -> None:
        self._by_stamp: dict[int, Any] = {}
        self._newest_ns = -1
        self._image_ns = -1
        self._paired = False

    def __bool__(self) -> bool:
        return bool(self._by_stamp)

    def add(self, message: Any) -> None:
        """Take a message."""
        stamp = stamp_ns(message.header.stamp)
        self._paired = self._paired or stamp == self._image_ns
        self._by_stamp.pop(stamp, None)
        self._by_stamp[stamp] = message
        self._newest_ns = stamp
        while len(self._by_stamp) > _KEPT:
            del self._by_stamp[next(iter(self._by_stamp))]

    def expect(self, image_ns: int) -> None:
        """Note an image of this stamp."""
        self._paired = self._paired or image_ns in self._by_stamp
        self._image_ns = image_ns

    def ready(self, image_ns: int) -> bool:
        """Whether the message of an image is there, or no other than the newest will come for it."""
        return image_ns in self._by_stamp or not self._paired or self._newest_ns > image_ns

    def give_up(self) -> None:
        """Note that the message of an image did not come in time: the next ones do not wait, until one has its own."""
        self._paired = False

    def of(self, image_ns: int) -> Any:
        """The message of an image; there must be one."""
        return self._by_stamp.get(image_ns) or self._by_stamp[next(reversed(self._by_stamp))]
