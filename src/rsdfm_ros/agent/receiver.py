"""Everything that a UAV keeps of its peers: their state, their frames, and quarantines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.frame_store import PeerFrame
from rsdfm_ros.agent.inbox import Inbox, InboxLimits
from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.publishers import Gid
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.limits import Expected

Count = Callable[[str, int], None]
"""Adds to a counter by name."""


@dataclass(frozen=True)
class Receipt:
    """A packet that was taken. complete: all packets of the image of this stamp have arrived."""

    stamp_ns: int
    complete: bool


@dataclass(frozen=True)
class PeerImage:
    """The newest usable image of a peer, the one before it for missing tiles, and the publisher that sent them."""

    peer: str
    frame: PeerFrame
    before: PeerFrame | None
    publisher: Gid = b""


OnRefused = Callable[[Peer, Gid, WireError], None]
"""Called with a peer, the publisher of a packet that was decoded after its arrival, and why it is refused."""


DECODED_TOGETHER = 16
"""So many packets are decoded at once: as many as save time, and few enough to bound the memory."""


@dataclass(frozen=True)
class _Coded:
    """A packet of features that is still to be decoded: of which peer and publisher, and its place in a frame."""

    peer: Peer
    gid: Gid
    frame: PeerFrame
    index: int
    payload: bytes


class Receiver:
    """Packets of peers, for one UAV of the name `agent`. Safe from several threads; `lock` is re-entrant and protects
    the Peer objects too.

    inbox: shared with other UAVs that receive the same packets; by default an own one · count: counts packets
    that were lost, ignored or refused · clock: steady time in s. Packets of the UAV itself may be received, too: it is
    not one of its `peers`.
    """

    def __init__(
        self,
        agent: str,
        expected: Expected,
        options: AgentOptions = DEFAULTS,
        *,
        inbox: Inbox | None = None,
        count: Count = lambda name, number: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agent, self.options, self.lock = agent, options, threading.RLock()
        self.newest_ns: int | None = None
        """Stamp of the newest own image."""
        self._expected, self._count, self._clock = expected, count, clock
        self._peers: dict[str, Peer] = {}
        self.inbox = self._new_inbox() if inbox is None else inbox

    # --- peers ----------------------------------------------------------------------------------------------------

    @property
    def peers(self) -> list[Peer]:
        """All peers, without the UAV itself, by name."""
        with self.lock:
            return [peer for name, peer in sorted(self._peers.items()) if name != self.agent]

    def peer(self, name: str) -> Peer | None:
        """The peer of that name."""
        return self._peers.get(name)

    def listen(self, name: str, topic: str = "") -> Peer | None:
        """A new peer; None if the name is empty or taken."""
        with self.lock:
            if not name or name in self._peers:
                return None
            self._peers[name] = peer = Peer(name, topic)
            return peer

    def remove(self, peer: Peer) -> None:
        """Listen to a peer no more."""
        with self.lock:
            self._peers.pop(peer.name, None)
            self.inbox.forget(peer.name)

    def matched(self, peer: Peer, publishers: int) -> None:
        """Note the number of publishers of a peer: it counts as connected from the first one on, not only from its
        first packet."""
        with self.lock:
            peer.matched = peer.alive = publishers > 0
            if publishers == 0:
                self.inbox.forget(peer.name)
            if publishers <= 1:
                peer.publishers.gone()

    def clear(self) -> None:
        """Forget everything that has a stamp."""
        with self.lock:
            self.inbox.clear()
            self.newest_ns = None
            for peer in self.peers:
                peer.late = False

    def configure(self, options: AgentOptions) -> None:
        """Change the options; with another number of peers all frames are dropped."""
        with self.lock:
            other = options.max_peers != self.options.max_peers
            self.options = options
            if other:
                self.inbox = self._new_inbox()

    # --- packets --------------------------------------------------------------------------------------------------

    def receive(
        self,
        peer: Peer,
        size_bytes: int,
        parse: Callable[[], tuple[Envelope, bytes | memoryview]],
        gid: Gid = b"",
    ) -> Receipt | None:
        """Take a packet of a peer; None while its publisher is ignored.

        size_bytes: of the serialised message · parse: envelope and payload, or WireError · gid: of the publisher, empty
        if unknown. Features of a publisher whose packets were valid so far are decoded when they are used, those of
        others now. Raises: WireError, after which `refuse` is due.
        """
        now_s = self._clock()
        with self.lock:
            peer.arrived(size_bytes, now_s)
            known = peer.publishers.gids
            publisher = peer.publishers.of(gid, now_s)
            if gid not in known:
                self.inbox.keep_only(peer.name, peer.publishers.gids)
            if publisher is None:
                raise Refused("too_many_publishers", f"too many publish on {peer.topic}", blames=False)
            if publisher.quarantined(now_s):
                peer.ignored += 1
                self._count("packets_quarantined", 1)
                return None
        envelope, payload = parse()
        with self.lock:
            self.inbox.put(envelope, payload, self.newest_ns, gid, later=publisher.trusted)
            peer.accepted(now_s, gid)
            if peer.matched:
                peer.alive = True
            else:  # a packet may be handled after its sender was removed
                peer.publishers.gone()
            complete = gid == peer.gid and self.inbox.complete(peer.name, envelope.stamp_ns, gid)
            if complete and envelope.stamp_ns == self.newest_ns:
                peer.late = False
            return Receipt(envelope.stamp_ns, complete)

    def refuse(
        self, peer: Peer, gid: Gid | None = None, error: WireError | None = None, *, in_fusion: bool = False
    ) -> float | None:
        """Note that a packet of a peer was refused; the length of the quarantine, s, if one begins with it.

        gid: of the publisher, None for the one whose frames are used · in_fusion: see Peer.refused.
        """
        with self.lock:
            gid = peer.gid if gid is None else gid
            if isinstance(error, Refused) and not error.blames:
                peer.rejected += 1
                return None
            after, first_s = self.options.quarantine_after, self.options.quarantine_s
            length_s = peer.refused(self._clock(), after, first_s, gid, in_fusion=in_fusion)
            if length_s is not None:
                self._count("quarantines", 1)
                self.inbox.forget(peer.name, gid)
            return length_s

    def fused(self, names: Iterable[str]) -> None:
        """Note the peers whose images came through fusion."""
        with self.lock:
            for peer in (self._peers.get(name) for name in names):
                if peer is not None:
                    peer.fused()

    def missing(self, stamp_ns: int) -> list[Peer]:
        """Connected, punctual peers whose packets of an instant have not all arrived."""
        now_s = self._clock()
        with self.lock:
            expected = (p for p in self.peers if p.alive and not p.late and not p.quarantined(now_s))
            return [peer for peer in expected if not self.inbox.complete(peer.name, stamp_ns, peer.gid)]

    def images(self, stamp_ns: int, on_refused: OnRefused = lambda peer, gid, error: None) -> list[PeerImage]:
        """The newest usable image of every peer, not after `stamp_ns` and not older than `max_age_s`, by name.

        Their features are decoded here. on_refused: called without the lock for every packet that this fails with.
        """
        return self._images(self.peers, stamp_ns, self.options.max_age_s, on_refused)

    def own_image(
        self, stamp_ns: int, on_refused: OnRefused = lambda peer, gid, error: None
    ) -> PeerFrame | None:
        """The UAV's own image of a stamp, which came as packets; see `images`."""
        own = self._peers.get(self.agent)
        found = [] if own is None else self._images([own], stamp_ns, 0.0, on_refused)
        return found[0].frame if found else None

    def _images(
        self, peers: Sequence[Peer], stamp_ns: int, max_age_s: float, on_refused: OnRefused
    ) -> list[PeerImage]:
        while True:
            found: list[PeerImage] = []
            coded: list[_Coded] = []
            with self.lock:
                for peer in peers:
                    gid = peer.gid
                    frame = self.inbox.newest(peer.name, stamp_ns, max_age_s, gid)
                    if frame is None:
                        continue
                    before = self.inbox.before(frame, max_age_s, gid)
                    found.append(PeerImage(peer.name, frame, before, gid))
                    for one in (frame, before) if before is not None else (frame,):
                        coded += [_Coded(peer, gid, one, *item) for item in one.coded.items()]
            if not coded:
                return found
            for start in range(0, len(coded), DECODED_TOGETHER):
                for packet, error in self._decode(coded[start : start + DECODED_TOGETHER]):
                    on_refused(packet.peer, packet.gid, error)

    def _decode(self, coded: Sequence[_Coded]) -> list[tuple[_Coded, WireError]]:
        """Decode packets that are still coded, and put them into their frames; which are refused, and why."""
        refused: list[tuple[_Coded, WireError]] = []
        parts = self.inbox.decoded([packet.payload for packet in coded])
        with self.lock:
            for packet, part in zip(coded, parts, strict=True):
                frame = packet.frame
                if frame.coded.pop(packet.index, None) is None:
                    continue  # another UAV with the same inbox was faster
                frame.indices.discard(packet.index)
                try:
                    if isinstance(part, WireError):
                        raise part
                    frame.take(packet.index, part)
                except WireError as error:
                    refused.append((packet, error))
        return refused

    def _new_inbox(self) -> Inbox:
        limits = InboxLimits(max_peers=self.options.max_peers + 1)  # and the UAV itself
        return Inbox(self._expected, limits, self._on_lost)

    def _on_lost(self, name: str, packets: int) -> None:
        self._count("packets_lost", packets)
        peer = self._peers.get(name)
        if peer is not None:
            peer.lost += packets
