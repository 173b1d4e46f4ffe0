"""Frames of the peers' packets within budgets of memory: what is kept of every publisher, and what makes room."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.envelope import Envelope, Refused
from rsdfm_ros.agent.publishers import Gid
from rsdfm_ros.wire.assemble import check_scales
from rsdfm_ros.wire.body import FeaturePart
from rsdfm_ros.wire.boxes import SideBoxes
from rsdfm_ros.wire.errors import InconsistentParts
from rsdfm_ros.wire.features import tile_keys

FRAMES_KEPT = 4
"""Frames kept per publisher up to the newest own stamp: the one in use, those before it for lost tiles, late ones."""
FRAMES_AHEAD = 4
"""Frames kept per publisher that are ahead of the newest own stamp. They take no room from the others, and those
nearest to the own stamp are kept: a wrong clock or a false stamp drops nothing that may still be fused."""


@dataclass(frozen=True)
class StoreLimits:
    """Bounds of what is kept, in bytes as the inbox counts those of packets.

    image_bytes 1 MiB: one image; all cells of the shipped model's window take 0.7 MiB, an image of 18 kB 0.15 MiB ·
    publisher_bytes 4 MiB: all images of one publisher · total_bytes 32 MiB: all images of all publishers · max_back_s:
    a publisher whose stamps jump back by more has restarted.
    """

    image_bytes: int = 2**20
    publisher_bytes: int = 4 * 2**20
    total_bytes: int = 32 * 2**20
    max_back_s: float = 10.0


@dataclass
class PeerFrame:
    """One frame of one peer as far as it has arrived: the parts of its features, its boxes if it sent any, and the
    indices of the packets that have arrived. tiles (M,): keys of the tiles of its parts · coded: payloads of features
    by index that are still to be decoded · held_bytes: of the packets that were put into it, decoded or not."""

    first: Envelope
    parts: list[FeaturePart] = field(default_factory=list)
    boxes: SideBoxes | None = None
    indices: set[int] = field(default_factory=set)
    tiles: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    coded: dict[int, bytes] = field(default_factory=dict)
    held_bytes: int = 0

    def check(self, index: int, content: FeaturePart | SideBoxes | bytes) -> None:
        """Raise Refused or InconsistentParts if the content of a packet does not go with the others."""
        agent = self.first.agent
        if index in self.indices:
            raise Refused("duplicate_packet", f"packet {index} of {agent} came twice")
        if isinstance(content, SideBoxes):
            if self.boxes is not None:
                raise Refused("boxes_twice", f"{agent} sent two messages of boxes for one image")
        elif isinstance(content, FeaturePart):
            if np.isin(tile_keys(content.frame.tiles), self.tiles).any():
                raise InconsistentParts("a tile came in two parts")
            if self.parts:
                check_scales(self.parts[0].frame, content.frame)

    def take(self, index: int, content: FeaturePart | SideBoxes | bytes) -> None:
        """Add the content of one packet, or its bytes. Raises: see `check`."""
        self.check(index, content)
        if isinstance(content, bytes):
            self.coded[index] = content
        elif isinstance(content, SideBoxes):
            self.boxes = content
        else:
            self.parts.append(content)
            self.tiles = np.concatenate([self.tiles, tile_keys(content.frame.tiles)])
        self.indices.add(index)

    @property
    def complete(self) -> bool:
        """Whether all packets that the peer announced have arrived."""
        return len(self.indices) == self.first.count

    @property
    def usable(self) -> bool:
        """Whether there is any tile, as far as is known before all is decoded."""
        return bool(self.parts or self.coded)


Key = tuple[str, Gid]
"""Name of a peer, and one of its publishers."""
Place = tuple[Key, int]
"""Publisher and stamp of a frame."""


class FrameStore:
    """The newest frames of every publisher by stamp.

    now_ns: newest own stamp, up to which frames are of the past · on_given_up: called with every frame that is dropped
    to make room.
    """

    def __init__(self, limits: StoreLimits, on_given_up: Callable[[PeerFrame], None]) -> None:
        self._limits, self._on_given_up = limits, on_given_up
        self._frames: dict[Key, dict[int, PeerFrame]] = {}
        self._bytes: dict[Key, int] = {}
        self.now_ns: int | None = None

    @property
    def agents(self) -> set[str]:
        """Names of the peers with frames."""
        return {agent for agent, _ in self._frames}

    @property
    def held_bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(self._bytes.values())

    def of(self, key: Key) -> dict[int, PeerFrame]:
        """The frames of a publisher by stamp."""
        return self._frames.get(key, {})

    def clear(self) -> None:
        """Drop everything."""
        self._frames.clear()
        self._bytes.clear()
        self.now_ns = None

    def forget(self, agent: str, forgotten: Callable[[Gid], bool]) -> None:
        """Drop the frames of those publishers of a peer for which `forgotten` is true."""
        for key in [k for k in self._frames if k[0] == agent and forgotten(k[1])]:
            del self._frames[key], self._bytes[key]

    def frame_for(self, key: Key, envelope: Envelope) -> PeerFrame:
        """The frame that a packet belongs to, a new one for a new stamp, which is kept from `put` on. Raises: Refused
        if there are newer ones in the past, or nearer ones ahead, than are kept."""
        stamp_ns, agent = envelope.stamp_ns, envelope.agent
        if self._restarted(key, stamp_ns):
            return PeerFrame(envelope)
        past, ahead = self._split(self.of(key))
        if len(past) >= FRAMES_KEPT and stamp_ns < past[0]:
            raise Refused("old_stamp", f"{agent} sent an image older than the {FRAMES_KEPT} kept")
        if len(ahead) >= FRAMES_AHEAD and stamp_ns > ahead[-1]:
            text = f"{agent} sent an image beyond the {FRAMES_AHEAD} that are ahead of the own one"
            raise Refused("stamp_ahead", text, blames=False)
        return self.of(key).get(stamp_ns) or PeerFrame(envelope)

    def check_room(self, key: Key, frame: PeerFrame, size: int) -> None:
        """Raise Refused if a packet of `size` bytes more for a frame does not fit into the budgets."""
        self._given_for(key, frame, size)

    def put(self, key: Key, frame: PeerFrame, size: int) -> None:
        """Keep a frame with a packet of `size` bytes more, and drop others that have to make room.

        A publisher makes room by its own frames that are ahead of this one and, for an image of the past, by older
        ones: what is claimed of the future drops nothing of the past. If the budget of all is spent, those publishers
        make room that keep more than this one: nobody is left with less than an equal share. Frames of a publisher
        that has restarted are dropped. Raises: see check_room; then nothing is dropped.
        """
        own, stamp_ns = self._given_for(key, frame, size), frame.first.stamp_ns
        if self._restarted(key, stamp_ns):
            del self._frames[key], self._bytes[key]
        self._drop(own)
        while self.held_bytes + size > self._limits.total_bytes:
            largest = max((k for k in self._bytes if k != key), key=lambda k: self._bytes[k])
            past, ahead = self._split(self.of(largest))
            least_useful = [*reversed(ahead[1:]), *past[:-1], *ahead[:1], *past[-1:]]
            self._drop([(largest, least_useful[0])])
        frames = self._frames.setdefault(key, {})
        frames[stamp_ns] = frame
        frame.held_bytes += size
        self._bytes[key] = self._bytes.get(key, 0) + size
        past, ahead = self._split(frames)
        self._drop((key, other) for other in [*past[:-FRAMES_KEPT], *ahead[FRAMES_AHEAD:]])

    def _restarted(self, key: Key, stamp_ns: int) -> bool:
        past, _ = self._split(self.of(key))
        return bool(past) and past[-1] - stamp_ns > self._limits.max_back_s * 1e9

    def _given_for(self, key: Key, frame: PeerFrame, size: int) -> list[Place]:
        """The frames that a publisher has to give for `size` bytes more of one of its own. Raises: Refused."""
        limits, agent = self._limits, key[0]
        if frame.held_bytes + size > limits.image_bytes:
            text = f"an image of {agent} takes more than {limits.image_bytes} bytes"
            raise Refused("image_memory", text, blames=False)
        restarted = self._restarted(key, frame.first.stamp_ns)
        mine = size if restarted else self._bytes.get(key, 0) + size
        candidates = iter(()) if restarted else self._of_own(key, frame.first.stamp_ns)
        given: list[Place] = []
        while mine > limits.publisher_bytes or not self._fair(key, mine):
            place = next(candidates, None)
            if place is None:
                text = f"{agent} has no room for an image, with {mine} bytes of its images"
                raise Refused("peer_memory", text, blames=False)
            given.append(place)
            mine -= self._frames[key][place[1]].held_bytes
        return given

    def _of_own(self, key: Key, stamp_ns: int) -> Iterator[Place]:
        """Frames that a publisher gives for one of its own, the least useful ones first."""
        past, ahead = self._split(self.of(key))
        is_past = self.now_ns is None or stamp_ns <= self.now_ns
        for other in reversed(ahead):
            if other > stamp_ns:
                yield key, other
        for other in past if is_past else ():
            if other < stamp_ns:
                yield key, other

    def _fair(self, key: Key, mine: int) -> bool:
        """Whether `mine` bytes of a publisher fit if no other one keeps more than that."""
        total = self.held_bytes - self._bytes.get(key, 0) + mine
        limit = self._limits.total_bytes
        return total <= limit or mine + sum(min(mine, n) for k, n in self._bytes.items() if k != key) <= limit

    def _split(self, frames: dict[int, PeerFrame]) -> tuple[list[int], list[int]]:
        """Stamps up to the newest own one, all of them before the first own image, and those ahead of it; sorted."""
        stamps, now_ns = sorted(frames), self.now_ns
        at = len(stamps) if now_ns is None else bisect.bisect_right(stamps, now_ns)
        return stamps[:at], stamps[at:]

    def _drop(self, places: Iterable[Place]) -> None:
        for key, stamp_ns in list(places):
            frame = self._frames[key].pop(stamp_ns)
            self._bytes[key] -= frame.held_bytes
            self._on_given_up(frame)
            if not self._frames[key]:
                del self._frames[key], self._bytes[key]
