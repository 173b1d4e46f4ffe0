"""The public face of the wire format: frames to packets and back (docs/wire_format.md)."""

from rsdfm_ros.wire.assemble import assemble, assemble_dense, orphan_tiles
from rsdfm_ros.wire.body import DensePart, HighPart, LowPart, Part
from rsdfm_ros.wire.decode import decode_packet
from rsdfm_ros.wire.encode import encode_frame
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES, MAX_PACKET_BYTES, Expected, Limits

__all__ = [
    "MAX_DENSE_PACKET_BYTES",
    "MAX_PACKET_BYTES",
    "DensePart",
    "Expected",
    "HighPart",
    "Limits",
    "LowPart",
    "Part",
    "assemble",
    "assemble_dense",
    "decode_packet",
    "encode_frame",
    "orphan_tiles",
]
