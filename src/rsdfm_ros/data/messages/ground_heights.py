"""Heights of the ground from a topic: checked, and the one nearest in time to an image."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.stamps import NS, checked_stamp_ns

MAX_HEIGHT_M = 1e4
MAX_AGE_S = 1.0
"""Values this much older or newer than an image are not used for it by default."""


class Heights:
    """The last `kept` values of a topic, in m."""

    def __init__(self, kept: int) -> None:
        self._values: deque[tuple[int, float]] = deque(maxlen=kept)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def add_point(self, message: Any, frame_id: str) -> None:
        """The z of a PointStamped in this frame, "" for any. Raises: MessageError `ground_frame`, or as `add`."""
        frame = str(message.header.frame_id)
        if frame_id and frame != frame_id:
            raise MessageError(
                "ground_frame", f"a height of the ground is in {frame!r}, expected {frame_id!r}"
            )
        self.add(message, message.point.z, -MAX_HEIGHT_M, MAX_HEIGHT_M)

    def add(self, message: Any, value: float, low: float, high: float) -> None:
        """A value with the stamp of its message. Raises: MessageError `ground_value` unless finite and within low and
        high, or for the stamp."""
        if not (math.isfinite(value) and low <= value <= high):
            raise MessageError("ground_value", f"a height of {value} m, expected {low:g} to {high:g} m")
        self._values.append((checked_stamp_ns(message.header.stamp, "a height of the ground"), float(value)))

    def nearest(self, stamp_ns: int, max_age_s: float) -> float | None:
        """The value nearest to an instant, of two the later one; None if there is none within max_age_s."""
        values = list(self._values)
        if not values:
            return None
        known_ns, value = min(values, key=lambda v: (abs(v[0] - stamp_ns), -v[0]))
        return value if abs(known_ns - stamp_ns) <= max_age_s * NS else None

    def newest(self) -> float | None:
        """The last value; None before the first."""
        values = list(self._values)
        return values[-1][1] if values else None
