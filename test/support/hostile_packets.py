"""Legal packets that cost a receiver as much as a packet can."""

from __future__ import annotations

from benchmarks.packet_cost import CHANNELS, large_frame

from rsdfm_ros.wire.packet import MAX_DENSE_PACKET_BYTES, encode_frame

__all__ = ["CHANNELS", "large_frame", "largest_packet"]


def largest_packet(tiles: int = 1024, cells: int = 65_535, noise: float = 0.0, fingerprint: int = 7) -> bytes:
    """The largest packet of such a frame: without noise some kilobytes that decode to half a megabyte and more."""
    frame = large_frame(tiles, cells, noise)
    return max(encode_frame(frame, MAX_DENSE_PACKET_BYTES, fingerprint=fingerprint), key=len)
