"""An own image waits for the packets of punctual peers, not longer than is set; the newest image wins."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import numpy as np

from rsdfm_ros.agent.peer_wait import PeerWait
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.types import OwnFeatures


def own(stamp_ns: int) -> OwnFeatures:
    nothing: Any = None  # only the stamp matters here
    return OwnFeatures(stamp_ns, stamp_ns, nothing, nothing, np.eye(4), np.zeros((6, 6)), nothing)


class Setup:
    """A PeerWait with peers whose packets are here or not."""

    def __init__(self, wait_s: float = 60.0) -> None:
        self.peer, self.here, self.wait_s = Peer("uav2", "/uav2/bev/features"), set(), wait_s
        self.fused: list[int] = []
        self.counts: Counter[str] = Counter()
        self.done = threading.Event()
        self.waiting = PeerWait(threading.RLock(), self.missing, lambda: self.wait_s, self.fuse, self.count)

    def missing(self, stamp_ns: int) -> list[Peer]:
        return [] if stamp_ns in self.here or self.peer.late else [self.peer]

    def fuse(self, taken: OwnFeatures) -> None:
        self.fused.append(taken.stamp_ns)
        self.done.set()

    def count(self, name: str, number: int) -> None:
        self.counts[name] += number


def test_a_picture_is_fused_at_once_when_nothing_is_missing() -> None:
    s = Setup()
    s.here.add(1)
    s.waiting.take(own(1))
    assert s.fused == [1] and not s.counts


def test_a_picture_waits_until_what_is_missing_comes() -> None:
    s = Setup()
    s.waiting.take(own(1))
    s.waiting.check()
    assert s.fused == []
    s.here.add(1)
    s.waiting.check()
    s.waiting.check()
    assert s.fused == [1]


def test_the_newest_picture_takes_the_place_of_one_that_waits() -> None:
    s = Setup()
    for stamp in (1, 2, 3):
        s.waiting.take(own(stamp))
    s.here |= {1, 2, 3}
    s.waiting.check()
    assert s.fused == [3] and s.counts == {"fusions_skipped": 2}


def test_a_wait_in_vain_ends_and_the_peer_is_late() -> None:
    s = Setup(wait_s=0.01)
    s.waiting.take(own(1))
    assert s.done.wait(60)
    assert s.fused == [1] and s.peer.late and s.peer.waits == 1 and s.counts == {"peers_late": 1}
    s.waiting.take(own(2))
    assert s.fused == [1, 2], "a late peer is not waited for"


def test_what_is_stopped_is_never_fused() -> None:
    s = Setup(wait_s=0.01)
    s.waiting.take(own(1))
    s.waiting.stop()
    assert not s.done.wait(0.1) and s.fused == []
