"""Peers of a UAV: packets that are taken, refused and missing, and peers that are ignored for a while."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.inbox import Inbox, InboxLimits
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import Expected, encode_frame
from support.wire_frames import feature_frame

SECOND = 10**9
PAYLOADS = encode_frame(feature_frame(tiles=30, cells=300), 1500, fingerprint=7)
PAYLOAD = PAYLOADS[0]


def envelope(agent: str, stamp_ns: int, index: int = 0, count: int = 1) -> Envelope:
    return Envelope(agent, stamp_ns, stamp_ns // SECOND, index, count, 7, np.eye(4), np.zeros((6, 6)))


class Bench:
    """A receiver with a clock that stands still, and two living peers."""

    def __init__(self, **options: object) -> None:
        self.now_s = 0.0
        self.counts: Counter[str] = Counter()
        self.receiver = Receiver(
            "uav1",
            Expected(7),
            AgentOptions(**options),  # type: ignore[arg-type]
            count=lambda name, n: self.counts.update({name: n}),
            clock=lambda: self.now_s,
        )
        self.peers = {name: self.listen(name) for name in ("uav2", "uav3")}

    def listen(self, name: str) -> Peer:
        peer = self.receiver.listen(name, f"/{name}/bev/features")
        assert peer is not None
        self.receiver.matched(peer, 1)
        return peer

    def packet(self, name: str, stamp_ns: int, index: int = 0, count: int = 1, gid: bytes = b"") -> object:
        e = envelope(name, stamp_ns, index, count)
        return self.receiver.receive(self.peers[name], 10, lambda: (e, PAYLOADS[index]), gid)

    def bad(self, name: str, gid: bytes = b"") -> float | None:
        def parse() -> tuple[Envelope, bytes]:
            raise Refused("not_cdr", "nonsense")

        with pytest.raises(WireError):
            self.receiver.receive(self.peers[name], 10, parse, gid)
        return self.receiver.refuse(self.peers[name], gid)


def test_an_image_is_missing_until_all_its_packets_are_here() -> None:
    b = Bench()
    assert [p.name for p in b.receiver.missing(SECOND)] == ["uav2", "uav3"]
    first = b.packet("uav2", SECOND, 0, 2)
    assert not first.complete  # type: ignore[attr-defined]
    assert [p.name for p in b.receiver.missing(SECOND)] == ["uav2", "uav3"]
    assert b.packet("uav2", SECOND, 1, 2).complete  # type: ignore[attr-defined]
    assert [p.name for p in b.receiver.missing(SECOND)] == ["uav3"]
    b.receiver.matched(b.peers["uav3"], 0)
    assert b.receiver.missing(SECOND) == [], "a peer that is gone is not waited for"


def test_late_peers_are_not_waited_for_until_they_are_on_time() -> None:
    b = Bench()
    b.receiver.newest_ns = 2 * SECOND
    b.peers["uav2"].late = True
    b.packet("uav2", SECOND)
    assert b.peers["uav2"].late and [p.name for p in b.receiver.missing(2 * SECOND)] == ["uav3"]
    b.packet("uav2", 2 * SECOND)
    assert not b.peers["uav2"].late


def test_the_newest_image_of_every_peer_is_found_with_the_one_before_for_what_is_lost() -> None:
    b = Bench(max_age_s=1.0)
    b.packet("uav2", SECOND)
    b.packet("uav2", 2 * SECOND, 0, 2)
    b.packet("uav3", SECOND)
    newest = {i.peer: i for i in b.receiver.images(2 * SECOND)}
    assert newest["uav2"].frame.first.stamp_ns == 2 * SECOND and not newest["uav2"].frame.complete
    assert newest["uav2"].before is not None and newest["uav2"].before.first.stamp_ns == SECOND
    assert newest["uav3"].frame.first.stamp_ns == SECOND and newest["uav3"].before is None
    assert [i.peer for i in b.receiver.images(3 * SECOND)] == ["uav2"], "older than a second"


def test_a_peer_is_ignored_after_refusals_in_a_row_and_heard_again_later() -> None:
    b = Bench(quarantine_after=3, quarantine_s=10.0)
    b.packet("uav2", SECOND)
    assert [b.bad("uav2") for _ in range(3)] == [None, None, 10.0]
    assert b.receiver.images(SECOND) == [] and b.counts["quarantines"] == 1
    assert b.packet("uav2", 2 * SECOND) is None and b.counts["packets_quarantined"] == 1
    assert b.peers["uav2"].ignored == 1 and [p.name for p in b.receiver.missing(SECOND)] == ["uav3"]
    b.now_s = 10.1
    assert b.packet("uav2", 3 * SECOND) is not None
    assert [b.bad("uav2") for _ in range(2)] == [None, None]
    b.packet("uav2", 4 * SECOND)
    assert b.bad("uav2") is None, "a good packet in between is enough"


def test_a_name_belongs_to_one_topic_and_own_packets_are_those_of_no_peer() -> None:
    b = Bench()
    assert b.receiver.listen("uav2", "/somebody/uav2/bev/features") is None and b.receiver.listen("") is None
    own = b.listen("uav1")
    b.receiver.receive(own, 10, lambda: (envelope("uav1", SECOND), PAYLOAD))
    assert [p.name for p in b.receiver.peers] == ["uav2", "uav3"] and b.receiver.images(SECOND) == []
    frame = b.receiver.own_image(SECOND)
    assert frame is not None and frame.complete
    b.receiver.remove(b.peers["uav2"])
    assert b.receiver.peer("uav2") is None and b.receiver.listen("uav2") is not None


def test_lost_packets_are_counted_for_their_peer() -> None:
    b = Bench()
    b.packet("uav2", SECOND, 0, 3)
    for n in range(2, 6):
        b.packet("uav2", n * SECOND)
    assert b.counts["packets_lost"] == 2 == b.peers["uav2"].lost


def test_everything_with_a_stamp_is_forgotten() -> None:
    b = Bench()
    b.receiver.newest_ns = SECOND
    b.packet("uav2", SECOND)
    b.peers["uav3"].late = True
    b.receiver.clear()
    assert b.receiver.images(SECOND) == [] and b.receiver.newest_ns is None and not b.peers["uav3"].late
    b.packet("uav2", SECOND)
    b.receiver.configure(AgentOptions(max_peers=1))
    assert b.receiver.images(SECOND) == []


def test_receivers_may_share_an_inbox() -> None:
    inbox = Inbox(Expected(7), InboxLimits(max_peers=3))
    receivers = [Receiver(name, Expected(7), inbox=inbox) for name in ("uav1", "uav2")]
    for receiver, other in zip(receivers, ("uav2", "uav1"), strict=True):
        receiver.listen(other)
    for name in ("uav1", "uav2"):
        inbox.put(envelope(name, SECOND), PAYLOAD, None)
    assert [[i.peer for i in r.images(SECOND)] for r in receivers] == [["uav2"], ["uav1"]]


HONEST, FORGER = b"honest", b"forger"


def test_a_forger_on_the_topic_of_an_honest_peer_puts_only_itself_in_quarantine() -> None:
    b = Bench(quarantine_after=8)
    b.packet("uav2", SECOND, gid=HONEST)
    assert [b.bad("uav2", FORGER) for _ in range(8)] == [None] * 7 + [30.0]
    assert not b.peers["uav2"].quarantined(b.now_s)
    assert b.packet("uav2", 2 * SECOND, gid=FORGER) is None and b.counts["packets_quarantined"] == 1
    assert b.packet("uav2", 2 * SECOND, gid=HONEST).complete  # type: ignore[attr-defined]
    assert b.peers["uav2"].quarantines == 1 and [i.peer for i in b.receiver.images(2 * SECOND)] == ["uav2"]


def test_what_a_forger_claims_first_refuses_nothing_of_the_honest_publisher() -> None:
    b = Bench(quarantine_after=2)
    b.packet("uav2", SECOND, gid=HONEST)
    for stamp in range(2, 10):
        b.packet("uav2", stamp * SECOND, gid=FORGER)  # the same stamps and indices, and all that may be kept
    for stamp in range(2, 10):
        receipt = b.packet("uav2", stamp * SECOND, gid=HONEST)
        assert receipt.complete  # type: ignore[attr-defined]
    assert b.peers["uav2"].gid == HONEST and b.peers["uav2"].rejected == 0


def test_the_publisher_with_valid_packets_leads_and_makes_way_when_it_is_silent_or_gone() -> None:
    b = Bench(quarantine_after=2)
    peer = b.peers["uav2"]
    b.bad("uav2", FORGER)
    assert peer.gid == FORGER, "it was the first to be heard"
    b.packet("uav2", SECOND, gid=HONEST)
    assert peer.gid == HONEST, "it was the first with a valid packet"
    b.packet("uav2", SECOND, 0, 3, gid=FORGER)
    assert peer.gid == HONEST and b.receiver.images(SECOND)[0].frame.complete
    assert not b.packet("uav2", 2 * SECOND, gid=FORGER).complete  # type: ignore[attr-defined]
    assert "uav2" in [p.name for p in b.receiver.missing(2 * SECOND)], "its packets are not the awaited ones"
    b.now_s = 10.0
    b.packet("uav2", 3 * SECOND, gid=b"restarted")
    assert peer.gid == b"restarted"
    b.receiver.matched(peer, 0)
    b.packet("uav2", 4 * SECOND, gid=b"restarted")  # handled after the news
    b.receiver.matched(peer, 1)
    b.packet("uav2", 5 * SECOND, gid=b"again")
    assert peer.gid == b"again"


def test_records_of_publishers_are_bounded_and_those_without_valid_packets_make_room() -> None:
    b = Bench()
    b.packet("uav2", SECOND, gid=HONEST)
    for n in range(50):
        b.bad("uav2", b"f%d" % n)
    for n in range(3):
        b.packet("uav2", SECOND, gid=b"g%d" % n)
    with pytest.raises(Refused) as caught:
        b.packet("uav2", SECOND, gid=b"one more")
    assert caught.value.reason == "too_many_publishers" and not caught.value.blames
    assert b.receiver.refuse(b.peers["uav2"], b"one more", caught.value) is None
    assert b.packet("uav2", 2 * SECOND, gid=HONEST) is not None


def test_images_that_fail_in_fusion_lead_to_quarantine_in_spite_of_valid_packets() -> None:
    b = Bench(quarantine_after=3)
    error, lengths = Refused("x", "x"), []
    for n in range(1, 6):
        b.packet("uav2", n * SECOND, gid=HONEST)
        if n == 2:
            b.receiver.fused(["uav2", "uav9"])
        lengths.append(b.receiver.refuse(b.peers["uav2"], None, error, in_fusion=True))
    assert lengths == [None, None, None, 30.0, None]
    assert b.peers["uav2"].quarantined(b.now_s) and b.receiver.images(5 * SECOND) == []
