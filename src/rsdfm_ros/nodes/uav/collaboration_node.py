"""collaboration_node: own features and those of the peers to fused maps.

An image of stamp t is fused when the packets of t of every living peer are here, or `peer_wait_s` of the steady clock
have passed: then with what has arrived, and with older images of a peer down to `max_age_s`. A peer for which the wait
was in vain is not waited for again until it is on time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from rsdfm_ros.agent.decoding import FrameDecoder, expected_of
from rsdfm_ros.agent.encoder import Encoder
from rsdfm_ros.agent.interest.demand import Demand
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.peer_wait import PeerWait
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.agent.types import Fused, OwnFeatures
from rsdfm_ros.nodes.convert.features import packet_of
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.live_settings import UNCONFIGURED
from rsdfm_ros.nodes.core.parameters import SettingError
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.collaboration.demand_exchange import DemandExchange, demand_status
from rsdfm_ros.nodes.uav.collaboration.fused_outputs import FusedOutputs
from rsdfm_ros.nodes.uav.collaboration.fusion_status import note_fusion, peer_statuses
from rsdfm_ros.nodes.uav.collaboration.peer_topics import FEATURES
from rsdfm_ros.nodes.uav.ground_source import GroundSource
from rsdfm_ros.nodes.uav.model import SharedModel, at_region, check_region
from rsdfm_ros.nodes.uav.peer_subscriptions import PeerSubscriptions
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings
from rsdfm_ros.wire.errors import WireError


class CollaborationNode(PipelineNode[CollaborationSettings]):
    """Composed, `take_own` is called with every own map; alone (`own_from_topic`), the UAV's own packets are decoded
    instead. `listeners` are called in the worker thread with every Fused, `late_listeners` with whether the newest
    fusion had to do with older images of peers, `demand_listeners` with the bytes of every demand that was sent."""

    slots = ("own", "fuse")

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        *,
        own_from_topic: bool = True,
        **options: Any,
    ) -> None:
        super().__init__("collaboration_node", CollaborationSettings, model, worker, health, **options)
        self.listeners: list[Callable[[Fused], None]] = []
        self.late_listeners: list[Callable[[bool], None]] = []
        self.demand_listeners: list[Callable[[int], None]] = []
        self.own_from_topic = own_from_topic
        self.receiver: Receiver | None = None
        """While active."""
        self._wait: PeerWait | None = None
        self._peer_topics: PeerSubscriptions | None = None
        self._own_maps: Encoder | None = None
        self._decoder = FrameDecoder()
        self._fusion: Any = None
        self._ground: GroundSource | None = None
        self._outputs: FusedOutputs | None = None
        self._demand: DemandExchange | None = None
        self.diagnostics.add(lambda: peer_statuses(self.receiver, self.health, self.settings.input_timeout_s))
        self.diagnostics.add(lambda: demand_status(self._demand))

    @property
    def peers(self) -> list[Peer]:
        """The peers that are listened to, not the UAV itself, by name."""
        return self.receiver.peers if self.receiver is not None else []

    @property
    def waiting(self) -> bool:
        """Whether an own image waits for packets of peers."""
        wait = self._wait
        return wait is not None and wait.waiting

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def check(self, settings: CollaborationSettings) -> None:
        check_region(settings.region_m, self._model)
        changed = self.state != UNCONFIGURED and settings.region_m != self.settings.region_m
        if changed and not self.own_from_topic:
            raise SettingError(
                "in uav_node the region of interest of collaboration_node is that of encoder_node: set it there"
            )

    def configure(self) -> None:
        self._ground = GroundSource(self) if self.own_from_topic else None
        self._outputs = FusedOutputs(self)

    def cleanup(self) -> None:
        self._outputs = None

    def activate(self) -> None:
        from rsdfm_ros.agent.fusion import Fusion  # imports torch: only when it is needed

        super().activate()
        self._model = at_region(self._model, self.settings.region_m)
        options = AgentOptions.of(self.settings)
        self._own_maps = Encoder(self._model.config.history, options.max_gap_s)
        self._fusion = Fusion(options.pre_fusion(self._model.thresholds))
        self.receiver = Receiver(
            self.agent, expected_of(self._model), options, count=self.health.count, clock=monotonic
        )
        self._wait = PeerWait(
            self.receiver.lock,
            self.receiver.missing,
            lambda: self.settings.peer_wait_s,
            self._submit,
            self.health.count,
        )
        self._demand = DemandExchange(self, self._model, self._outputs, self._say_demand)
        self._peer_topics = PeerSubscriptions(
            self, self.receiver, self._on_packet, self._wait.check, self._demand, own=self.own_from_topic
        )
        self._peer_topics.refresh_peers()
        if self._ground is not None:
            self._ground.subscribe()
            self.expect(FEATURES, "own features")

    def deactivate(self) -> None:
        if self._wait is not None:
            self._wait.stop()
        if self._peer_topics is not None:
            self._peer_topics.close()
        super().deactivate()
        self.receiver = self._wait = self._peer_topics = self._own_maps = self._fusion = self._demand = None
        self.worker.look()
        self._say_late(False)

    def changed(self, before: CollaborationSettings, after: CollaborationSettings) -> None:
        if self._model is None or self.receiver is None or self._peer_topics is None:
            return
        options = AgentOptions.of(after)
        self.receiver.configure(options)
        self._fusion.options = options.pre_fusion(self._model.thresholds)
        if after.region_m != before.region_m:
            self._model = at_region(self._model, after.region_m)
        if after.max_gap_s != before.max_gap_s and self._own_maps is not None:
            self._own_maps.restart(after.max_gap_s)
        if (after.max_peers, after.peers) != (before.max_peers, before.peers):
            self._peer_topics.refresh_peers()

    def clear(self) -> None:
        if self._ground is not None:
            self._ground.clear()
        if self._wait is not None:
            self._wait.stop()
            self.worker.look()
        if self.receiver is not None:
            self.receiver.clear()
        if self._own_maps is not None:
            self._own_maps.clear()
        self._say_late(False)

    def _say_late(self, late: bool) -> None:
        for listener in self.late_listeners:
            listener(late)

    def _say_demand(self, sent_bytes: int) -> None:
        for listener in self.demand_listeners:
            listener(sent_bytes)

    def wishes(self, subscriptions: int) -> list[Demand] | None:
        """What the subscriptions to the own features want, so many; None for everything. From any thread."""
        demand = self._demand
        return demand.wishes(subscriptions) if demand is not None else None

    # --- packets --------------------------------------------------------------------------------------------------

    def _on_packet(self, raw: bytes, peer: Peer, gid: bytes = b"") -> None:
        receiver, wait, own = self.receiver, self._wait, peer.name == self.agent
        if receiver is None or wait is None:
            return
        self.health.count("packets_received", 0 if own else 1)
        self.health.count("bytes_received", 0 if own else len(raw))
        frame_id = self.settings.frame_id
        try:
            receipt = receiver.receive(peer, len(raw), lambda: packet_of(raw, peer.name, frame_id), gid)
        except WireError as error:
            self._refuse(peer, gid, error)
            return
        if receipt is None:
            return
        if not own:
            wait.check()
        elif receipt.complete:
            stamp_ns, arrived_s = receipt.stamp_ns, monotonic()
            if self.worker.submit("own", lambda: self._decode_own(stamp_ns, arrived_s)):
                self.health.count("own_dropped")

    def _refuse(self, peer: Peer, gid: bytes | None, error: WireError, *, in_fusion: bool = False) -> None:
        self.health.count("packets_rejected")
        self.reject(error.reason, str(error))
        receiver, wait = self.receiver, self._wait
        if peer.name == self.agent or receiver is None or wait is None:
            return
        length_s = receiver.refuse(peer, gid, error, in_fusion=in_fusion)
        if length_s is not None:
            wait.check()
            self.get_logger().warning(
                f"a publisher of {peer.name} is quarantined for {length_s:.0f} s after "
                f"{self.settings.quarantine_after} refusals in a row, the last one because: {error}"
            )

    def _decode_own(self, stamp_ns: int, arrived_s: float) -> None:
        model, receiver, maps = self._model, self.receiver, self._own_maps
        frame = receiver.own_image(stamp_ns, self._refuse) if receiver is not None else None
        if frame is None or model is None or maps is None or self._ground is None:
            return
        model, first = model.on_ground(self._ground.known(stamp_ns)), frame.first
        self.take_own(
            maps.take(
                model,
                self._decoder.decode(model, frame, None).bev,
                first.T_map_camera,
                first.covariance,
                first.stamp_ns,
                frame=first.frame,
                arrived_s=arrived_s,
                boxes=frame.boxes,
            )
        )

    # --- fusion ---------------------------------------------------------------------------------------------------

    def take_own(self, own: OwnFeatures) -> None:
        """Start the fusion of an own image. May be called from any thread."""
        receiver, wait = self.receiver, self._wait
        if receiver is not None and wait is not None:
            with receiver.lock:
                receiver.newest_ns = own.stamp_ns
                wait.take(own)

    def _submit(self, own: OwnFeatures) -> None:
        if self.worker.submit("fuse", lambda: self._fuse(own)):
            self.health.count("fusions_skipped")

    def _fuse(self, own: OwnFeatures) -> None:
        from rsdfm_ros.agent.fusion import fuse_instant  # imports torch: only when it is needed

        model, receiver, fusion = self._model, self.receiver, self._fusion
        outputs, demand = self._outputs, self._demand
        if model is None or receiver is None or fusion is None or outputs is None or demand is None:
            return
        demand.tell(own)
        start = monotonic()
        images = receiver.images(own.stamp_ns, self._refuse)
        decoded_s = monotonic() - start
        instant = fuse_instant(
            self.agent,
            model,
            own,
            images,
            fusion,
            self._decoder,
            self._on_failed,
            lambda tiles: self.health.count("tiles_recalled", tiles),
            with_single=self.settings.publish_single,
            with_dominant=outputs.shows_contributors,
        )
        instant.stages["decode"] += decoded_s
        self._say_late(instant.peers_late)
        with receiver.lock:
            note_fusion(instant.prepared, self.agent, receiver.peers, self.health)
        receiver.fused([*(v.name for v in instant.prepared.peers), *instant.prepared.left_out])
        fused = instant.fused
        self.health.fused(dict(zip(fused.contributors[1:], fused.ages_s[1:], strict=True)))
        outputs.publish(fused, model.at(own.region))
        self.publish_processing_time(own.stamp_ns, instant.stages, own.arrived_s)
        for listener in self.listeners:
            listener(fused)

    def _on_failed(self, name: str, error: WireError) -> None:
        peer = self.receiver.peer(name) if self.receiver is not None else None
        if peer is not None:
            self._refuse(peer, None, error, in_fusion=True)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [CollaborationNode()])


if __name__ == "__main__":
    sys.exit(main())
