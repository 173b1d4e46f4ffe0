"""Stored packets of version 3 decode to known frames, forever; new packets differ from them in compression at most.

``PYTHONPATH=src:test python test/unit/wire/test_golden.py`` writes test/golden/wire_v3_*.bin and
message_2.bin again, from formulas.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import envelope_of
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.wire.errors import UnsupportedVersion
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.packet import assemble, assemble_dense, decode_packet, encode_frame
from support.packet_parts import Parts
from support.places import GOLDEN, ROOT
from support.wire_frames import same

FINGERPRINT = 0x0123456789ABCDEF
NAMES = ("compressed", "high", "dense")


def compressed_frame() -> FeatureFrame:
    """Four tiles on both sides of the origin, two and three channels, seven cells in two of the tiles."""
    wave = np.arange(4 * 2 * 4)
    cells = np.arange(4 * 256)
    return FeatureFrame(
        tiles=np.array([[-2, 3], [-1, -4], [0, 0], [0, 1]], np.int32),
        low=((wave * 37) % 255 - 127).astype(np.int8).reshape(4, 2, 2, 2),
        low_scale=np.array([0.5, 0.03125], np.float32),
        visible=((cells * 7) % 5 < 3).reshape(4, 16, 16),
        high_tile=np.array([0, 0, 0, 2, 2, 2, 2], np.int32),
        high_cell=np.array([0, 17, 255, 1, 2, 3, 128], np.uint8),
        high=((np.arange(21) * 53) % 255 - 127).astype(np.int8).reshape(7, 3),
        high_scale=np.array([0.25, 1.0, 2.0], np.float32),
    )


def dense_frame() -> DenseFrame:
    """Two tiles, three channels, every third cell visible."""
    visible = (np.arange(512) % 3 == 0).reshape(2, 16, 16)
    values = (np.arange(3 * int(visible.sum())) / 8 - 20).astype(np.float16).reshape(-1, 3)
    return DenseFrame(np.array([[5, -5], [5, -4]], np.int32), visible, values)


def high_frame() -> FeatureFrame:
    """The tiles of the compressed frame that have cells, without the low band."""
    frame = compressed_frame()
    frame = frame.rows(frame.counts > 0)
    return replace(frame, low=np.zeros_like(frame.low), low_scale=np.ones_like(frame.low_scale))


def fresh() -> dict[str, bytes]:
    """The packets that today's encoder makes of the golden frames."""
    frames = (compressed_frame(), high_frame(), dense_frame())
    packets = [encode_frame(frame, fingerprint=FINGERPRINT) for frame in frames]
    return {name: packet for name, (packet,) in zip(NAMES, packets, strict=True)}


def stored(name: str) -> bytes:
    return (GOLDEN / f"wire_v3_{name}.bin").read_bytes()


def test_stored_packets_decode_to_the_known_frames() -> None:
    assert same(assemble([decode_packet(stored("compressed"))]), compressed_frame())
    assert same(assemble([decode_packet(stored("high"))]), high_frame())
    assert same(assemble_dense([decode_packet(stored("dense"))]), dense_frame())


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_still_makes_the_stored_bytes_before_compression(name: str) -> None:
    new, old = Parts(fresh()[name]), Parts(stored(name))
    assert new.fields[:-2] == [*old.fields[:5], new.fields[5], *old.fields[6:-2]], "all but the checksum"
    assert new.plain == old.plain and new.body == old.body
    assert new.coded_words(b"") == old.coded_words(b"")


@pytest.mark.parametrize(("name", "version"), [("wire_v1_low", 1), ("wire_v2_high", 2)])
def test_packets_of_former_versions_are_refused_as_such(name: str, version: int) -> None:
    words = f"reads version 3 of the packet format, the packet has {version}"
    with pytest.raises(UnsupportedVersion, match=words):
        decode_packet((GOLDEN / f"{name}.bin").read_bytes())


def test_the_documented_example_is_the_stored_packet() -> None:
    text = (ROOT / "docs" / "wire_format.md").read_text()
    assert " ".join(f"{b:02x}" for b in stored("compressed")[:32]) in " ".join(text.split())


def fresh_message() -> bytes:
    """The message, definition 2, around the first golden packet."""
    T, root = np.eye(4), np.tri(6) * np.arange(1.0, 7.0) / 8
    T[:3, 3] = 1.5, -2.25, 40.0
    about = {"agent": "uav2", "stamp_ns": 12_345_678_901, "frame": 7, "index": 1, "count": 3}
    return feature_message(
        stored("compressed"), fingerprint=FINGERPRINT, T_map_camera=T, covariance=root @ root.T, **about
    )


def test_the_message_around_a_packet_is_made_and_read_as_stored() -> None:
    message = (GOLDEN / "message_2.bin").read_bytes()
    assert message == fresh_message()
    read = typestore().deserialize_cdr(message, FEATURES)
    assert bytes(read.payload) == stored("compressed") and read.covariance.dtype == np.float32
    envelope = envelope_of(read, topic_agent="uav2", frame_id="map")
    root = np.tri(6) * np.arange(1.0, 7.0) / 8
    np.testing.assert_array_equal(envelope.covariance, root @ root.T)


if __name__ == "__main__":
    for name, packet in fresh().items():
        (GOLDEN / f"wire_v3_{name}.bin").write_bytes(packet)
    (GOLDEN / "message_2.bin").write_bytes(fresh_message())
