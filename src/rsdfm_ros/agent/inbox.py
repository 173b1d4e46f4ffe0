"""Feature packets of the peers, from bytes to frames. Everything received is untrusted. Free of ROS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.frame_store import FrameStore, PeerFrame, StoreLimits
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.agent.publishers import Gid
from rsdfm_ros.wire.body import DensePart, FeaturePart
from rsdfm_ros.wire.boxes import SideBoxes, carries_boxes, decode_boxes
from rsdfm_ros.wire.errors import FingerprintMismatch, WireError
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.header import Kind, unpack
from rsdfm_ros.wire.packet import Expected, Limits, assemble, decode_packets

PACKET_BYTES = 512
"""Bytes that a packet is counted with beside its content: objects, and the envelope of its image."""


@dataclass(frozen=True)
class InboxLimits:
    """store: budgets of memory · max_peers and max_packets 64 per frame bound the number of objects · max_ahead_s:
    bounds stamps of a wrong clock."""

    max_peers: int = DEFAULTS.max_peers
    max_packets: int = 64
    max_ahead_s: float = 10.0
    wire: Limits = field(default_factory=Limits)
    store: StoreLimits = field(default_factory=StoreLimits)


class Inbox:
    """The newest frames of every publisher of every peer. Not thread-safe: the caller holds a lock.

    A publisher is told by its global identifier (gid), which is empty where the middleware does not tell it.
    on_lost: called with the peer and the number of its packets that were announced but never arrived, when a frame is
    given up.
    """

    def __init__(
        self,
        expected: Expected,
        limits: InboxLimits,
        on_lost: Callable[[str, int], None] = lambda agent, n: None,
    ) -> None:
        self._expected, self._limits, self._on_lost = expected, limits, on_lost
        self._store = FrameStore(limits.store, self._give_up)

    @property
    def peers(self) -> list[str]:
        """Peers that something usable came from, sorted."""
        return sorted(self._store.agents)

    @property
    def held_bytes(self) -> int:
        """Memory of what is kept, as it is counted against the budgets; the contents take no more."""
        return self._store.held_bytes

    def clear(self) -> None:
        """Forget everything, after the clock jumped back."""
        self._store.clear()

    def forget(self, agent: str, gid: Gid | None = None) -> None:
        """Forget a peer that is gone, or one of its publishers."""
        self._store.forget(agent, lambda known: gid in (None, known))

    def keep_only(self, agent: str, gids: Collection[Gid]) -> None:
        """Forget all other publishers of a peer."""
        self._store.forget(agent, lambda known: known not in gids)

    def put(
        self,
        envelope: Envelope,
        payload: bytes | memoryview,
        now_ns: int | None,
        gid: Gid = b"",
        *,
        later: bool = False,
    ) -> None:
        """Take one packet. now_ns: newest own stamp, None before the first own image · later: of features only header,
        sizes and checksum are checked now; they have to be decoded (`decoded`) before the frame is used.

        Raises: WireError, whose ``reason`` it is counted by.
        """
        limits = self._limits
        if not 1 <= envelope.count <= limits.max_packets or envelope.index >= envelope.count:
            raise Refused(
                "packet_count", f"packet {envelope.index} of {envelope.count} from {envelope.agent}"
            )
        if now_ns is not None and envelope.stamp_ns - now_ns > limits.max_ahead_s * 1e9:
            raise Refused(
                "future_stamp", f"{envelope.agent} is {(envelope.stamp_ns - now_ns) / 1e9:.1f} s ahead"
            )
        known = self.peers
        if envelope.agent not in known and len(known) >= limits.max_peers:
            raise Refused("too_many_peers", f"{envelope.agent} would be peer number {limits.max_peers + 1}")
        content: FeaturePart | SideBoxes | bytes
        content, size = self._checked(envelope, payload)
        store, key = self._store, (envelope.agent, gid)
        if now_ns is not None:
            store.now_ns = max(now_ns, store.now_ns or now_ns)
        frame = store.frame_for(key, envelope)
        if frame.first.count != envelope.count or frame.first.frame != envelope.frame:
            raise Refused("envelope_changed", f"{envelope.agent} announced an image twice, differently")
        frame.check(envelope.index, content)
        store.check_room(key, frame, size)  # before it is decoded, which takes most time
        if isinstance(content, bytes) and not later:
            (part,) = self.decoded([content])
            if isinstance(part, WireError):
                raise part
            content = part
        frame.check(envelope.index, content)
        store.put(key, frame, size)
        frame.take(envelope.index, content)

    def _checked(
        self, envelope: Envelope, payload: bytes | memoryview
    ) -> tuple[bytes, int] | tuple[SideBoxes, int]:
        """The boxes of a payload, or features that are still to be decoded, and the bytes that they are counted with:
        as many as they take until they are decoded and after that. Boxes carry no model fingerprint, so that of the
        envelope is used."""
        expected = self._expected.fingerprint
        content = bytes(payload)
        if carries_boxes(payload):
            if expected is not None and envelope.fingerprint != expected:
                raise FingerprintMismatch(expected, envelope.fingerprint)
            boxes = decode_boxes(content)
            return boxes, PACKET_BYTES + sum(column.nbytes for column in vars(boxes).values())
        header = unpack(memoryview(content), self._limits.wire, self._expected)
        if header.fingerprint != envelope.fingerprint:
            raise Refused("envelope_fingerprint", "message and payload name different models")
        if header.kind is Kind.DENSE:
            text = f"{envelope.agent} sent dense features, which UAVs do not exchange"
            raise Refused("dense_packet", text)
        return content, PACKET_BYTES + len(content) + max(header.decoded_bytes, header.part_bytes)

    def decoded(self, payloads: Sequence[bytes]) -> list[FeaturePart | WireError]:
        """The features of payloads that `_checked` has let pass, or why there are none; together in half the time."""
        found = decode_packets(payloads, limits=self._limits.wire, expected=self._expected)
        return [part for part in found if not isinstance(part, DensePart)]

    def complete(self, agent: str, stamp_ns: int, gid: Gid = b"") -> bool:
        """Whether all packets of the publisher's frame at exactly this stamp have arrived."""
        frame = self._store.of((agent, gid)).get(stamp_ns)
        return frame is not None and frame.complete

    def newest(self, agent: str, stamp_ns: int, max_age_s: float, gid: Gid = b"") -> PeerFrame | None:
        """The publisher's newest usable frame not after `stamp_ns` and not older than max_age_s."""
        frames = self._store.of((agent, gid))
        good = [
            s for s, f in frames.items() if s <= stamp_ns and stamp_ns - s <= max_age_s * 1e9 and f.usable
        ]
        return frames[max(good)] if good else None

    def before(self, frame: PeerFrame, max_age_s: float, gid: Gid = b"") -> PeerFrame | None:
        """The earlier frame of the same publisher for the missing tiles of `frame`: the usable one before it, not older
        than it by max_age_s; None if nothing is missing.
        """
        if frame.complete:
            return None
        return self.newest(frame.first.agent, frame.first.stamp_ns - 1, max_age_s, gid)

    def _give_up(self, frame: PeerFrame) -> None:
        missing = frame.first.count - len(frame.indices)
        if missing:
            self._on_lost(frame.first.agent, missing)


def features_of(frame: PeerFrame, expected: Expected) -> FeatureFrame:
    """The frame of the packets that arrived; WireError if they contradict each other."""
    return assemble(
        frame.parts,
        low_channels=expected.low_channels or 0,
        high_channels=expected.high_channels or 0,
    )
