"""A fleet's perception over the instants of a bag: what encoder, collaboration and head nodes do, without nodes.

Every function of the model and of the wire is the one that the nodes call, with the same order of arguments; boxes,
occupancy and trajectories are rounded as their messages round them. Time is the bag's: an image of stamp t is fused
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

from rsdfm_ros.agent.history import History
from rsdfm_ros.agent.inbox import Envelope, Inbox, InboxLimits, PeerFrame, concealed_features, reason_of
from rsdfm_ros.agent.packets import envelope_of
from rsdfm_ros.agent.prefusion.pose_alignment import View
from rsdfm_ros.agent.prefusion.prepare import PreFusionOptions, prepare
from rsdfm_ros.agent.solo import Solo, SoloHistory
from rsdfm_ros.agent.tracking import Identities, with_ids
from rsdfm_ros.data.bags.sensors import InstantInputs, Packet, Sensors
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.tasks import percent_of, published_boxes, published_tracks
from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.evaluation.bags.answers import COLLABORATIVE, SINGLE, EngineOptions, UavAnswer
from rsdfm_ros.evaluation.bags.sender import Sender, Sent
from rsdfm_ros.evaluation.mission import Answer
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import Expected


@dataclass(frozen=True)
class FusedPair:
    """The maps of one UAV at an instant, with and without peers."""

    stamp_ns: int
    collaborative: FusedMap
    single: FusedMap


@dataclass
class _Uav:
    """The state of one UAV."""

    sender: Sender
    history: History[FusedPair]
    solo: SoloHistory
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True)
class _Own:
    """An own image at an instant: the model on the ground below, its map with the first camera's pose, and what it is
    alone."""

    model: Perception
    view: View
    solo: Solo


@dataclass
class _Decoded:
    """A peer's frame, decoded at most once however many receive it."""

    before: PeerFrame | None
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
        self._uavs = {
            name: _Uav(
                Sender(name, perception, options),
                History(config.history, gap_ns),
                SoloHistory(config.history, options.max_gap_s),
            )
            for name in sensors.uavs
        }
        resemblance = (
            options.resemblance if options.resemblance >= 0 else perception.thresholds["resemblance"]
        )
        self._care = PreFusionOptions(
            options.move_peers, options.correct_poses, options.doubt_peers, resemblance
        )

    def step(self, instant: InstantInputs) -> list[UavAnswer]:
        """The answers of all UAVs with usable images at an instant, in the order of their names."""
        names = sorted(instant.shots)
        views = dict(zip(names, self._pool.map(lambda n: self._views(n, instant), names), strict=True))
        names = [n for n in names if views[n]]
        encoded = list(self._pool.map(lambda n: self._encode(n, views[n], instant), names))
        own = {n: mine for n, (mine, _) in zip(names, encoded, strict=True)}
        sent = {n: s for n, (_, s) in zip(names, encoded, strict=True)}
        if self.options.recorded_features:
            sizes = self._take_recorded(instant.packets, instant.stamp_ns)
        else:
            sizes = {n: (s.bytes, len(s.envelopes)) for n, s in sent.items()}
            for name in names:
                for envelope, payload in sent[name].envelopes:
                    self._put(envelope, payload, instant.stamp_ns)
        # How sure a map is of its places depends on the receiver's ground: on one ground it is decoded once.
        decoded: dict[float | None, dict[int, _Decoded]] = {}
        frames = {n: self._peers(n, instant.stamp_ns) for n in names}
        for name, found in frames.items():
            here = decoded.setdefault(instant.heights.get(name), {})
            for _, frame in found:
                if id(frame) not in here:
                    here[id(frame)] = _Decoded(self._inbox.before(frame, self.options.max_age_s))

        def answer(name: str) -> UavAnswer:
            size, packets = sizes.get(name, (0, 0))
            here = decoded[instant.heights.get(name)]
            return self._answer(name, own[name], frames[name], here, instant.stamp_ns, size, packets)

        return list(self._pool.map(answer, names))

    # --- what encoder_node does -----------------------------------------------------------------------------------

    def _views(self, name: str, instant: InstantInputs) -> tuple[CameraView, ...]:
        try:
            return self.sensors.input_of(name).views(instant.shots[name])
        except MessageError as error:
            self.sensors.reject(name, error.reason, str(error))
            return ()

    def _encode(self, name: str, views: Sequence[CameraView], instant: InstantInputs) -> tuple[_Own, Sent]:
        model, stamp_ns = self.perception, instant.stamp_ns
        if name in instant.heights:
            model = model.on_ground(GroundPlane(offset=instant.heights[name]))
        # torch wants memory that it could write to; an image may be a view of the message's bytes.
        images = [np.require(v.image, requirements="W") for v in views]
        bevs = [
            model.perceive(p, v.K, v.T_map_camera, v.covariance) for p, v in zip(images, views, strict=True)
        ]
        bev = model.combine(bevs)
        uav, first = self._uavs[name], views[0]
        solo = uav.solo.add(model, stamp_ns, bev)
        own = _Own(model, View(bev, first.T_map_camera, first.covariance, name=name), solo)
        return own, uav.sender.send(bev, first, stamp_ns, solo)

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

    def _decode(self, model: Perception, frame: PeerFrame, shared: _Decoded) -> AgentBev:
        with shared.lock:
            if shared.error is not None:
                raise shared.error
            if shared.bev is None:
                try:
                    found = concealed_features(frame, shared.before, self._expected)
                except WireError as error:
                    shared.error = error
                    raise
                first = frame.first
                shared.bev = model.decompress(
                    found.frame,
                    first.T_map_camera,
                    first.covariance,
                    stale=found.stale,
                    stale_s=found.stale_s,
                )
            return shared.bev

    # --- what the head nodes do -----------------------------------------------------------------------------------

    def _answer(
        self,
        name: str,
        own: _Own,
        frames: Sequence[tuple[str, PeerFrame]],
        decoded: dict[int, _Decoded],
        stamp_ns: int,
        sent_bytes: int,
        packets: int,
    ) -> UavAnswer:
        model, uav = own.model, self._uavs[name]
        views: list[View] = []
        for peer, frame in frames:
            try:
                bev, first = self._decode(model, frame, decoded[id(frame)]), frame.first
            except WireError as error:
                self._reject(error)
                continue
            age_s = (stamp_ns - first.stamp_ns) / 1e9
            views.append(View(bev, first.T_map_camera, first.covariance, frame.boxes, age_s, peer))
        uav.sender.peers_late = any(v.age_s > 0 for v in views)
        ready = prepare(own.view, views, model.window, self._care, own.solo.boxes, ground=model.ground)
        ages = {v.name: v.age_s for v in ready.peers}
        together = model.fuse(ready.own.bev, [v.bev for v in ready.peers], list(ages.values()))
        fused = FusedPair(stamp_ns, together, own.solo.fused())
        history = uav.history.add(fused)
        return UavAnswer(
            uav=name,
            answers={
                COLLABORATIVE: self._heads(
                    model, uav, COLLABORATIVE, stamp_ns, [f.collaborative for f in history]
                ),
                SINGLE: self._heads(model, uav, SINGLE, stamp_ns, [f.single for f in history]),
            },
            visible={
                COLLABORATIVE: self._visible(fused.collaborative),
                SINGLE: self._visible(fused.single),
            },
            contributors=(name, *ages),
            ages_s=(0.0, *ages.values()),
            sent_bytes=sent_bytes,
            packets=packets,
            corrected=tuple(ready.corrections),
            left_out=ready.left_out,
        )

    def _heads(
        self, model: Perception, uav: _Uav, variant: str, stamp_ns: int, maps: Sequence[FusedMap]
    ) -> Answer:
        identities, when = uav.identities, (variant, stamp_ns, self.options.id_memory_s)
        found = model.detect(maps)
        sure = found.scores >= model.thresholds["objects"]
        named = identities.of_boxes(*when, found.centres, found.velocities, sure)
        boxes = Boxes(
            found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities, named
        )
        instances = model.segment(maps)
        mask = with_ids(instances.ids, identities.of_instances(*when, instances.centres))
        motion = model.predict(maps, instances)
        ids = identities.of_trajectories(*when, motion.positions)
        return Answer(
            mask=mask,
            percent=percent_of(instances.probability),
            boxes=published_boxes(boxes),
            tracks=published_tracks(Tracks(ids, motion.positions, motion.scores)),
            future=with_ids(motion.ids, ids),
        )

    def _visible(self, fused: FusedMap) -> NDArray[np.bool_]:
        """Seen cells on the output window, whose cells are half as large as those of the map."""
        seen = fused.visible.cpu().numpy()
        factor = self.perception.output_window.ni // seen.shape[0]
        return np.repeat(np.repeat(seen, factor, axis=0), factor, axis=1)

    def _reject(self, error: WireError | MessageError) -> None:
        with self._lock:
            self.rejects[reason_of(error) if isinstance(error, WireError) else error.reason] += 1

    def _count_lost(self, agent: str, number: int) -> None:
        self.packets_lost += number
