"""Bytes around a payload: of the serialised FeaturePacket (CDR), and of RTPS and UDP (docs/wire_format.md)."""

from __future__ import annotations

from rsdfm_ros.geometry.uncertainty import TRIANGLE_NUMBERS

ENCAPSULATION_BYTES = 4
STAMP_BYTES, COUNTS_BYTES, FINGERPRINT_BYTES, POSE_BYTES = 8, 8, 8, 56
COVARIANCE_BYTES = 4 * TRIANGLE_NUMBERS
LENGTH_BYTES = 4
"""Length in front of a string or a sequence."""

UDP_PAYLOAD_BYTES = 1472
"""Most bytes of a UDP datagram in one Ethernet frame: 1500 without the headers of IPv4 (20) and UDP (8)."""
RTPS_BYTES = 20 + 16 + 12 + 24 + 60 + 32
"""RTPS around a message, at most: header, INFO_DST, INFO_TS, DATA without inline QoS, a submessage of Fast DDS's own
(0x80), and the HEARTBEAT of reliable topics."""
DATAGRAM_PACKET_BYTES = 1300
"""max_packet_bytes with which a packet is one UDP datagram in one Ethernet frame: a multiple of 4, to which RTPS pads,
and at most UDP_PAYLOAD_BYTES without RTPS_BYTES, 1308."""


def envelope_bytes(agent: str, frame_id: str) -> int:
    """Bytes of a serialised FeaturePacket without its payload. agent, frame_id: as the message has them."""
    at = STAMP_BYTES
    for text in (frame_id, agent):
        at = _aligned(at, LENGTH_BYTES) + LENGTH_BYTES + len(text.encode()) + 1
    at = _aligned(_aligned(at, LENGTH_BYTES) + COUNTS_BYTES, FINGERPRINT_BYTES)
    return ENCAPSULATION_BYTES + at + FINGERPRINT_BYTES + POSE_BYTES + COVARIANCE_BYTES + LENGTH_BYTES


def _aligned(at: int, size: int) -> int:
    return -(-at // size) * size
