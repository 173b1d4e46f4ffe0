"""Messages of the packets of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.nodes.convert.features import packet_to_message


def packets_to_messages(packets: Sequence[bytes], **fields: Any) -> list[FeaturePacket]:
    """One message per packet, with the same fields around each."""
    return [packet_to_message(p, index=n, count=len(packets), **fields) for n, p in enumerate(packets)]
