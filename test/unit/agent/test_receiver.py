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
PAYLOAD = encode_frame(feature_frame(), fingerprint=7)[0]


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

    def packet(self, name: str, stamp_ns: int, index: int = 0, count: int = 1) -> object:
        e = envelope(name, stamp_ns, index, count)
        return self.receiver.receive(self.peers[name], len(PAYLOAD), lambda: (e, PAYLOAD))

    def bad(self, name: str) -> float | None:
        def parse() -> tuple[Envelope, bytes]:
            raise Refused("not_cdr", "nonsense")

        with pytest.raises(WireError):
            self.receiver.receive(self.peers[name], 10, parse)
        return self.receiver.refuse(self.peers[name])


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
