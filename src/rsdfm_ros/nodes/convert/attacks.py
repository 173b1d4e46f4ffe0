"""Messages of an attacker, made from those of an honest UAV (wire/faults/attack.py)."""

from __future__ import annotations

from array import array

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.convert.features import packet_message
from rsdfm_ros.wire.faults.attack import (
    COVARIANCE,
    NONE,
    REPLAYED,
    SATURATED,
    Replay,
    saturated,
    shifted_tiles,
)


class Attacker:
    """What is sent in the place of one UAV's serialised FeaturePackets."""

    def __init__(self) -> None:
        self._replay: Replay[bytes] = Replay()
        self._kind = NONE

    def messages(self, raw: bytes, kind: str, cell_size_m: float, topic: str = "") -> list[bytes]:
        """The messages in the place of one. kind: one of WIRE_ATTACKS (wire/faults/attack.py) · cell_size_m: of
        the features · topic: that it came on, for errors. Raises: WireError for messages that cannot be read, and
        payloads that no receiver accepts."""
        if kind != self._kind:
            self._replay, self._kind = Replay(), kind
        if kind == NONE:
            return [raw]
        message = packet_message(raw, topic)
        if kind == REPLAYED:
            return self._replayed(raw, message)
        _alter(message, kind, cell_size_m)
        return [bytes(serialize_message(message))]

    def _replayed(self, raw: bytes, message: FeaturePacket) -> list[bytes]:
        """Packets of an old image with the stamp and frame number of this one."""
        found = self._replay.packets(stamp_ns(message.header.stamp), raw)
        if found == [raw]:
            return found
        out = []
        for old in found:
            again = deserialize_message(old, FeaturePacket)
            again.header.stamp, again.frame = message.header.stamp, message.frame
            out.append(bytes(serialize_message(again)))
        return out


def _alter(message: FeaturePacket, kind: str, cell_size_m: float) -> None:
    """Falsify one message. Raises: WireError for a payload that no receiver accepts."""
    if kind == COVARIANCE:
        message.covariance = np.zeros_like(message.covariance)
        return
    payload = bytes(message.payload)
    other = saturated(payload) if kind == SATURATED else shifted_tiles(payload, cell_size_m)
    message.payload = array("B", other)
