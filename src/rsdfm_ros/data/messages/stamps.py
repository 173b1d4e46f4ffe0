"""Stamps of messages."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.data.messages.errors import MessageError

NS = 1_000_000_000


def stamp_ns(time: Any) -> int:
    """A ROS time in ns."""
    return int(time.sec) * NS + int(time.nanosec)


def checked_stamp_ns(time: Any, what: str) -> int:
    """The time of a message's header in ns. Raises: MessageError `stamp_zero` where the sender left it out, `stamp`
    for what is no time. `what`: the message, for the sentence."""
    return checked_ns(int(time.sec), int(time.nanosec), what)


def checked_ns(sec: int, nanosec: int, what: str) -> int:
    """As checked_stamp_ns, of the numbers of a stamp."""
    if not 0 <= nanosec < NS or sec < 0:
        raise MessageError("stamp", f"{what}: expected a time after 1970, got {sec} s {nanosec} ns")
    ns = sec * NS + nanosec
    if ns == 0:
        raise MessageError(
            "stamp_zero",
            f"{what}: header.stamp is zero: the sender must fill in the time of exposure"
            + (" (or set stamp_source: arrival, which is less exact)" if what == "image" else ""),
        )
    return ns
