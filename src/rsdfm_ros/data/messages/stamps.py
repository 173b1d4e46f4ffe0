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
    if not 0 <= int(time.nanosec) < NS or int(time.sec) < 0:
        raise MessageError("stamp", f"{what}: expected a time after 1970, got {time.sec} s {time.nanosec} ns")
    ns = stamp_ns(time)
    if ns == 0:
        raise MessageError(
            "stamp_zero", f"{what}: header.stamp is zero: the sender must fill in the time of exposure"
        )
    return ns
