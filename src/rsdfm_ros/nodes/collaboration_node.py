"""collaboration_node: own features and those of the peers to fused maps.

A picture of stamp t is fused when the packets of t of every living peer are here, or `peer_wait_s` of the steady clock
have passed: then with what has arrived, and with older pictures of a peer down to `max_age_s`. A peer that made us wait
in vain is not waited for again until it is on time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from rsdfm_ros.data.messages.packets import envelope_of
from rsdfm_ros.msg import FeaturePacket, FusedBev
from rsdfm_ros.nodes import qos
from rsdfm_ros.nodes.base import STEADY, RsdfmNode, agent_name, monotonic, run, wanted
from rsdfm_ros.nodes.convert_features import fused_to_message
from rsdfm_ros.nodes.handover import Fused, OwnFeatures
from rsdfm_ros.nodes.health import Health
from rsdfm_ros.nodes.model import SharedModel
from rsdfm_ros.nodes.pictures import contributors_to_message
from rsdfm_ros.nodes.settings import CollaborationSettings
from rsdfm_ros.nodes.worker import Worker
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.inbox import Inbox, InboxLimits, PeerFrame, features_of, reason_of
from rsdfm_ros.wire.packet import Expected

TOPIC = "bev/features"
TYPE = "rsdfm_ros/msg/FeaturePacket"
MAX_MESSAGE_BYTES = 80_000
"""The largest payload, and room for the fields around it."""


class CollaborationNode(RsdfmNode[CollaborationSettings]):
    """Composed, `take_own` is called with every own map; alone (`own_from_topic`), the UAV's own packets are decoded
    instead. `listeners` are called in the worker thread with every Fused."""

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        *,
        own_from_topic: bool = True,
        **options: Any,
    ) -> None:
        super().__init__("collaboration_node", CollaborationSettings, health, **options)
        s = self.settings
        self.agent = agent_name(self, s.agent)
        self.shared_model = model or SharedModel(s.model, s.threads)
        self.worker = worker or Worker(self.on_job_error)
        self.listeners: list[Callable[[Fused], None]] = []
        self.own_from_topic = own_from_topic
        self._lock = threading.Lock()
        self._peers: dict[str, Any] = {}
        self._alive: dict[str, bool] = {}
        self._matched: dict[str, bool] = {}
        self._late: set[str] = set()
        self._own: OwnFeatures | None = None
        self._deadline: threading.Timer | None = None
        self._newest_ns: int | None = None
        self._inbox: Inbox | None = None
        self._model: Any = None
        self._expected = Expected()
        self._discovery: Any = None
        self._fused: Any = None
        self._contributors: Any = None

    @property
    def peers_matched(self) -> list[str]:
        """Peers whose feature topic is connected, sorted."""
        with self._lock:
            return sorted(name for name, matched in self._matched.items() if matched and name != self.agent)

    def configure(self) -> None:
        self._contributors = self.create_publisher(Image, "bev/contributors", qos.outputs())
        if self.settings.publish_fused:
            self._fused = self.create_publisher(FusedBev, "bev/fused", qos.fused())

    def activate(self) -> None:
        self._model = self.shared_model.acquire()
        config = self._model.config
        self._expected = Expected(self._model.fingerprint, config.low_channels, config.high_channels)
        limits = InboxLimits(max_peers=self.settings.max_peers + 1)
        self._inbox = Inbox(self._expected, limits, lambda n: self.health.count("packets_lost", n))
        self._discovery = self.create_timer(self.settings.discovery_period_s, self._discover, clock=STEADY)
        self._discover()

    def deactivate(self) -> None:
        if self._discovery is not None:
            self.destroy_timer(self._discovery)
            self._discovery = None
        with self._lock:
            self._stop_waiting()
        for subscription in self._peers.values():
            self.destroy_subscription(subscription)
        self._peers.clear()
        self.worker.clear()
        self.worker.wait_idle(5.0)
        if self._model is not None:
            self.shared_model.release()
            self._model = None

    def clear(self) -> None:
        with self._lock:
            self._stop_waiting()
            if self._inbox is not None:
                self._inbox.clear()
            self._newest_ns = None
            self._late.clear()

    def take_own(self, own: OwnFeatures) -> None:
        """Start the fusion of an own picture. May be called from any thread."""
        with self._lock:
            if self._own is not None:
                self.health.count("fusions_skipped")
            self._stop_waiting()
            self._own, self._newest_ns = own, own.stamp_ns
            if self._missing():
                self._deadline = threading.Timer(self.settings.peer_wait_s, self._give_up, [own])
                self._deadline.daemon = True
                self._deadline.start()
            else:
                self._submit()

    # --- peers ----------------------------------------------------------------------------------------------------

    def _discover(self) -> None:
        for topic, types in self.get_topic_names_and_types():
            if TYPE in types and topic.endswith("/" + TOPIC) and topic not in self._peers:
                name = topic[: -len(TOPIC) - 1].rpartition("/")[2]
                own = topic == self.resolve_topic_name(TOPIC)
                if name and (not own or self.own_from_topic) and len(self._peers) <= self.settings.max_peers:
                    self._listen(topic, name, own)

    def _listen(self, topic: str, name: str, own: bool) -> None:
        s = self.settings
        # Liveliness ends with the lease at the latest; a process that leaves properly is gone at once.
        events = SubscriptionEventCallbacks(
            liveliness=lambda event: self._on_liveliness(name, event.alive_count),
            matched=lambda event: self._on_matched(name, event.current_count),
            incompatible_qos=lambda event: self.reject("incompatible_qos", f"{topic} offers another QoS"),
        )
        self._peers[topic] = self.create_subscription(
            FeaturePacket,
            topic,
            lambda raw: self._on_packet(raw, name, own),
            qos.features(s.features_reliability, s.liveliness_lease_s, s.lifespan_s),
            event_callbacks=events,
            raw=True,
        )
        self.get_logger().info(f"listening to {topic}")

    def _on_liveliness(self, name: str, alive: int) -> None:
        with self._lock:
            if self._alive.get(name) and not alive:
                self.get_logger().warning(f"{name} is gone")
            self._alive[name] = alive > 0
            self._check()

    def _on_matched(self, name: str, count: int) -> None:
        with self._lock:
            self._matched[name] = count > 0
            self._alive[name] = count > 0  # a peer counts from the first, not only from its first packet
            if count == 0 and self._inbox is not None:
                self._inbox.forget(name)
            self._check()

    def _on_packet(self, raw: bytes, name: str, own: bool) -> None:
        self.health.count("packets_received", 0 if own else 1)
        self.health.count("bytes_received", 0 if own else len(raw))
        if len(raw) > MAX_MESSAGE_BYTES:
            self.health.count("packets_rejected")
            self.reject("over_limit", f"a message of {len(raw)} bytes from {name}")
            return
        message = deserialize_message(raw, FeaturePacket)
        with self._lock:
            if self._inbox is None:
                return
            try:
                envelope = envelope_of(message, topic_agent=name, frame_id=self.settings.frame_id)
                self._inbox.put(envelope, memoryview(message.payload), self._newest_ns)
            except WireError as error:
                self.health.count("packets_rejected")
                self.reject(reason_of(error), str(error))
                return
            self._alive[name] = True
            if not own:
                if self._inbox.complete(name, envelope.stamp_ns) and envelope.stamp_ns == self._newest_ns:
                    self._late.discard(name)
                self._check()
            elif self._inbox.complete(name, envelope.stamp_ns):
                arrived = monotonic()
                self.worker.submit("own", lambda: self._decode_own(envelope.stamp_ns, arrived))

    def _decode_own(self, stamp_ns: int, arrived_s: float) -> None:
        with self._lock:
            frame = self._inbox.newest(self.agent, stamp_ns, 0.0) if self._inbox is not None else None
        if frame is not None and self._model is not None:
            self.take_own(OwnFeatures(stamp_ns, frame.first.frame, self._decode(frame), arrived_s))

    # --- fusion ---------------------------------------------------------------------------------------------------

    def _missing(self) -> list[str]:
        """Living, punctual peers whose packets of the waiting picture are not all here. Under the lock."""
        if self._own is None or self._inbox is None:
            return []
        inbox, stamp_ns = self._inbox, self._own.stamp_ns
        expected = (
            n for n, alive in self._alive.items() if alive and n != self.agent and n not in self._late
        )
        return [name for name in expected if not inbox.complete(name, stamp_ns)]

    def _check(self) -> None:
        """Fuse now if nothing is missing any more. Under the lock."""
        if self._own is not None and not self._missing():
            self._submit()

    def _give_up(self, own: OwnFeatures) -> None:
        with self._lock:
            if self._own is own:
                missing = self._missing()
                self._late.update(missing)
                self.health.count("peers_late", len(missing))
                self._submit()

    def _submit(self) -> None:
        own = self._own
        self._stop_waiting()
        if own is not None:
            self.worker.submit("fuse", lambda: self._fuse(own))

    def _stop_waiting(self) -> None:
        self._own = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _fuse(self, own: OwnFeatures) -> None:
        model = self._model
        if model is None:
            return
        start = monotonic()
        with self._lock:
            inbox = self._inbox
            names = [n for n in inbox.peers if n != self.agent] if inbox is not None else []
            found = (
                [(n, inbox.newest(n, own.stamp_ns, self.settings.max_age_s)) for n in names] if inbox else []
            )
        maps: list[Any] = []
        ages: dict[str, float] = {}
        for name, frame in found:
            if frame is None:
                continue
            try:
                maps.append(self._decode(frame))
                ages[name] = (own.stamp_ns - frame.first.stamp_ns) / 1e9
            except WireError as error:
                self.reject(reason_of(error), f"{name}: {error}")
        fused = Fused(
            stamp_ns=own.stamp_ns,
            frame=own.frame,
            collaborative=model.fuse(
                own.bev, maps, list(ages.values()), with_dominant=wanted(self._contributors)
            ),
            single=model.fuse(own.bev, [], []) if self.settings.publish_single else None,
            contributors=(self.agent, *ages),
            ages_s=(0.0, *ages.values()),
            arrived_s=own.arrived_s,
        )
        self.health.fused(ages)
        self.health.took("fuse", monotonic() - start)
        if self._fused is not None:
            message = fused_to_message(fused, model, agent=self.agent, frame_id=self.settings.frame_id)
            self._fused.publish(message)
        if fused.collaborative.dominant is not None:
            dominant = fused.collaborative.dominant.cpu().numpy()
            picture = contributors_to_message(dominant, own.stamp_ns, self.settings.frame_id)
            self._contributors.publish(picture)
        for listener in self.listeners:
            listener(fused)

    def _decode(self, frame: PeerFrame) -> Any:
        features = features_of(frame, self._expected)
        return self._model.decompress(features, frame.first.T_map_camera, frame.first.covariance)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [CollaborationNode()])


if __name__ == "__main__":
    sys.exit(main())
