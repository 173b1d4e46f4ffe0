"""Subscriptions to the features of peers, which are found in the ROS graph or listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile

from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.qos_overrides import forget
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings

FEATURES = "bev/features"
TYPE = "rsdfm_ros/msg/FeaturePacket"


def topic_of(peer: str) -> str:
    """The feature topic of a peer that is listed by name (uav2) or by topic (/fleet/uav2/bev/features)."""
    return peer if peer.startswith("/") else f"/{peer}/{FEATURES}"


def name_of(topic: str) -> str:
    """The peer that a feature topic belongs to: what stands before /bev/features, or before the last part of a topic
    that is called otherwise; empty if nothing does."""
    suffix = f"/{FEATURES}"
    before = topic[: -len(suffix)] if topic.endswith(suffix) else topic.rpartition("/")[0]
    return before.rpartition("/")[2][:64]


def select_topics(
    found: Sequence[str],
    listed: Sequence[str],
    *,
    own: str,
    most: int,
    rank: Callable[[str], int] = lambda t: 0,
) -> list[str]:
    """Topics of peers to listen to: the listed ones, else those found in the graph; at most so many.

    own: topic of this UAV, which does not count as a peer. rank: lower ones first; then by name.
    """
    topics = {topic_of(peer) for peer in listed} if listed else set(found)
    return sorted(topics - {own}, key=lambda topic: (rank(topic), topic))[:most]


class PeerSubscriptions:
    """Subscriptions of an active node, which end with `close`.

    own: subscribe to the UAV's own features, too · on_packet(raw, peer): a message came · on_change(): the state of a
    peer changed; called under the lock of the receiver.
    """

    def __init__(
        self,
        node: PipelineNode[CollaborationSettings],
        receiver: Receiver,
        on_packet: Callable[[bytes, Peer], None],
        on_change: Callable[[], None],
        *,
        own: bool,
    ) -> None:
        self._node, self._receiver = node, receiver
        self._on_packet, self._on_change = on_packet, on_change
        self._own_topic = node.resolve_topic_name(FEATURES)
        self._subscriptions: dict[str, Any] = {}
        self._refused: set[str] = set()
        self._timer = node.create_timer(node.settings.discovery_period_s, self.refresh_peers, clock=STEADY)
        if own:
            self._listen(self._own_topic, node.agent)

    def refresh_peers(self) -> None:
        """Subscribe to the topics that are due, and to no others."""
        s = self._node.settings
        found = [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if TYPE in types and topic.endswith(f"/{FEATURES}")
        ]
        topics = select_topics(found, s.peers, own=self._own_topic, most=s.max_peers, rank=self._rank)
        for topic in [t for t in self._subscriptions if t != self._own_topic and t not in topics]:
            self._stop(topic)
            forget(self._node, self._profile(), topic, "subscription")
        for topic in topics:
            if topic not in self._subscriptions and topic not in self._refused:
                self._listen(topic, name_of(topic))

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        for topic in list(self._subscriptions):
            self._stop(topic)

    def _rank(self, topic: str) -> int:
        """Connected peers come first: newcomers do not push them out, but peers that are gone make room."""
        if any(p.topic == topic and p.matched for p in self._receiver.peers):
            return 0
        return 1 if self._node.count_publishers(topic) else 2

    def _listen(self, topic: str, name: str) -> None:
        node = self._node
        taken = name == node.agent and topic != self._own_topic
        peer = None if taken else self._receiver.listen(name, topic)
        if peer is None:
            self._refused.add(topic)
            node.reject("peer_name", f"{topic} names the UAV {name!r}, which another topic has already")
            return
        # Liveliness ends with the lease at the latest; a process that leaves properly is gone at once.
        events = SubscriptionEventCallbacks(
            liveliness=node.guarded(lambda event: self._on_liveliness(peer, event.alive_count), topic),
            matched=node.guarded(lambda event: self._on_matched(peer, event.current_count), topic),
            deadline=node.guarded(lambda event: self._on_deadline(event.total_count_change), topic),
            incompatible_qos=node.guarded(lambda event: self._on_incompatible(topic, event), topic),
        )
        self._subscriptions[topic] = node.create_subscription(
            FeaturePacket,
            topic,
            lambda raw: self._on_packet(raw, peer),
            self._profile(),
            event_callbacks=events,
            raw=True,
        )
        node.get_logger().info(f"listening to {topic}")

    def _profile(self) -> QoSProfile:
        s = self._node.settings
        return qos.features(s.features_reliability, s.liveliness_lease_s, deadline_s=s.deadline_s)

    def _stop(self, topic: str) -> None:
        self._node.destroy_subscription(self._subscriptions.pop(topic))
        with self._receiver.lock:
            for peer in [*self._receiver.peers, self._receiver.peer(self._node.agent)]:
                if peer is not None and peer.topic == topic:
                    self._receiver.remove(peer)
            self._on_change()

    def _on_liveliness(self, peer: Peer, alive: int) -> None:
        with self._receiver.lock:
            if peer.alive and not alive:
                self._node.warn_seldom("peer gone", f"{peer.name} is gone")
            peer.alive = alive > 0
            self._on_change()

    def _on_matched(self, peer: Peer, publishers: int) -> None:
        with self._receiver.lock:
            self._receiver.matched(peer, publishers)
            self._on_change()

    def _on_deadline(self, missed: int) -> None:
        self._node.health.count("deadlines_missed", missed)

    def _on_incompatible(self, topic: str, event: Any) -> None:
        policy = str(getattr(event, "last_policy_kind", "")).rpartition(".")[2].lower()
        self._node.reject(
            "incompatible_qos", f"{topic} offers another QoS ({policy}) than is asked for: see qos_overrides"
        )
