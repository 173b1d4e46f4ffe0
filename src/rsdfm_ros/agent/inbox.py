"""Feature packets of the peers, from bytes to frames. Everything received is untrusted. Free of ROS."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.agent.publishers import Gid
from rsdfm_ros.wire.assemble import check_scales
from rsdfm_ros.wire.body import DensePart, FeaturePart
from rsdfm_ros.wire.boxes import SideBoxes, carries_boxes, decode_boxes
from rsdfm_ros.wire.errors import FingerprintMismatch, InconsistentParts, WireError
from rsdfm_ros.wire.features import FeatureFrame, tile_keys
from rsdfm_ros.wire.header import Kind, unpack
from rsdfm_ros.wire.packet import Expected, Limits, assemble, decode_packets

FRAMES_KEPT = 4
"""Frames kept per publisher up to the newest own stamp: the one in use, those before it for lost tiles, late ones."""
FRAMES_AHEAD = 4
"""Frames kept per publisher that are ahead of the newest own stamp. They take no room from the others, and those
nearest to the own stamp are kept: a wrong clock or a false stamp drops nothing that may still be fused."""


@dataclass
class PeerFrame:
    """One frame of one peer as far as it has arrived: the parts of its features, its boxes if it sent any, and the
    indices of the packets that have arrived. tiles: keys of the tiles of its parts · coded: payloads of features by
    index that are still to be decoded."""

    first: Envelope
    parts: list[FeaturePart] = field(default_factory=list)
    boxes: SideBoxes | None = None
    indices: set[int] = field(default_factory=set)
    tiles: set[int] = field(default_factory=set)
    coded: dict[int, bytes] = field(default_factory=dict)

    def take(self, index: int, content: FeaturePart | SideBoxes | bytes) -> None:
        """Add the content of one packet, or its bytes. Raises: Refused or InconsistentParts if it does not go with the
        others."""
        agent = self.first.agent
        if index in self.indices:
            raise Refused("duplicate_packet", f"packet {index} of {agent} came twice")
        if isinstance(content, bytes):
            self.coded[index] = content
        elif isinstance(content, SideBoxes):
            if self.boxes is not None:
                raise Refused("boxes_twice", f"{agent} sent two messages of boxes for one image")
            self.boxes = content
        else:
            keys = tile_keys(content.frame.tiles).tolist()
            if not self.tiles.isdisjoint(keys):
                raise InconsistentParts("a tile came in two parts")
            if self.parts:
                check_scales(self.parts[0].frame, content.frame)
            self.parts.append(content)
            self.tiles.update(keys)
        self.indices.add(index)

    @property
    def complete(self) -> bool:
        """Whether all packets that the peer announced have arrived."""
        return len(self.indices) == self.first.count

    @property
    def usable(self) -> bool:
        """Whether there is any tile, as far as is known before all is decoded."""
        return bool(self.parts or self.coded)


@dataclass(frozen=True)
class InboxLimits:
    """max_peers and max_packets 64 per frame bound the memory; max_ahead_s bounds stamps of a wrong clock; a peer
    whose stamps jump back by more than max_back_s has restarted."""

    max_peers: int = DEFAULTS.max_peers
    max_packets: int = 64
    max_ahead_s: float = 10.0
    max_back_s: float = 10.0
    wire: Limits = field(default_factory=Limits)


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
        self._frames: dict[tuple[str, Gid], dict[int, PeerFrame]] = {}
        self._now_ns: int | None = None

    @property
    def peers(self) -> list[str]:
        """Peers that something usable came from, sorted."""
        return sorted({agent for agent, _ in self._frames})

    def clear(self) -> None:
        """Forget everything, after the clock jumped back."""
        self._frames.clear()
        self._now_ns = None

    def forget(self, agent: str, gid: Gid | None = None) -> None:
        """Forget a peer that is gone, or one of its publishers."""
        for key in [k for k in self._frames if k[0] == agent and gid in (None, k[1])]:
            del self._frames[key]

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
        content: FeaturePart | SideBoxes | bytes = self._checked(envelope, payload)
        if isinstance(content, bytes) and not later:
            (part,) = self.decoded([content])
            if isinstance(part, WireError):
                raise part
            content = part
        if now_ns is not None:
            self._now_ns = max(now_ns, self._now_ns or now_ns)
        frames = self._frames.setdefault((envelope.agent, gid), {})
        frame = self._room(frames, envelope)
        if frame.first.count != envelope.count or frame.first.frame != envelope.frame:
            raise Refused("envelope_changed", f"{envelope.agent} announced an image twice, differently")
        frame.take(envelope.index, content)
        frames[envelope.stamp_ns] = frame
        past, ahead = self._split(frames)
        for stamp_ns in [*past[:-FRAMES_KEPT], *ahead[FRAMES_AHEAD:]]:
            self._give_up(frames.pop(stamp_ns))

    def _room(self, frames: dict[int, PeerFrame], envelope: Envelope) -> PeerFrame:
        """The frame that a packet belongs to, a new one for a new stamp. Raises: Refused if there is no room for it."""
        past, ahead = self._split(frames)
        stamp_ns, agent = envelope.stamp_ns, envelope.agent
        if past and past[-1] - stamp_ns > self._limits.max_back_s * 1e9:
            frames.clear()
        elif len(past) >= FRAMES_KEPT and stamp_ns < past[0]:
            raise Refused("old_stamp", f"{agent} sent an image older than the {FRAMES_KEPT} kept")
        elif len(ahead) >= FRAMES_AHEAD and stamp_ns > ahead[-1]:
            text = f"{agent} sent an image beyond the {FRAMES_AHEAD} that are ahead of the own one"
            raise Refused("stamp_ahead", text, blames=False)
        return frames.get(stamp_ns) or PeerFrame(envelope)

    def _split(self, frames: dict[int, PeerFrame]) -> tuple[list[int], list[int]]:
        """Stamps up to the newest own one, all of them before the first own image, and those ahead of it; sorted."""
        stamps, now_ns = sorted(frames), self._now_ns
        at = len(stamps) if now_ns is None else bisect.bisect_right(stamps, now_ns)
        return stamps[:at], stamps[at:]

    def _checked(self, envelope: Envelope, payload: bytes | memoryview) -> bytes | SideBoxes:
        """The boxes of a payload, or features that are still to be decoded. Boxes carry no model fingerprint, so that
        of the envelope is used."""
        expected = self._expected.fingerprint
        if carries_boxes(payload):
            if expected is not None and envelope.fingerprint != expected:
                raise FingerprintMismatch(expected, envelope.fingerprint)
            return decode_boxes(bytes(payload))
        content = bytes(payload)
        header = unpack(memoryview(content), self._limits.wire, self._expected)
        if header.fingerprint != envelope.fingerprint:
            raise Refused("envelope_fingerprint", "message and payload name different models")
        if header.kind is Kind.DENSE:
            text = f"{envelope.agent} sent dense features, which UAVs do not exchange"
            raise Refused("dense_packet", text)
        return content

    def decoded(self, payloads: Sequence[bytes]) -> list[FeaturePart | WireError]:
        """The features of payloads that `_checked` has let pass, or why there are none; together in half the time."""
        found = decode_packets(payloads, limits=self._limits.wire, expected=self._expected)
        return [part for part in found if not isinstance(part, DensePart)]

    def complete(self, agent: str, stamp_ns: int, gid: Gid = b"") -> bool:
        """Whether all packets of the publisher's frame at exactly this stamp have arrived."""
        frame = self._frames.get((agent, gid), {}).get(stamp_ns)
        return frame is not None and frame.complete

    def newest(self, agent: str, stamp_ns: int, max_age_s: float, gid: Gid = b"") -> PeerFrame | None:
        """The publisher's newest usable frame not after `stamp_ns` and not older than max_age_s."""
        frames = self._frames.get((agent, gid), {})
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
