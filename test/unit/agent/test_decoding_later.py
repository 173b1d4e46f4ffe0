"""Features of a publisher whose packets are valid are decoded when they are used; what is wrong then is refused as
before."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from rsdfm_ros.agent import inbox as inboxes
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.inbox import features_of
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.header import CRC_OFFSET, FIXED_BYTES, Header, fields_of
from rsdfm_ros.wire.packet import Expected, encode_frame
from support.wire_frames import feature_frame, same

SECOND = 10**9
FRAME = feature_frame(tiles=30, cells=300)
PACKETS = encode_frame(FRAME, 1500, fingerprint=7)
EXPECTED = Expected(7, 16, 16)


def corrupted(packet: bytes) -> bytes:
    """The packet with another state of the entropy coder and the checksum of it: only decoding tells."""
    data = bytearray(packet)
    data[FIXED_BYTES + Header.of(fields_of(packet)).plain_bytes + 1] ^= 0x55
    data[CRC_OFFSET : CRC_OFFSET + 4] = bytes(4)
    data[CRC_OFFSET : CRC_OFFSET + 4] = struct.pack("<I", zlib.crc32(data))
    return bytes(data)


class Bench:
    """A receiver with one peer, and the number of packets that were decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
        self.receiver = Receiver("uav1", EXPECTED, AgentOptions(**options), clock=lambda: 0.0)  # type: ignore[arg-type]
        peer = self.receiver.listen("uav2", "/uav2/bev/features")
        assert peer is not None
        self.peer: Peer = peer
        self.receiver.matched(peer, 1)
        self.decoded = 0
        self.refused: list[str] = []
        self.lengths: list[float | None] = []
        self.together: list[int] = []
        original = inboxes.decode_packets

        def counted(packets: list[bytes], **kinds: object) -> object:
            self.decoded += len(packets)
            self.together.append(len(packets))
            return original(packets, **kinds)  # type: ignore[arg-type]

        monkeypatch.setattr(inboxes, "decode_packets", counted)

    def send(self, second: int, *payloads: bytes) -> None:
        for index, payload in enumerate(payloads):
            e = Envelope(
                "uav2", second * SECOND, second, index, len(payloads), 7, np.eye(4), np.zeros((6, 6))
            )
            try:
                self.receiver.receive(self.peer, len(payload), lambda e=e, p=payload: (e, p), b"gid")
            except WireError as error:
                self.refuse(self.peer, b"gid", error)

    def refuse(self, peer: Peer, gid: bytes, error: WireError) -> None:
        self.refused.append(error.reason)
        self.lengths.append(self.receiver.refuse(peer, gid, error))

    def images(self, second: int) -> list[object]:
        return list(self.receiver.images(second * SECOND, self.refuse))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch, quarantine_after=3, quarantine_s=10.0)


def test_only_what_is_used_is_decoded_once_a_publisher_has_sent_a_valid_packet(bench: Bench) -> None:
    bench.send(1, *PACKETS)
    assert bench.decoded == 1, "the first packet of a stranger"
    for second in (2, 3, 4):
        bench.send(second, *PACKETS)
    assert bench.decoded == 1 and bench.receiver.missing(4 * SECOND) == []
    (image,) = bench.receiver.images(4 * SECOND)
    assert bench.decoded == 1 + len(PACKETS) and same(features_of(image.frame, EXPECTED), FRAME)
    assert bench.images(4) and bench.decoded == 1 + len(PACKETS), "once"
    assert bench.together == [1, len(PACKETS)], "and all in one go"


def test_the_image_before_is_decoded_only_for_tiles_that_are_missing(bench: Bench) -> None:
    bench.send(1, PACKETS[0])
    bench.send(2, *PACKETS)
    bench.decoded = 0
    e = Envelope("uav2", 3 * SECOND, 3, 0, len(PACKETS), 7, np.eye(4), np.zeros((6, 6)))
    bench.receiver.receive(bench.peer, 10, lambda: (e, PACKETS[0]), b"gid")
    (image,) = bench.receiver.images(3 * SECOND)
    assert image.before is not None and same(features_of(image.before, EXPECTED), FRAME)
    assert bench.decoded == 1 + len(PACKETS)


def test_what_does_not_decode_is_refused_by_reason_and_the_rest_of_the_image_is_used(bench: Bench) -> None:
    bench.send(1, PACKETS[0])
    bench.send(2, corrupted(PACKETS[0]), *PACKETS[1:])
    assert bench.refused == []
    (image,) = bench.receiver.images(2 * SECOND, bench.refuse)
    assert len(bench.refused) == 1 and bench.refused[0] in ("corrupt_body", "decoded_size_mismatch")
    assert image.frame.indices == set(range(1, len(PACKETS))) and not image.frame.complete
    assert bench.peer.rejected == 1
    bench.decoded = 0
    bench.send(3, *PACKETS)
    assert bench.decoded == 1, "its next packet is looked into when it comes"


def test_an_image_of_which_nothing_decodes_gives_way_to_the_one_before(bench: Bench) -> None:
    bench.send(1, PACKETS[0])
    bench.send(2, corrupted(PACKETS[0]))
    (image,) = bench.receiver.images(2 * SECOND, bench.refuse)
    assert image.frame.first.stamp_ns == SECOND and len(bench.refused) == 1


def test_packets_that_contradict_each_other_are_refused_when_they_are_decoded(bench: Bench) -> None:
    bench.send(1, PACKETS[0])
    bench.send(2, PACKETS[0], PACKETS[0])
    (image,) = bench.receiver.images(2 * SECOND, bench.refuse)
    assert bench.refused == ["inconsistent_parts"] and image.frame.indices == {0}


def test_a_publisher_of_nothing_but_nonsense_is_quarantined_as_before(bench: Bench) -> None:
    bench.send(1, PACKETS[0])
    bench.send(2, corrupted(PACKETS[0]))
    bench.images(2)
    bench.send(3, corrupted(PACKETS[0]))
    bench.send(4, corrupted(PACKETS[0]))
    assert bench.lengths == [None, None, 10.0]
    assert bench.images(4) == [] and bench.peer.quarantined(0.0)


def test_own_packets_are_decoded_when_they_are_complete_and_asked_for(bench: Bench) -> None:
    own = bench.receiver.listen("uav1")
    assert own is not None
    for second in (1, 2):
        for index, payload in enumerate(PACKETS):
            e = Envelope("uav1", second * SECOND, second, index, len(PACKETS), 7, np.eye(4), np.zeros((6, 6)))
            bench.receiver.receive(own, 10, lambda e=e, p=payload: (e, p))
    assert bench.decoded == 1
    frame = bench.receiver.own_image(2 * SECOND)
    assert frame is not None and same(features_of(frame, EXPECTED), FRAME)
    assert bench.receiver.own_image(3 * SECOND) is None
