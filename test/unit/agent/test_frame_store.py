"""What peers send takes a bounded amount of memory, and what makes room is what is used least."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from rsdfm_ros.agent import inbox as inboxes
from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.frame_store import FRAMES_KEPT, FrameStore, PeerFrame, StoreLimits
from rsdfm_ros.agent.inbox import Inbox, InboxLimits
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.publishers import MAX_PUBLISHERS, SILENT_S
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import Expected, encode_frame
from support.hostile_packets import CHANNELS, largest_packet
from support.wire_frames import feature_frame

SECOND = 10**9
EXPECTED = Expected(7, CHANNELS, CHANNELS)
HONEST = encode_frame(feature_frame(tiles=30, cells=300), 1500, fingerprint=7)


def envelope(agent: str, stamp_ns: int, index: int = 0, count: int = 1) -> Envelope:
    return Envelope(agent, stamp_ns, stamp_ns // SECOND, index, count, 7, np.eye(4), np.zeros((6, 6)))


# --- with packets -----------------------------------------------------------------------------------------------------


class Attack:
    """A receiver that counts refusals by reason."""

    def __init__(self, peers: int = 1) -> None:
        self.now_s = 0.0
        self.receiver = Receiver("uav0", EXPECTED, AgentOptions(), clock=lambda: self.now_s)
        self.receiver.newest_ns = 100 * SECOND
        self.reasons: Counter[str] = Counter()
        self.peers: list[Peer] = []
        for k in range(peers):
            peer = self.receiver.listen(f"uav{k + 1}", f"/uav{k + 1}/bev/features")
            assert peer is not None
            self.receiver.matched(peer, 1)
            self.peers.append(peer)

    def send(
        self, peer: Peer, stamp_ns: int, payload: bytes, index: int = 0, count: int = 64, gid: bytes = b"g"
    ) -> None:
        e = envelope(peer.name, stamp_ns, index, count)
        try:
            self.receiver.receive(peer, len(payload), lambda: (e, payload), gid)
        except WireError as error:
            self.refuse(peer, gid, error)

    def refuse(self, peer: Peer, gid: bytes, error: WireError) -> None:
        self.reasons[error.reason] += 1
        self.receiver.refuse(peer, gid, error)

    def flood(self, payload: bytes, gids: int = 1) -> None:
        """One packet over indices, stamps of the past and ahead, peers and publishers."""
        for peer in self.peers:
            for gid in range(gids):
                for k in range(8):
                    for index in range(6):
                        copy = bytes(bytearray(payload))
                        stamp_ns = 100 * SECOND + (k - 3) * SECOND // 10
                        self.send(peer, stamp_ns, copy, index, gid=b"%d" % gid)


def contents(inbox: Inbox) -> int:
    """Bytes of the arrays and payloads that an inbox keeps."""
    total = 0
    for key in list(inbox._store._frames):
        for frame in inbox._store.of(key).values():
            total += sum(map(len, frame.coded.values())) + frame.tiles.nbytes
            total += sum(array.nbytes for part in frame.parts for array in vars(part.frame).values())
    return total


@pytest.mark.parametrize(("peers", "gids"), [(17, 1), (5, 4)])
def test_one_packet_over_indices_stamps_peers_and_publishers_takes_a_bounded_amount_of_memory(
    peers: int, gids: int
) -> None:
    attack, payload = Attack(peers), largest_packet()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        attack.flood(payload, gids)
        assert attack.receiver.images(100 * SECOND, attack.refuse)
        gc.collect()
        after, most = (n - before for n in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    limits = StoreLimits()
    assert contents(attack.receiver.inbox) <= attack.receiver.inbox.held_bytes <= limits.total_bytes
    assert after < limits.total_bytes + 2 * 2**20
    assert most < limits.total_bytes + 48 * 2**20, "what decoding takes meanwhile is bounded as well"
    assert attack.reasons["image_memory"] > 0 and attack.reasons["peer_memory"] > 0
    assert not any(peer.quarantines for peer in attack.peers), "it may be an honest one that sends much"


def test_what_is_decoded_takes_no_more_than_it_is_counted_with() -> None:
    for tiles, cells in ((1, 0), (1, 256), (1000, 0), (300, 20_000), (30, 300)):
        payload = largest_packet(tiles, cells)
        box = Inbox(EXPECTED, InboxLimits())
        box.put(envelope("uav1", SECOND), payload, SECOND)
        assert contents(box) <= box.held_bytes <= 3 * contents(box) + 2048


def test_packets_without_room_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    attack, payload, decoded = Attack(), largest_packet(), []
    original = inboxes.decode_packets
    monkeypatch.setattr(
        inboxes, "decode_packets", lambda packets, **kinds: decoded.append(1) or original(packets, **kinds)
    )
    for index in range(30):
        attack.send(attack.peers[0], 100 * SECOND, payload, index)
        attack.peers[0].publishers.leading.trusted = False
    assert attack.reasons["image_memory"] >= 28 and len(decoded) <= 2


def test_honest_peers_are_fused_beside_a_flood_that_fills_all_memory() -> None:
    attack, payload = Attack(17), largest_packet()
    honest = attack.peers.pop()
    for k in range(FRAMES_KEPT):
        for index, packet in enumerate(HONEST):
            attack.send(honest, (97 + k) * SECOND, packet, index, len(HONEST))
    attack.flood(payload, 4)
    assert attack.receiver.inbox.held_bytes > StoreLimits().total_bytes * 0.9
    kept = attack.receiver.inbox._store.of((honest.name, b"g"))
    assert len(kept) == FRAMES_KEPT and all(frame.complete for frame in kept.values())
    for index, packet in enumerate(HONEST):  # after the flood, and ahead of the newest own image
        attack.send(honest, 101 * SECOND, packet, index, len(HONEST))
    attack.receiver.newest_ns = 101 * SECOND
    images = attack.receiver.images(101 * SECOND, attack.refuse)
    (mine,) = [image for image in images if image.peer == honest.name]
    assert mine.frame.first.stamp_ns == 101 * SECOND and mine.frame.complete and honest.rejected == 0


def test_nothing_is_kept_of_publishers_whose_record_made_room() -> None:
    attack = Attack()
    for k in range(40):
        attack.now_s += SILENT_S + 0.1
        attack.send(attack.peers[0], 100 * SECOND, HONEST[0], gid=b"%d" % k)
    assert len(attack.receiver.inbox._store._frames) <= MAX_PUBLISHERS
    assert attack.reasons == {}


# --- the budgets, with made-up sizes ----------------------------------------------------------------------------------


class Store:
    """A store of at most 3 bytes per image, 10 per publisher and 20 in all; stamps are in s, the own one is 10."""

    def __init__(self) -> None:
        self.dropped: list[tuple[str, int]] = []
        self.store = FrameStore(StoreLimits(3, 10, 20), self._note)
        self.store.now_ns = 10 * SECOND

    def _note(self, frame: PeerFrame) -> None:
        self.dropped.append((frame.first.agent, frame.first.stamp_ns // SECOND))

    def put(self, agent: str, second: int, size: int) -> None:
        key, e = (agent, b""), envelope(agent, second * SECOND)
        self.store.put(key, self.store.frame_for(key, e), size)

    def refused(self, agent: str, second: int, size: int) -> str:
        before = self.kept()
        with pytest.raises(Refused) as caught:
            self.put(agent, second, size)
        assert self.kept() == before and not caught.value.blames
        return caught.value.reason

    def kept(self) -> dict[str, dict[int, int]]:
        return {
            key[0]: {stamp // SECOND: f.held_bytes for stamp, f in frames.items()}
            for key, frames in self.store._frames.items()
        }


def test_an_image_has_a_budget() -> None:
    s = Store()
    s.put("a", 10, 2)
    s.put("a", 10, 1)
    assert s.refused("a", 10, 1) == "image_memory" and s.refused("a", 9, 4) == "image_memory"


def test_a_claim_of_the_future_drops_nothing_of_the_past() -> None:
    s = Store()
    for second in (8, 9, 10):
        s.put("a", second, 3)
    assert s.refused("a", 11, 2) == "peer_memory"
    s.put("a", 11, 1)
    assert s.refused("a", 12, 1) == "peer_memory", "nor of a nearer future"
    assert s.kept() == {"a": {8: 3, 9: 3, 10: 3, 11: 1}} and s.dropped == []


def test_an_image_of_the_past_drops_what_is_ahead_and_then_what_is_older() -> None:
    s = Store()
    for second, size in ((12, 3), (11, 3), (8, 3)):
        s.put("a", second, size)
    s.put("a", 9, 3)
    assert s.dropped == [("a", 12)]
    s.put("a", 10, 3)
    assert s.dropped == [("a", 12), ("a", 11)]
    assert s.refused("a", 7, 2) == "peer_memory", "what is newer does not make room for what is older"
    s.store.now_ns = 11 * SECOND
    s.put("a", 11, 2)
    assert s.dropped[2:] == [("a", 8)] and s.kept() == {"a": {9: 3, 10: 3, 11: 2}}


def test_who_keeps_most_makes_room_for_who_keeps_less() -> None:
    s = Store()
    for agent in "ab":
        for second in (8, 9, 10):
            s.put(agent, second, 3)
    s.put("c", 10, 2)
    s.put("c", 9, 1)
    assert s.dropped == [("a", 8)] and s.kept()["c"] == {10: 2, 9: 1}
    s.put("c", 11, 3)
    assert s.dropped == [("a", 8), ("b", 8)] and s.store.held_bytes == 18
    s.put("c", 8, 2)
    assert s.store.held_bytes == 20
    assert s.refused("c", 12, 1) == "peer_memory", "more than an equal share: it has to give of its own"
    s.put("a", 10, 0)
    s.put("d", 10, 3)
    assert s.dropped[2] == ("c", 8), "the oldest one of the past, not the only one ahead"


def test_a_publisher_that_has_restarted_begins_with_an_empty_account() -> None:
    s = Store()
    s.store.now_ns = 100 * SECOND
    for second in (98, 99, 100):
        s.put("a", second, 3)
    s.put("a", 10, 3)
    assert s.kept() == {"a": {10: 3}} and s.store.held_bytes == 3
    s.store.forget("a", lambda gid: gid == b"")
    assert s.store.held_bytes == 0 and s.kept() == {}
    s.put("a", 10, 1)
    s.store.clear()
    assert s.store.held_bytes == 0 and s.store.agents == set()
