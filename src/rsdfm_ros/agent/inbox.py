"""Feature packets of the peers, from bytes to frames. Everything received is untrusted. Free of ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.wire.body import FeaturePart
from rsdfm_ros.wire.boxes import SideBoxes, carries_boxes, decode_boxes
from rsdfm_ros.wire.errors import FingerprintMismatch
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.packet import Expected, Limits, Part, assemble, decode_packet

FRAMES_KEPT = 4
"""Frames kept per peer: the one in use, the one arriving, and two that are ahead of the own stamp."""


@dataclass
class PeerFrame:
    """One frame of one peer as far as it has arrived: the parts of its features, its boxes if it sent any, and the
    indices of the packets that have arrived."""

    first: Envelope
    parts: list[Part] = field(default_factory=list)
    boxes: SideBoxes | None = None
    indices: set[int] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether all packets that the peer announced have arrived."""
        return len(self.indices) == self.first.count

    @property
    def usable(self) -> bool:
        """Whether any tile can be decoded."""
        return any(isinstance(p, FeaturePart) for p in self.parts)


@dataclass(frozen=True)
class InboxLimits:
    """max_peers 16 and max_packets 64 per frame bound the memory; max_ahead_s bounds stamps of a wrong clock; a peer
    whose stamps jump back by more than max_back_s has restarted."""

    max_peers: int = 16
    max_packets: int = 64
    max_ahead_s: float = 10.0
    max_back_s: float = 10.0
    wire: Limits = field(default_factory=Limits)


class Inbox:
    """The newest frames of every peer. Not thread-safe: the caller holds a lock.

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
        self._frames: dict[str, dict[int, PeerFrame]] = {}

    @property
    def peers(self) -> list[str]:
        """Peers that something usable came from, sorted."""
        return sorted(self._frames)

    def clear(self) -> None:
        """Forget everything, after the clock jumped back."""
        self._frames.clear()

    def forget(self, agent: str) -> None:
        """Forget a peer that is gone."""
        self._frames.pop(agent, None)

    def put(self, envelope: Envelope, payload: bytes | memoryview, now_ns: int | None) -> None:
        """Take one packet. now_ns: newest own stamp, None before the first own image.

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
        known = self._frames.get(envelope.agent)
        if known is None and len(self._frames) >= limits.max_peers:
            raise Refused("too_many_peers", f"{envelope.agent} would be peer number {limits.max_peers + 1}")
        content = self._decoded(envelope, payload)
        frames = self._frames.setdefault(envelope.agent, {})
        if frames and max(frames) - envelope.stamp_ns > limits.max_back_s * 1e9:
            frames.clear()
        if frames and envelope.stamp_ns < min(frames) and len(frames) >= FRAMES_KEPT:
            raise Refused("old_stamp", f"{envelope.agent} sent an image older than the {FRAMES_KEPT} kept")
        frame = frames.setdefault(envelope.stamp_ns, PeerFrame(envelope))
        if frame.first.count != envelope.count or frame.first.frame != envelope.frame:
            raise Refused("envelope_changed", f"{envelope.agent} announced an image twice, differently")
        if envelope.index in frame.indices:
            raise Refused("duplicate_packet", f"packet {envelope.index} of {envelope.agent} came twice")
        if not isinstance(content, SideBoxes):
            frame.parts.append(content)
        elif frame.boxes is None:
            frame.boxes = content
        else:
            raise Refused("boxes_twice", f"{envelope.agent} sent two messages of boxes for one image")
        frame.indices.add(envelope.index)
        while len(frames) > FRAMES_KEPT:
            self._give_up(frames.pop(min(frames)))

    def _decoded(self, envelope: Envelope, payload: bytes | memoryview) -> Part | SideBoxes:
        """The features or the boxes of a payload; boxes carry no model fingerprint, so that of the envelope is used."""
        expected = self._expected.fingerprint
        if carries_boxes(payload):
            if expected is not None and envelope.fingerprint != expected:
                raise FingerprintMismatch(expected, envelope.fingerprint)
            return decode_boxes(bytes(payload))
        part = decode_packet(payload, limits=self._limits.wire, expected=self._expected)
        if part.fingerprint != envelope.fingerprint:
            raise Refused("envelope_fingerprint", "message and payload name different models")
        return part

    def complete(self, agent: str, stamp_ns: int) -> bool:
        """Whether all packets of the peer's frame at exactly this stamp have arrived."""
        frame = self._frames.get(agent, {}).get(stamp_ns)
        return frame is not None and frame.complete

    def newest(self, agent: str, stamp_ns: int, max_age_s: float) -> PeerFrame | None:
        """The peer's newest usable frame not after `stamp_ns` and not older than max_age_s."""
        frames = self._frames.get(agent, {})
        good = [
            s for s, f in frames.items() if s <= stamp_ns and stamp_ns - s <= max_age_s * 1e9 and f.usable
        ]
        return frames[max(good)] if good else None

    def before(self, frame: PeerFrame, max_age_s: float) -> PeerFrame | None:
        """The earlier frame of the same peer for the missing tiles of `frame`: the usable one before it, not older than
        it by max_age_s; None if nothing is missing.
        """
        if frame.complete:
            return None
        return self.newest(frame.first.agent, frame.first.stamp_ns - 1, max_age_s)

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
