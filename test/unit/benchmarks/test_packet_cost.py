"""The packets of the benchmark are what their names say, and every one is timed."""

from __future__ import annotations

from benchmarks.packet_cost import CHANNELS, cpu_ms, packets

from rsdfm_ros.wire.errors import CorruptBody, DecodedSizeMismatch
from rsdfm_ros.wire.packet import Expected, FeaturePart, decode_packets


def test_packets_are_legal_or_wrong_at_their_end_only() -> None:
    for name, packet in packets():
        (found,) = decode_packets([packet], expected=Expected(None, CHANNELS, CHANNELS))
        if "wrong" in name:
            assert isinstance(found, CorruptBody | DecodedSizeMismatch)
        else:
            assert isinstance(found, FeaturePart)


def test_a_packet_is_timed() -> None:
    median, slowest = cpu_ms(next(packets())[1], 2)
    assert 0 < median <= slowest
