"""The public face of the wire format: frames to packets and back (docs/wire_format.md)."""

from rsdfm_ros.wire.assemble import assemble, assemble_dense
from rsdfm_ros.wire.body import DensePart, FeaturePart, Part
from rsdfm_ros.wire.decode import decode_packet, decode_packets
from rsdfm_ros.wire.encode import encode_frame
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES, MAX_PACKET_BYTES, Expected, Limits

__all__ = [
    "MAX_DENSE_PACKET_BYTES",
    "MAX_PACKET_BYTES",
    "DensePart",
    "Expected",
    "FeaturePart",
    "Limits",
    "Part",
    "assemble",
    "assemble_dense",
    "decode_packet",
    "decode_packets",
    "encode_frame",
]
