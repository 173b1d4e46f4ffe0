"""Stamps of messages."""

from __future__ import annotations

from typing import Any

NS = 1_000_000_000


def stamp_ns(time: Any) -> int:
    """A ROS time in ns."""
    return int(time.sec) * NS + int(time.nanosec)
