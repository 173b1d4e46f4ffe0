"""A fleet over the instants of a bag: one agent per UAV, which does what the nodes of a UAV do.

Boxes, occupancy and trajectories are rounded as their messages round them. Time is the bag's: an image of stamp t is
fused with the newest packets of every peer up to t that are not older than max_age_s, as in a fleet whose UAVs wait
for each other. The same bag gives the same numbers on a machine under any load.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.decoding import SharedDecoder, expected_of
from rsdfm_ros.agent.envelope import Envelope, envelope_of
from rsdfm_ros.agent.inbox import Inbox, InboxLimits
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.tasks import COLLABORATIVE, SINGLE, TaskAnswers
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.order.pending import InstantInputs, Packet
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.tasks import percent_of, published_boxes, published_tracks
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.bags.answers import EngineOptions, UavAnswer
from rsdfm_ros.evaluation.mission import Answer
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.model.perception import FusedMap, Perception
from rsdfm_ros.wire.errors import WireError

JUDGED = ("detection", "segmentation", "trajectory")
"""Tasks whose answers are scored."""


@dataclass(frozen=True)
class _Sent:
    """Packets of an image as a receiver sees them. bytes: of the serialised messages."""

    packets: tuple[tuple[Envelope, bytes], ...]
    bytes: int


class Engine:
    """Call `step` with the instants of `sensors` in order. rejects: packets left out, by reason.

    Raises: RsdfmError if the model lacks a task that is scored.
    """

    def __init__(
        self, perception: Perception, sensors: Sensors, options: EngineOptions, pool: ThreadPoolExecutor
    ) -> None:
        lacking = [task for task in JUDGED if task not in perception.config.heads]
        if lacking:
            raise RsdfmError(
                f"the model has no {' and no '.join(lacking)} head, which the evaluation of a bag needs"
            )
        perception = perception.on_ground(GroundPlane(offset=options.ground_height_m))
        self.perception, self.sensors, self.options = perception, sensors, options
        self.rejects: Counter[str] = Counter()
        self.packets_lost = 0
        self._pool, self._lock = pool, threading.Lock()
        # All UAVs receive the same packets, so that one inbox and one decoder serve them all.
        limits = InboxLimits(max_peers=len(sensors.uavs) + 1)
        inbox = Inbox(expected_of(perception), limits, self._count_lost)
        self._decoder = SharedDecoder()
        self._agents = {
            name: Agent(
                name,
                perception,
                AgentOptions.of(options),
                peers=[other for other in sensors.uavs if other != name],
                inbox=inbox,
                decoder=self._decoder,
                on_error=lambda peer, error: self._reject(error),
            )
            for name in sensors.uavs
        }
        self._any = next(iter(self._agents.values()))

    def step(self, instant: InstantInputs) -> list[UavAnswer]:
        """The answers of all UAVs with usable images at an instant, in the order of their names."""
        names = sorted(instant.images)
        views = dict(zip(names, self._pool.map(lambda n: self._views(n, instant), names), strict=True))
        names = [n for n in names if views[n]]
        encoded = list(self._pool.map(lambda n: self._encode(n, views[n], instant), names))
        if self.options.recorded_features:
            sizes = self._take_recorded(instant.packets, instant.stamp_ns)
        else:
            sizes = {n: (sent.bytes, len(sent.packets)) for n, (_, sent) in zip(names, encoded, strict=True)}
            for _, sent in encoded:
                for envelope, payload in sent.packets:
                    self._put(envelope, payload, instant.stamp_ns)
        self._decoder.clear()
        owns = [own for own, _ in encoded]
        return list(self._pool.map(lambda n, own: self._answer(n, own, *sizes.get(n, (0, 0))), names, owns))

    # --- sending --------------------------------------------------------------------------------------------------

    def _views(self, name: str, instant: InstantInputs) -> tuple[CameraView, ...]:
        try:
            return self.sensors.input_of(name).views(instant.images[name])
        except MessageError as error:
            self.sensors.reject(name, error.reason, str(error))
            return ()

    def _encode(
        self, name: str, views: Sequence[CameraView], instant: InstantInputs
    ) -> tuple[OwnFeatures, _Sent]:
        agent, height = self._agents[name], instant.heights.get(name)
        own = agent.observe(views, instant.stamp_ns, None if height is None else GroundPlane(offset=height))
        packets: list[tuple[Envelope, bytes]] = []

        def transmit(payload: bytes, index: int, count: int) -> int:
            raw = feature_message(
                payload,
                agent=name,
                stamp_ns=own.stamp_ns,
                frame=own.frame % 2**32,
                index=index,
                count=count,
                fingerprint=self.perception.fingerprint,
                T_map_camera=own.T_map_camera,
                covariance=own.covariance,
            )
            packets.append((_envelope(raw, name), payload))
            return len(raw)

        sent = agent.send(own, transmit)
        return own, _Sent(tuple(packets), sent.message_bytes)

    # --- receiving ------------------------------------------------------------------------------------------------

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
            self._any.receive(envelope, payload, stamp_ns)
        except WireError as error:
            self._reject(error)

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(self, name: str, own: OwnFeatures, sent_bytes: int, packets: int) -> UavAnswer:
        found = self._agents[name].answer(own)
        fused, ready = found.fused, found.prepared
        assert fused.single is not None and found.single is not None
        return UavAnswer(
            uav=name,
            answers={COLLABORATIVE: _published(found.collaborative), SINGLE: _published(found.single)},
            visible={
                COLLABORATIVE: self._visible(fused.collaborative),
                SINGLE: self._visible(fused.single),
            },
            contributors=fused.contributors,
            ages_s=fused.ages_s,
            sent_bytes=sent_bytes,
            packets=packets,
            corrected=tuple(ready.corrections),
            left_out=ready.left_out,
            plug_ins={COLLABORATIVE: found.collaborative.plug_ins, SINGLE: found.single.plug_ins},
        )

    def _visible(self, fused: FusedMap) -> NDArray[np.bool_]:
        """Seen cells on the output window, whose cells are half as large as those of the map."""
        seen = fused.visible.cpu().numpy()
        factor = self.perception.output_window.ni // seen.shape[0]
        return np.repeat(np.repeat(seen, factor, axis=0), factor, axis=1)

    def _reject(self, error: WireError | MessageError) -> None:
        with self._lock:
            self.rejects[error.reason] += 1

    def _count_lost(self, agent: str, number: int) -> None:
        self.packets_lost += number


def _envelope(raw: bytes, name: str) -> Envelope:
    """The envelope as a receiver sees it: a pose changes in the last bits on its way as a quaternion."""
    message = typestore().deserialize_cdr(raw, FEATURES)
    return envelope_of(message, topic_agent=name, frame_id=FRAME_ID)


def _published(found: TaskAnswers) -> Answer:
    """Answers as their messages deliver them."""
    assert found.detection is not None and found.segmentation is not None and found.motion is not None
    return Answer(
        mask=found.segmentation.ids,
        percent=percent_of(found.segmentation.instances.probability),
        boxes=published_boxes(found.detection.boxes),
        tracks=published_tracks(found.motion.tracks),
        future=found.motion.ids,
    )
