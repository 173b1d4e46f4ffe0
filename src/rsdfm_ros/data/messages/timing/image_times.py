"""The time of exposure of an image, by its stamp or its arrival, with a constant correction per camera."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.stamps import checked_stamp_ns, stamp_ns

HEADER, ARRIVAL = STAMP_SOURCES = ("header", "arrival")
MAX_OFFSET_S = 10.0


class ImageTimes:
    """source: of STAMP_SOURCES · offsets_s: by camera, added to what the source says; empty for none."""

    def __init__(self, source: str, offsets_s: tuple[float, ...], cameras: int) -> None:
        self._source = source
        self._offsets_ns = [round(o * 1e9) for o in offsets_s] or [0] * cameras

    def exposed_ns(self, camera: int, message: Any, arrived_ns: int) -> int:
        """Stamp of an image in ns. arrived_ns: when it came, by the clock that stamps are of.

        Raises: MessageError `stamp_zero`, `stamp`, as checked_stamp_ns; `stamp_zero` too for an arrival before the
        clock runs.
        """
        if self._source == HEADER:
            return checked_stamp_ns(message.header.stamp, "image") + self._offsets_ns[camera]
        if arrived_ns <= 0:
            raise MessageError("stamp_zero", "an image came before the clock of this node had a time")
        return arrived_ns + self._offsets_ns[camera]

    def info_ns(self, camera: int, message: Any, exposed_ns: int) -> int:
        """The stamp that the camera_info of an image has: that of its header, where it has one."""
        if self._source == HEADER:
            return exposed_ns - self._offsets_ns[camera]
        return stamp_ns(message.header.stamp)
