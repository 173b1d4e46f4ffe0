"""A fleet's perception over the instants of a bag: what encoder, collaboration and head nodes do, without nodes.

Every function of the model and of the wire is the one that the nodes call, with the same order of arguments; boxes,
occupancy and trajectories are rounded as their messages round them. Time is the bag's: a picture of stamp t is fused
with the newest packets of every peer up to t that are not older than max_age_s, as in a fleet whose UAVs wait for each
other. The same bag gives the same numbers, whatever the machine does meanwhile.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.bags.sensors import InstantInputs, Packet, Sensors
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.packets import envelope_of
from rsdfm_ros.evaluation.bag_answers import COLLABORATIVE, SINGLE, EngineOptions, UavAnswer
from rsdfm_ros.evaluation.bytes import FRAME_ID, feature_message
from rsdfm_ros.evaluation.frames import Boxes, Tracks
from rsdfm_ros.evaluation.mission import Answer
from rsdfm_ros.evaluation.task_messages import percent_of, published_boxes, published_tracks
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.model.history import History
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.budget import BudgetConfig, BudgetController
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.header import Band, band_of
from rsdfm_ros.wire.inbox import Envelope, Inbox, InboxLimits, PeerFrame, features_of, reason_of
from rsdfm_ros.wire.packet import Expected, encode_frame


@dataclass(frozen=True)
class Sent:
    """What a UAV sends for one picture: sizes are those of the serialised messages."""

    envelopes: tuple[tuple[Envelope, bytes], ...]
    bytes: int


@dataclass(frozen=True)
class FusedPair:
    """The maps of one UAV at an instant, with and without peers."""

    stamp_ns: int
    collaborative: FusedMap
    single: FusedMap


@dataclass
class _Uav:
    """The state of one UAV."""

    budget: BudgetController
    history: History[FusedPair]
    frame: int = 0


@dataclass
class _Decoded:
    """A peer's frame, decoded at most once however many receive it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    bev: AgentBev | None = None
    error: WireError | None = None


