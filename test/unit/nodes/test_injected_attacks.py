"""Messages of attackers, as fault_injector_node puts them in the place of honest ones."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rclpy.serialization import serialize_message
from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.agent.envelope import Refused
from rsdfm_ros.nodes.convert.attacks import Attacker
from rsdfm_ros.nodes.convert.features import packet_of
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.faults.attack import COVARIANCE, NONE, REPLAYED, SATURATED, SHIFTED, WIRE_ATTACKS
from rsdfm_ros.wire.packet import decode_packet, encode_frame
from support.packets import packets_to_messages
from support.wire_frames import feature_frame

FINGERPRINT = 5


def image(frame: int, seed: int) -> list[bytes]:
    """The serialised messages of an image, half a second after the one before."""
    packets = encode_frame(feature_frame(seed, tiles=30), 2_500, fingerprint=FINGERPRINT)
    pose = np.eye(4)
    pose[0, 3] = seed
    return [
        bytes(serialize_message(m))
        for m in packets_to_messages(
            packets,
            agent="uav2",
            frame=frame,
            stamp_ns=10**9 + frame * 500_000_000,
            frame_id="map",
            fingerprint=FINGERPRINT,
            T_map_camera=pose,
            covariance=np.eye(6),
        )
    ]


@pytest.mark.parametrize("kind", WIRE_ATTACKS)
def test_messages_of_every_attack_are_accepted_by_receivers(kind: str) -> None:
    attacker, honest = Attacker(), image(0, 1)
    sent = [m for raw in honest for m in attacker.messages(raw, kind, 1.0)]
    assert len(sent) == len(honest) > 1
    for raw, true in zip(sent, honest, strict=True):
        envelope, payload = packet_of(raw, "uav2", "map")
        expected, features = packet_of(true, "uav2", "map")
        frame, known = decode_packet(payload).frame, decode_packet(features).frame
        assert envelope.stamp_ns == expected.stamp_ns
        assert (raw == true) == (kind in (NONE, REPLAYED))
        assert bool(envelope.covariance.any()) == (kind != COVARIANCE)
        assert np.array_equal(frame.tiles, known.tiles) == (kind != SHIFTED)
        assert np.array_equal(frame.high, known.high) == (kind != SATURATED)


def test_a_replayed_image_has_the_stamp_of_the_new_one_and_the_pose_and_features_of_the_old_one() -> None:
    attacker = Attacker()
    first = [m for raw in image(0, 1) for m in attacker.messages(raw, REPLAYED, 1.0)]
    again = [m for raw in image(1, 2) for m in attacker.messages(raw, REPLAYED, 1.0)]
    assert len(again) == len(first)
    for raw, true in zip(again, first, strict=True):
        envelope, payload = packet_of(raw, "uav2", "map")
        old, features = packet_of(true, "uav2", "map")
        assert (envelope.frame, envelope.stamp_ns) == (1, old.stamp_ns + 500_000_000)
        assert (envelope.index, envelope.count) == (old.index, old.count)
        assert bytes(payload) == bytes(features)
        np.testing.assert_array_equal(envelope.T_map_camera, old.T_map_camera)


def test_with_another_attack_a_replay_begins_anew() -> None:
    attacker = Attacker()
    for raw in image(0, 1):
        attacker.messages(raw, REPLAYED, 1.0)
    attacker.messages(image(1, 2)[0], NONE, 1.0)
    newest = image(2, 3)[0]
    assert attacker.messages(newest, REPLAYED, 1.0) == [newest]


@pytest.mark.parametrize("kind", WIRE_ATTACKS)
def test_what_is_no_packet_is_refused_by_attacks_that_read_it(kind: str) -> None:
    message = FeaturePacket(agent="uav2", packet_count=1)
    message.payload = array.array("B", b"RSDF and more")
    raw = bytes(serialize_message(message))
    if kind == NONE:
        assert Attacker().messages(b"", kind, 1.0) == [b""]
        return
    with pytest.raises(Refused, match="from /uav2/bev/features are no FeaturePacket"):
        Attacker().messages(b"\0\1\0\0", kind, 1.0, "/uav2/bev/features")
    if kind in (SATURATED, SHIFTED):
        with pytest.raises(WireError):
            Attacker().messages(raw, kind, 1.0)
    else:
        assert len(Attacker().messages(raw, kind, 1.0)) == 1
