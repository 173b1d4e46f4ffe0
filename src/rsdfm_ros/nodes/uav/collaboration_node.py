"""collaboration_node: own features and those of the peers to fused maps.

An image of stamp t is fused when the packets of t of every living peer are here, or `peer_wait_s` of the steady clock
have passed: then with what has arrived, and with older images of a peer down to `max_age_s`. A peer that made us wait
in vain is not waited for again until it is on time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from rsdfm_ros.agent.inbox import Inbox, InboxLimits, PeerFrame, Refused, concealed_features, reason_of
from rsdfm_ros.agent.packets import envelope_of
from rsdfm_ros.agent.peer_wait import PeerWait
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.solo import SoloHistory
from rsdfm_ros.agent.types import Fused, OwnFeatures
from rsdfm_ros.msg import FeaturePacket, FusedBev
from rsdfm_ros.nodes.convert.features import fused_to_message
from rsdfm_ros.nodes.convert.images import contributors_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import Status, peer_status
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.live_settings import UNCONFIGURED
from rsdfm_ros.nodes.core.parameters import SettingError
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.ground_source import GroundSource
from rsdfm_ros.nodes.uav.interaction import PeerMap, fuse, interaction_status, note, own_features, prepared
from rsdfm_ros.nodes.uav.model import SharedModel, at_region, check_region
from rsdfm_ros.nodes.uav.peer_subscriptions import FEATURES, PeerSubscriptions
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import Expected

MAX_MESSAGE_BYTES = 80_000
"""The largest payload, and room for the fields around it."""


class CollaborationNode(PipelineNode[CollaborationSettings]):
    """Composed, `take_own` is called with every own map; alone (`own_from_topic`), the UAV's own packets are decoded
    instead. `listeners` are called in the worker thread with every Fused."""

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
        self.own_from_topic = own_from_topic
        self._lock = threading.RLock()
        self._peer_topics: PeerSubscriptions | None = None
        self._waiting = PeerWait(
            self._lock, self._missing, lambda: self.settings.peer_wait_s, self._submit, self.health.count
        )
        self.peers_late = False
        """Whether the newest fusion had to do with an older image of any peer."""
        self._newest_ns: int | None = None
        self._inbox: Inbox | None = None
        self._solo: SoloHistory | None = None
        self._ground: GroundSource | None = None
        self._expected = Expected()
        self._fused: Any = None
        self._contributors: Any = None
        self.diagnostics.add(self._peer_statuses)

    @property
    def peers_matched(self) -> list[str]:
        """Peers whose feature topic is connected, sorted."""
        with self._lock:
            return sorted(p.name for p in self.peers if p.matched)

    @property
    def peers(self) -> list[Peer]:
        """The peers that are listened to, not the UAV itself."""
        return self._peer_topics.peers() if self._peer_topics is not None else []

    def _peer_statuses(self) -> list[tuple[str, Status]]:
        now_s, stale_s = monotonic(), self.settings.input_timeout_s
        with self._lock:
            peers = self.peers
            statuses = [(f"peer {p.name}", peer_status(p, now_s, stale_s)) for p in peers]
        return [*statuses, *interaction_status(self.health, peers)]

    # --- life -----------------------------------------------------------------------------------------------------

    def check(self, settings: CollaborationSettings) -> None:
        check_region(settings.region_m, self._model)
        changed = self.state != UNCONFIGURED and settings.region_m != self.settings.region_m
        if changed and not self.own_from_topic:
            raise SettingError(
                "in uav_node the region of interest of collaboration_node is that of encoder_node: set it there"
            )

    def configure(self) -> None:
        self._ground = GroundSource(self) if self.own_from_topic else None
        self._contributors = self.create_publisher(Image, "bev/contributors", qos.outputs())
        self._fused = self.create_publisher(FusedBev, "bev/fused", qos.fused())

    def cleanup(self) -> None:
        self._contributors = self._fused = None

    def activate(self) -> None:
        super().activate()
        self._model = at_region(self._model, self.settings.region_m)
        config = self._model.config
        self._expected = Expected(self._model.fingerprint, config.low_channels, config.high_channels)
        self._solo = SoloHistory(config.history, self.settings.max_gap_s)
        self._make_inbox()
        self._peer_topics = PeerSubscriptions(
            self, self._lock, self._on_packet, self._waiting.check, self._forget
        )
        self._peer_topics.refresh_peers()
        if self._ground is not None:
            self._ground.subscribe()
            self.expect(FEATURES, "own features")

    def deactivate(self) -> None:
        self._waiting.stop()
        if self._peer_topics is not None:
            self._peer_topics.close()
        super().deactivate()
        with self._lock:
            self._peer_topics = self._inbox = self._newest_ns = self._solo = None
        self.peers_late = False

    def changed(self, before: CollaborationSettings, after: CollaborationSettings) -> None:
        if self._model is None or self._peer_topics is None:
            return
        if after.region_m != before.region_m:
            self._model = at_region(self._model, after.region_m)
        if after.max_gap_s != before.max_gap_s and self._solo is not None:
            self._solo.restart(after.max_gap_s)
        if after.max_peers != before.max_peers:
            self._make_inbox()
        if (after.max_peers, after.peers) != (before.max_peers, before.peers):
            self._peer_topics.refresh_peers()

    def clear(self) -> None:
        if self._ground is not None:
            self._ground.clear()
        with self._lock:
            self._waiting.stop()
            if self._inbox is not None:
                self._inbox.clear()
            self._newest_ns = None
            for peer in self.peers:
                peer.late = False
        self.peers_late = False
        if self._solo is not None:
            self._solo.clear()

    def _make_inbox(self) -> None:
        with self._lock:
            self._inbox = Inbox(
                self._expected, InboxLimits(max_peers=self.settings.max_peers + 1), self._on_lost
            )

    def _on_lost(self, name: str, packets: int) -> None:
        self.health.count("packets_lost", packets)
        peer = self._peer_topics.peer(name) if self._peer_topics is not None else None
        if peer is not None:
            peer.lost += packets

    def _forget(self, name: str) -> None:
        """A peer is gone. Under the lock."""
        if self._inbox is not None:
            self._inbox.forget(name)

    # --- packets --------------------------------------------------------------------------------------------------

    def _on_packet(self, raw: bytes, peer: Peer, own: bool) -> None:
        now_s = monotonic()
        self.health.count("packets_received", 0 if own else 1)
        self.health.count("bytes_received", 0 if own else len(raw))
        with self._lock:
            peer.arrived(len(raw), now_s)
            if peer.quarantined(now_s):
                peer.ignored += 1
                self.health.count("packets_quarantined")
                return
        try:
            if len(raw) > MAX_MESSAGE_BYTES:
                raise Refused("over_limit", f"a message of {len(raw)} bytes from {peer.name}")
            message = _deserialised(raw, peer.name)
            envelope = envelope_of(message, topic_agent=peer.name, frame_id=self.settings.frame_id)
            with self._lock:
                if self._inbox is None:
                    return
                self._inbox.put(envelope, memoryview(message.payload), self._newest_ns)
                peer.accepted(now_s)
                self._arrived(peer, envelope.stamp_ns, own)
        except WireError as error:
            self._refuse(error, peer, own)

    def _arrived(self, peer: Peer, stamp_ns: int, own: bool) -> None:
        """A good packet came. Under the lock."""
        assert self._inbox is not None
        if peer.matched:  # a packet may be handled after the news that its sender is gone
            peer.alive = True
        complete = self._inbox.complete(peer.name, stamp_ns)
        if not own:
            if complete and stamp_ns == self._newest_ns:
                peer.late = False
            self._waiting.check()
        elif complete:
            arrived_s = monotonic()
            if self.worker.submit("own", lambda: self._decode_own(stamp_ns, arrived_s)):
                self.health.count("own_dropped")

    def _refuse(self, error: WireError, peer: Peer, own: bool) -> None:
        self.health.count("packets_rejected")
        self.reject(reason_of(error), str(error))
        if own:
            return
        s = self.settings
        with self._lock:
            length_s = peer.refused(monotonic(), s.quarantine_after, s.quarantine_s)
            if length_s is not None:
                self.health.count("quarantines")
                self._forget(peer.name)
                self._waiting.check()
        if length_s is not None:
            self.get_logger().warning(
                f"{peer.name} is quarantined for {length_s:.0f} s after {s.quarantine_after} refused packets in a row, "
                f"the last one because: {error}"
            )

    def _decode_own(self, stamp_ns: int, arrived_s: float) -> None:
        with self._lock:
            model = self._model
            frame = self._inbox.newest(self.agent, stamp_ns, 0.0) if self._inbox is not None else None
        history = self._solo
        if frame is None or model is None or history is None:
            return
        ground = self._ground.known(stamp_ns) if self._ground is not None else model.ground
        model = model.on_ground(ground)
        bev = self._decode(frame, model)
        self.take_own(own_features(frame, bev, model, history, arrived_s=arrived_s))

    # --- waiting --------------------------------------------------------------------------------------------------

    def take_own(self, own: OwnFeatures) -> None:
        """Start the fusion of an own image. May be called from any thread."""
        with self._lock:
            if self._inbox is not None:
                self._newest_ns = own.stamp_ns
                self._waiting.take(own)

    def _missing(self, stamp_ns: int) -> list[Peer]:
        """Living, punctual peers whose packets of the instant are not all here. Under the lock."""
        inbox, now_s = self._inbox, monotonic()
        if inbox is None:
            return []
        expected = (p for p in self.peers if p.alive and not p.late and not p.quarantined(now_s))
        return [peer for peer in expected if not inbox.complete(peer.name, stamp_ns)]

    def _submit(self, own: OwnFeatures) -> None:
        if self.worker.submit("fuse", lambda: self._fuse(own)):
            self.health.count("fusions_skipped")

    # --- fusion ---------------------------------------------------------------------------------------------------

    def _fuse(self, own: OwnFeatures) -> None:
        model, s = self._model, self.settings
        if model is None:
            return
        # The maps of one fusion lie on the region that the own image was mapped to.
        model = model if own.region is None else model.at(own.region)
        model = model if own.ground is None else model.on_ground(own.ground)
        start = monotonic()
        peers = self._peer_maps(own, model)
        decoded = monotonic()
        ready = prepared(own, peers, model, s, self.agent)
        self.peers_late = any(p.age_s > 0 for p in peers)
        ages = {v.name: v.age_s for v in ready.peers}
        with self._lock:
            note(ready, self.agent, self.peers, self.health)
        agreed = monotonic()
        fused = Fused(
            stamp_ns=own.stamp_ns,
            frame=own.frame,
            collaborative=fuse(ready, own, model, with_dominant=has_subscribers(self._contributors)),
            single=own.solo.fused() if s.publish_single else None,
            contributors=(self.agent, *ages),
            ages_s=(0.0, *ages.values()),
            arrived_s=own.arrived_s,
            region=model.region,
            solo=own.solo,
            ground=own.ground,
        )
        self.health.fused(ages)
        stages = {"decode": decoded - start, "prepare": agreed - decoded, "fuse": monotonic() - agreed}
        self._publish(fused, model)
        self.publish_processing_time(own.stamp_ns, stages, own.arrived_s)
        for listener in self.listeners:
            listener(fused)

    def _peer_maps(self, own: OwnFeatures, model: Any) -> list[PeerMap]:
        """Maps of the peers that have one of this instant or not much older."""
        with self._lock:
            inbox, max_age_s = self._inbox, self.settings.max_age_s
            if inbox is None:
                return []
            listened = {p.name: p for p in self.peers}
            newest = [(n, inbox.newest(n, own.stamp_ns, max_age_s)) for n in inbox.peers if n in listened]
            found = [(n, f, inbox.before(f, max_age_s)) for n, f in newest if f is not None]
        maps: list[PeerMap] = []
        for name, frame, before in found:
            try:
                bev = self._decode(frame, model, before)
                maps.append(PeerMap(name, frame, bev, (own.stamp_ns - frame.first.stamp_ns) / 1e9))
            except WireError as error:
                self._refuse(error, listened[name], own=False)
        return maps

    def _publish(self, fused: Fused, model: Any) -> None:
        s = self.settings
        if s.publish_fused and has_subscribers(self._fused):
            self.send(self._fused, fused_to_message(fused, model, agent=self.agent, frame_id=s.frame_id))
        if fused.collaborative.dominant is not None:
            dominant = fused.collaborative.dominant.cpu().numpy()[model.window.crop(model.region)]
            self.send(self._contributors, contributors_to_message(dominant, fused.stamp_ns, s.frame_id))

    def _decode(self, frame: PeerFrame, model: Any, before: PeerFrame | None = None) -> Any:
        found, first = concealed_features(frame, before, self._expected), frame.first
        self.health.count("tiles_recalled", int(found.stale.sum()))
        return model.decompress(
            found.frame, first.T_map_camera, first.covariance, stale=found.stale, stale_s=found.stale_s
        )


def _deserialised(raw: bytes, name: str) -> FeaturePacket:
    try:
        return deserialize_message(raw, FeaturePacket)
    except Exception as error:  # rclpy raises whatever its type support does
        raise Refused("not_cdr", f"{len(raw)} bytes from {name} are no FeaturePacket: {error}") from error


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [CollaborationNode()])


if __name__ == "__main__":
    sys.exit(main())