class Engine:
    """Call `step` with the instants of `sensors` in order. rejects: packets left out, by reason."""

    def __init__(
        self, perception: Perception, sensors: Sensors, options: EngineOptions, pool: ThreadPoolExecutor
    ) -> None:
        perception = perception.on_ground(GroundPlane(offset=options.ground_height_m))
        self.perception, self.sensors, self.options = perception, sensors, options
        self.rejects: Counter[str] = Counter()
        self.packets_lost = 0
        self._pool, self._lock = pool, threading.Lock()
        config = perception.config
        self._expected = Expected(perception.fingerprint, config.low_channels, config.high_channels)
        limits = InboxLimits(max_peers=len(sensors.uavs) + 1)
        self._inbox = Inbox(self._expected, limits, self._count_lost)
        gap_ns = round(options.max_gap_s * 1e9)
        budget = BudgetConfig(target_bytes_per_frame=options.budget_bytes)
        self._uavs = {
            name: _Uav(BudgetController(budget), History(config.history, gap_ns)) for name in sensors.uavs
        }

    def step(self, instant: InstantInputs) -> list[UavAnswer]:
        """The answers of all UAVs with usable pictures at an instant, in the order of their names."""
        names = sorted(instant.shots)
        views = dict(zip(names, self._pool.map(lambda n: self._views(n, instant), names), strict=True))
        names = [n for n in names if views[n]]
        encoded = list(self._pool.map(lambda n: self._encode(n, views[n], instant.stamp_ns), names))
        own = {n: bev for n, (bev, _) in zip(names, encoded, strict=True)}
        sent = {n: s for n, (_, s) in zip(names, encoded, strict=True)}
        if self.options.recorded_features:
            sizes = self._take_recorded(instant.packets, instant.stamp_ns)
        else:
            sizes = {n: (s.bytes, len(s.envelopes)) for n, s in sent.items()}
            for name in names:
                for envelope, payload in sent[name].envelopes:
                    self._put(envelope, payload, instant.stamp_ns)
        decoded: dict[int, _Decoded] = {}
        frames = {n: self._peers(n, instant.stamp_ns) for n in names}
        for found in frames.values():
            for _, frame in found:
                decoded.setdefault(id(frame), _Decoded())

        def answer(name: str) -> UavAnswer:
            size, packets = sizes.get(name, (0, 0))
            return self._answer(name, own[name], frames[name], decoded, instant.stamp_ns, size, packets)

        return list(self._pool.map(answer, names))

    # --- what encoder_node does -----------------------------------------------------------------------------------

    def _views(self, name: str, instant: InstantInputs) -> tuple[CameraView, ...]:
        try:
            return self.sensors.input_of(name).views(instant.shots[name])
        except MessageError as error:
            self.sensors.reject(name, error.reason, str(error))
            return ()

    def _encode(self, name: str, views: Sequence[CameraView], stamp_ns: int) -> tuple[AgentBev, Sent]:
        model = self.perception
        # torch wants memory that it could write to; a picture may be a view of the message's bytes.
        pictures = [np.require(v.image, requirements="W") for v in views]
        bevs = [
            model.perceive(p, v.K, v.T_map_camera, v.covariance) for p, v in zip(pictures, views, strict=True)
        ]
        bev = model.combine(bevs)
        uav = self._uavs[name]
        frame, uav.frame = uav.frame, uav.frame + 1
        return bev, self._send(name, bev, views[0], frame, stamp_ns)

    def _send(self, name: str, bev: AgentBev, view: CameraView, frame: int, stamp_ns: int) -> Sent:
        model, budget = self.perception, self._uavs[name].budget
        features = model.compress(bev, budget.cells())
        packets = encode_frame(features, self.options.max_packet_bytes, fingerprint=model.fingerprint)
        low = high = 0
        envelopes = []
        for index, payload in enumerate(packets):
            raw = feature_message(
                payload,
                agent=name,
                stamp_ns=stamp_ns,
                frame=frame % 2**32,
                index=index,
                count=len(packets),
                fingerprint=model.fingerprint,
                T_map_camera=view.T_map_camera,
                covariance=view.covariance,
            )
            if band_of(payload) is Band.LOW:
                low += len(raw)
            else:
                high += len(raw)
            envelopes.append((self._envelope(raw, name), payload))
        budget.sent(low, high, len(features.high_cell))
        return Sent(tuple(envelopes), low + high)

    def _envelope(self, raw: bytes, name: str) -> Envelope:
        """Through the bytes, as a receiver sees it: a pose changes in the last bits on its way as a quaternion."""
        message = typestore().deserialize_cdr(raw, FEATURES)
        return envelope_of(message, topic_agent=name, frame_id=FRAME_ID)

    # --- what collaboration_node does -----------------------------------------------------------------------------

    def _take_recorded(self, packets: Sequence[Packet], stamp_ns: int) -> dict[str, tuple[int, int]]:
        """Put recorded packets into the inbox; bytes and number by UAV."""
        sizes: dict[str, tuple[int, int]] = {}
        for packet in packets:
            size, number = sizes.get(packet.uav, (0, 0))
            sizes[packet.uav] = (size + packet.size_bytes, number + 1)
            try:
                envelope = envelope_of(
                    packet.message, topic_agent=packet.uav, frame_id=str(packet.message.header.frame_id)
                )
            except (WireError, MessageError) as error:
                self._reject(error)
                continue
            self._put(envelope, bytes(packet.message.payload), stamp_ns)
        return sizes

    def _put(self, envelope: Envelope, payload: bytes, stamp_ns: int) -> None:
        try:
            self._inbox.put(envelope, payload, stamp_ns)
        except WireError as error:
            self._reject(error)

    def _peers(self, name: str, stamp_ns: int) -> list[tuple[str, PeerFrame]]:
        found = []
        for peer in self._inbox.peers:
            frame = self._inbox.newest(peer, stamp_ns, self.options.max_age_s) if peer != name else None
            if frame is not None:
                found.append((peer, frame))
        return found

    def _decode(self, frame: PeerFrame, shared: _Decoded) -> AgentBev:
        with shared.lock:
            if shared.error is not None:
                raise shared.error
            if shared.bev is None:
                try:
                    features = features_of(frame, self._expected)
                except WireError as error:
                    shared.error = error
                    raise
                first = frame.first
                shared.bev = self.perception.decompress(features, first.T_map_camera, first.covariance)
            return shared.bev

    # --- what the head nodes do -----------------------------------------------------------------------------------

    def _answer(
        self,
        name: str,
        own: AgentBev,
        frames: Sequence[tuple[str, PeerFrame]],
        decoded: dict[int, _Decoded],
        stamp_ns: int,
        sent_bytes: int,
        packets: int,
    ) -> UavAnswer:
        model = self.perception
        maps: list[AgentBev] = []
        ages: dict[str, float] = {}
        for peer, frame in frames:
            try:
                maps.append(self._decode(frame, decoded[id(frame)]))
                ages[peer] = (stamp_ns - frame.first.stamp_ns) / 1e9
            except WireError as error:
                self._reject(error)
        fused = FusedPair(stamp_ns, model.fuse(own, maps, list(ages.values())), model.fuse(own, [], []))
        history = self._uavs[name].history.add(fused)
        return UavAnswer(
            uav=name,
            answers={
                COLLABORATIVE: self._heads([f.collaborative for f in history]),
                SINGLE: self._heads([f.single for f in history]),
            },
            visible={
                COLLABORATIVE: self._visible(fused.collaborative),
                SINGLE: self._visible(fused.single),
            },
            contributors=(name, *ages),
            ages_s=(0.0, *ages.values()),
            sent_bytes=sent_bytes,
            packets=packets,
        )

    def _heads(self, maps: Sequence[FusedMap]) -> Answer:
        model = self.perception
        instances = model.segment(maps)
        motion = model.predict(maps, instances)
        found = model.detect(maps)
        boxes = Boxes(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities)
        return Answer(
            mask=instances.ids,
            percent=percent_of(instances.probability),
            boxes=published_boxes(boxes),
            tracks=published_tracks(Tracks(motion.tracks, motion.positions, motion.scores)),
            future=motion.ids,
        )

    def _visible(self, fused: FusedMap) -> NDArray[np.bool_]:
        """Seen cells on the output window, whose cells are half as large as those of the map."""
        seen = fused.visible.cpu().numpy()
        factor = self.perception.output_window.ni // seen.shape[0]
        return np.repeat(np.repeat(seen, factor, axis=0), factor, axis=1)

    def _reject(self, error: WireError | MessageError) -> None:
        with self._lock:
            self.rejects[reason_of(error) if isinstance(error, WireError) else error.reason] += 1

    def _count_lost(self, number: int) -> None:
        self.packets_lost += number
