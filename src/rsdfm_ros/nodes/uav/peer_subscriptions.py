"""Subscriptions to the features of peers, which are found in the ROS graph or listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile

from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.qos_overrides import forget
from rsdfm_ros.nodes.uav.collaboration.demand_exchange import DemandExchange
from rsdfm_ros.nodes.uav.collaboration.peer_topics import FEATURES, FEATURES_TYPE, gid_of, name_of, topic_of
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings

HEARD, MATCHED, PUBLISHED, UNHEARD, UNPUBLISHED = range(5)
"""Ranks of topics by usefulness: valid packets come; connected; not listened to, but published; connected for long
without a valid packet; without publishers. Newcomers push out only peers that are silent or gone."""
UNHEARD_S = 30.0
"""A connected peer without a valid packet for so long makes room for others, if there are more than max_peers."""
GONE_S = 30.0
"""A topic found in the graph whose publishers have been gone for so long is left, with its QoS parameters."""


def select_topics(
    found: Sequence[str],
    listed: Sequence[str],
    *,
    own: str,
    most: int,
    agent: str = "",
    rank: Callable[[str], int] = lambda t: 0,
) -> list[str]:
    """Topics of peers to listen to: the listed ones, else those found in the graph; at most so many.

    own: topic of this UAV, which does not count as a peer · agent: name of this UAV, which no peer may have · rank:
    lower ones first; then by name. Of several topics of one name one is taken: one with publishers (see UNPUBLISHED)
    before one without, then the one beside the own topic (`/<name>/bev/features` for `/uav1/bev/features`), then
    `/<name>/bev/features`.
    """
    topics = ({topic_of(peer) for peer in listed} if listed else set(found)) - {own}
    ranks = {topic: rank(topic) for topic in topics}
    beside = own.removesuffix(f"{name_of(own)}/{FEATURES}")

    def claim(topic: str) -> tuple[bool, bool, bool, int, str]:
        elsewhere = topic != f"{beside}{name_of(topic)}/{FEATURES}"
        return ranks[topic] >= UNPUBLISHED, elsewhere, topic != topic_of(name_of(topic)), ranks[topic], topic

    of_name: dict[str, str] = {}
    for topic in sorted(topics, key=claim):
        of_name.setdefault(name_of(topic), topic)
    chosen = [topic for name, topic in of_name.items() if name not in ("", agent)]
    return sorted(chosen, key=lambda topic: (ranks[topic], topic))[:most]


class PeerSubscriptions:
    """Subscriptions of an active node, which end with `close`.

    own: subscribe to the UAV's own features, too · demand: of the same node; UAVs that map nothing of the
    own region are not listened to, unless they are in `peers` ·
    on_packet(raw, peer, gid): a message of a publisher came ·
    on_change(): the state of a peer changed; called under the lock of the receiver.
    """

    def __init__(
        self,
        node: PipelineNode[CollaborationSettings],
        receiver: Receiver,
        on_packet: Callable[[bytes, Peer, bytes], None],
        on_change: Callable[[], None],
        demand: DemandExchange,
        *,
        own: bool,
    ) -> None:
        self._node, self._receiver, self._demand = node, receiver, demand
        self._on_packet, self._on_change = on_packet, on_change
        self._own_topic = node.resolve_topic_name(FEATURES)
        self._subscriptions: dict[str, Any] = {}
        self._since_s: dict[str, float] = {}
        self._published_s: dict[str, float] = {}
        self._refused: set[str] = set()
        self._timer = node.create_timer(node.settings.discovery_period_s, self.refresh_peers, clock=STEADY)
        if own:
            self._listen(self._own_topic, node.agent)

    def refresh_peers(self) -> None:
        """Subscribe to the topics that are due, and to no others."""
        s = self._node.settings
        found = self._published()
        self._demand.refresh()
        near = found if s.peers else [t for t in found if not self._demand.far(t)]
        topics = select_topics(
            near,
            s.peers,
            own=self._own_topic,
            most=s.max_peers,
            agent=self._node.agent,
            rank=self._rank,
        )
        for topic in [t for t in self._subscriptions if t != self._own_topic and t not in topics]:
            self._stop(topic)
            forget(self._node, self._profile(), topic, "subscription")
        for topic in topics:
            if topic not in self._subscriptions:
                self._listen(topic, name_of(topic))
        wanted = {topic_of(peer) for peer in s.peers} if s.peers else set(near)
        owners = {"": "no UAV", self._node.agent: "this UAV"} | {name_of(topic): topic for topic in topics}
        others = (t for t in wanted - {self._own_topic, *topics} if name_of(t) in owners)
        self._refuse({topic: owners[name_of(topic)] for topic in others})

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        self._demand.close()
        for topic in list(self._subscriptions):
            self._stop(topic)

    def _published(self) -> list[str]:
        """Feature topics in the graph with a publisher, or with one until GONE_S ago: without that, the own
        subscription would keep a topic in the graph for ever."""
        node, now_s = self._node, monotonic()
        for topic, types in node.get_topic_names_and_types():
            if FEATURES_TYPE in types and topic.endswith(f"/{FEATURES}") and node.count_publishers(topic):
                self._published_s[topic] = now_s
        self._published_s = {t: at_s for t, at_s in self._published_s.items() if now_s - at_s < GONE_S}
        return [*self._published_s]

    def _refuse(self, taken: Mapping[str, str]) -> None:
        """Report topics of names that others have, once each; they are tried again when the name is free."""
        for topic in sorted(taken.keys() - self._refused):
            owner = taken[topic]
            text = f"{topic} names the UAV {name_of(topic)!r}, which is the name of {owner}"
            self._node.reject("peer_name", text)
        self._refused = set(taken)

    def _rank(self, topic: str) -> int:
        peer = next((p for p in self._receiver.peers if p.topic == topic), None)
        if peer is None or not peer.matched:
            return PUBLISHED if self._node.count_publishers(topic) else UNPUBLISHED
        publisher, now_s = peer.publishers.leading, monotonic()
        if publisher.leads(now_s):
            return HEARD
        last_s = max(self._since_s.get(topic, now_s), publisher.accepted_s or 0.0)
        return MATCHED if now_s - last_s < UNHEARD_S else UNHEARD

    def _listen(self, topic: str, name: str) -> None:
        node = self._node
        peer = self._receiver.listen(name, topic)
        if peer is None:
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
            lambda raw, info: self._on_packet(raw, peer, gid_of(info)),
            self._profile(),
            event_callbacks=events,
            raw=True,
        )
        self._since_s[topic] = monotonic()
        node.get_logger().info(f"listening to {topic}")

    def _profile(self) -> QoSProfile:
        s = self._node.settings
        return qos.features(s.features_reliability, s.liveliness_lease_s, deadline_s=s.deadline_s)

    def _stop(self, topic: str) -> None:
        self._node.destroy_subscription(self._subscriptions.pop(topic))
        del self._since_s[topic]
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
