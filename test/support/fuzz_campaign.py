"""Mutated packets through decoding, inbox and fusion of one UAV; what must not happen is counted."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.decoding import expected_of
from rsdfm_ros.agent.envelope import envelope_of
from rsdfm_ros.agent.fusion import FusionFailed
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.geometry.uncertainty import upper_triangle
from rsdfm_ros.wire.boxes import encode_boxes
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import MAX_DENSE_PACKET_BYTES, decode_packet, encode_frame
from support.agents import fleet, observe
from support.maps import boxes_at
from support.packet_mutations import MUTATIONS, boxes_field, extreme, nothing, splice
from support.painted import tiny_perception
from support.wire_frames import dense_frame, feature_frame

NS = 10**9
PEERS = ("uav2", "uav3")
EPOCH = 2_500
"""Packets that one UAV receives before the next one begins with nothing."""
PER_IMAGE = 100
"""Packets between two own images."""
SIZES = ((1, 0), (1, 3), (1, 9), (1, 20), (2, 5), (2, 16), (3, 12), (4, 60), (4, 1024), (30, 300))
"""Tiles and cells of the frames that are mutated: most are small, because a symbol more is a step more to decode."""
LARGE_SHARE = 0.01
"""Share of packets made of frames that decode to as much as a packet may."""


@dataclass
class Report:
    """What happened. untyped: packet by number with its error · slowest_ms: CPU time of the packet that took longest to
    decode or refuse, the best of some tries, and its number · reasons: refusals by reason · rss_mb: resident memory
    after the first epoch and at the end."""

    packets: int = 0
    taken: int = 0
    images: int = 0
    fused_peers: int = 0
    untyped: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    slowest: str = ""
    held_bytes: int = 0
    rss_mb: list[float] = field(default_factory=list)
    peak_rss_mb: float = 0.0


class Campaign:
    """Packet `n` depends on the seed and n alone."""

    def __init__(self, seed: int) -> None:
        self.seed, self.report = seed, Report()
        self._model = tiny_perception().with_thresholds({"detection": 0.0, "objects": 0.0})
        self._expected = expected_of(self._model)
        agents = fleet(self._model, DEFAULTS)
        owns = observe(agents, 0)
        self._own = owns["uav1"]
        self._packets = self._base(agents, owns)
        self._boxes = [encode_boxes(boxes_at(np.zeros((k, 2)))) for k in (0, 2, 40)]
        self._agent, self._now_s = agents["uav1"], 0.0

    def _base(self, agents: dict[str, Agent], owns: dict[str, Any]) -> list[bytes]:
        """Legal packets of all kinds."""
        fingerprint, packets = self._model.fingerprint, []
        for name in PEERS:

            def keep(payload: bytes, index: int, count: int) -> int:
                packets.append(payload)
                return len(payload)

            agents[name].send(owns[name], keep)
        packets = [p for p in packets if p[:4] != b"RSBX"]
        rng = np.random.default_rng(self.seed)
        for seed, (tiles, cells) in enumerate(SIZES):
            frame = feature_frame(seed, tiles, cells, 4, 4)
            for one in (frame, replace(frame, low=np.zeros_like(frame.low)), extreme(rng, frame)):
                packets += encode_frame(one, fingerprint=fingerprint)
        packets += encode_frame(dense_frame(tiles=2, channels=4), fingerprint=fingerprint)
        self._large = [
            max(encode_frame(frame, MAX_DENSE_PACKET_BYTES, fingerprint=fingerprint), key=len)
            for frame in (
                feature_frame(9, 1000, 60_000, 4, 4),
                extreme(rng, feature_frame(9, 300, 60_000, 4, 4)),
            )
        ]
        return packets

    def run(self, first: int, count: int, progress: Callable[[Report], None] = lambda report: None) -> Report:
        """Packets `first` to `first + count - 1`. progress: called after every epoch."""
        for n in range(first, first + count):
            if (n - first) % EPOCH == 0:
                if n > first:
                    self._note_memory()
                    progress(self.report)
                self._begin(n // EPOCH)
            self._packet(n)
            if n % PER_IMAGE == PER_IMAGE - 1:
                self._image(n)
        self._note_memory()
        progress(self.report)
        return self.report

    def _begin(self, epoch: int) -> None:
        options = replace(DEFAULTS, quarantine_after=8 if epoch % 8 == 7 else 0, doubt_peers=epoch % 2 == 0)
        self._agent = Agent("uav1", self._model, options, peers=PEERS, on_error=self._failed)
        self._agent.receiver._clock = lambda: self._now_s
        for peer in self._agent.receiver.peers:
            self._agent.receiver.matched(peer, 1)
        self._now_s, self._number = 0.0, 0

    # --- one packet -----------------------------------------------------------------------------------------------

    def payload(self, n: int) -> tuple[str, bytes]:
        """Name of the mutation and bytes of packet `n`."""
        rng = np.random.default_rng([self.seed, n])
        base = self._large if rng.random() < LARGE_SHARE else self._packets
        packet, other = (base[rng.integers(len(base))] for _ in range(2))
        if rng.random() < 0.1:
            packet = self._boxes[rng.integers(len(self._boxes))]
            mutation = (nothing, boxes_field, splice)[rng.integers(3)]
        else:
            mutation = MUTATIONS[rng.integers(len(MUTATIONS))] if rng.random() > 0.25 else nothing
        return mutation.__name__, mutation(rng, packet, other)

    def _packet(self, n: int) -> None:
        name, payload = self.payload(n)
        self.report.packets += 1
        rng = np.random.default_rng([self.seed, n, 1])
        message = self._message(rng, payload)
        receiver = self._agent.receiver
        peer = receiver.peer(PEERS[rng.integers(len(PEERS))])
        assert peer is not None
        if rng.random() > 0.02:
            message.agent = peer.name
        gid = b"g" if rng.random() < 0.95 else b"%d" % rng.integers(12)
        self._now_s += 0.01 if rng.random() < 0.999 else 100.0

        def parse() -> tuple[Any, bytes]:
            return envelope_of(message, topic_agent=peer.name, frame_id="map"), payload

        start = time.perf_counter()
        try:
            receipt = receiver.receive(peer, len(payload), parse, gid)
        except WireError as error:
            self._refused(peer, gid, error)
        except Exception as error:
            self._untyped(n, name, error)
        else:
            self.report.taken += receipt is not None
        if 1000.0 * (time.perf_counter() - start) > self.report.slowest_ms:
            self._time_again(n, name, payload)
        elif n % 16 == 0:  # what a trusted publisher sends is decoded with its image: here by itself, too
            self._decode(n, name, payload)

    def _decode(self, n: int, name: str, payload: bytes) -> None:
        try:
            decode_packet(payload, expected=self._expected)
        except WireError:
            pass
        except Exception as error:
            self._untyped(n, name, error)

    def _time_again(self, n: int, name: str, payload: bytes) -> None:
        times = []
        for _ in range(5):
            start = time.thread_time()
            self._decode(n, name, payload)
            times.append(1000.0 * (time.thread_time() - start))
        best = min(times)
        if best > self.report.slowest_ms:
            self.report.slowest_ms, self.report.slowest = best, f"packet {n} ({name}, {len(payload)} bytes)"

    def _message(self, rng: np.random.Generator, payload: bytes) -> Any:
        """The fields around a payload, as those of a FeaturePacket: near the own stamp, or anything."""
        now_ns = self._agent.receiver.newest_ns or self._own.stamp_ns + NS
        late_s = rng.choice(
            [0.0, 0.5, -0.5, 1.0, -3.0, -11.0, 30.0], p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.04, 0.01]
        )
        stamp_ns = max(0, now_ns - int(late_s * NS))
        count = (1, 8, 30, 64, 64)[stamp_ns // (NS // 2) % 5]
        if rng.random() < 0.03:
            count = int(rng.choice([0, 1, 65, 65_535]))
        x, y, z = rng.choice([0.0, 3.0, -40.0, 900.0], 3)
        if rng.random() < 0.03:
            y = rng.choice([999_999.0, 1_000_001.0, 1e30, np.nan, np.inf])
        orientation = np.array([0.0, 1.0, 0.0, 0.0] if rng.random() < 0.5 else [0.0, 0.0, 0.0, 1.0])
        if rng.random() < 0.03:
            orientation = rng.normal(0, 1, 4) * rng.choice([1.0, 1e30, 1e-30])
        elif rng.random() < 0.1:
            orientation = orientation * rng.choice([0.991, 1.009, 0.989])
        root = rng.normal(0, 1, (6, 6)) * rng.choice(
            [0.0, 0.01, 0.3, 1.0, 1e6], p=[0.4, 0.3, 0.2, 0.08, 0.02]
        )
        root[:3] *= rng.choice([1.0, 100.0])
        covariance = root @ root.T
        if rng.random() < 0.03:
            covariance[rng.integers(6), rng.integers(6)] = rng.choice([np.nan, np.inf, -1.0, 1e308, 1e20])
        qx, qy, qz, qw = orientation
        return SimpleNamespace(
            agent=["", "uav1", "uav9", "x" * 300][rng.integers(4)],
            header=SimpleNamespace(
                frame_id="map" if rng.random() < 0.99 else "odom",
                stamp=SimpleNamespace(sec=stamp_ns // NS, nanosec=stamp_ns % NS),
            ),
            frame=stamp_ns // (NS // 10) if rng.random() < 0.98 else int(rng.integers(2**32)),
            packet_index=int(rng.integers(max(1, min(count, 66)))) if rng.random() < 0.98 else count,
            packet_count=count,
            fingerprint=self._model.fingerprint if rng.random() < 0.98 else int(rng.integers(2**63)),
            camera_pose=SimpleNamespace(
                position=SimpleNamespace(x=x, y=y, z=z),
                orientation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw),
            ),
            covariance=upper_triangle(covariance),
        )

    # --- one own image --------------------------------------------------------------------------------------------

    def _image(self, n: int) -> None:
        agent, report = self._agent, self.report
        report.held_bytes = max(report.held_bytes, agent.receiver.inbox.held_bytes)
        self._number += 1
        own = replace(
            self._own, stamp_ns=self._own.stamp_ns + NS + self._number * NS // 2, frame=self._number
        )
        agent.receiver.newest_ns = own.stamp_ns
        try:
            # What `Agent.answer` does, with refusals as a node notes them.
            agent.receiver.images(own.stamp_ns, self._refused)
            with np.errstate(all="ignore"):
                answer = agent.answer(own, single=False)
        except Exception as error:
            self._untyped(n, "image", error)
            return
        report.images += 1
        report.fused_peers += len(answer.fused.contributors) - 1
        agent.receiver.fused(answer.fused.contributors[1:])
        found = answer.collaborative.detection
        finite = bool(answer.fused.collaborative.features.isfinite().all())
        if not finite or (found is not None and not np.isfinite(found.boxes.centres).all()):
            self._untyped(n, "image", ValueError("answers that are not finite"))

    def _failed(self, name: str, error: WireError) -> None:
        if isinstance(error, FusionFailed):
            self._untyped(self.report.packets, f"fusion of {name}", error.error)
        peer = self._agent.receiver.peer(name)
        assert peer is not None
        self._refused(peer, None, error, in_fusion=True)

    def _refused(self, peer: Peer, gid: bytes | None, error: WireError, *, in_fusion: bool = False) -> None:
        self.report.reasons[error.reason] += 1
        self._agent.receiver.refuse(peer, gid, error, in_fusion=in_fusion)

    def _untyped(self, n: int, name: str, error: Exception) -> None:
        self.report.untyped.append(f"packet {n} ({name}): {type(error).__name__}: {error}")

    def _note_memory(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.report.rss_mb = [*self.report.rss_mb[:1], pages * os.sysconf("SC_PAGE_SIZE") / 2**20]
        self.report.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
