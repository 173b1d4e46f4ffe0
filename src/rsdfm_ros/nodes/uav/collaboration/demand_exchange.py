"""Demands between UAVs: publishes the own one, subscribes to those of all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from rclpy.serialization import serialize_message

from rsdfm_ros.agent.interest.demand import Demand, demand_for
from rsdfm_ros.agent.interest.interests import MAX_DEMANDS, Interests, participant_of
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.msg import DemandMap
from rsdfm_ros.nodes.convert.features import demand_from_raw, demand_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import OK, WARN, Status
from rsdfm_ros.nodes.core.qos_overrides import forget
from rsdfm_ros.nodes.uav.collaboration.fused_outputs import FusedOutputs
from rsdfm_ros.nodes.uav.collaboration.peer_topics import FEATURES, gid_of, name_of, topic_of
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings
from rsdfm_ros.wire.errors import WireError

DEMAND = "bev/demand"
TYPE = "rsdfm_ros/msg/DemandMap"
PERIOD_S = 0.95
"""Time between two own demands: once a second, whatever the rate of the images is."""


class DemandExchange:
    """The demands of an active node. model: the node's Perception · outputs: of the node · on_sent(bytes):
    called after it was published."""

    def __init__(
        self,
        node: PipelineNode[CollaborationSettings],
        model: Any,
        outputs: FusedOutputs | None,
        on_sent: Callable[[int], None],
    ) -> None:
        self._node, self._model, self._on_sent = node, model, on_sent
        assert outputs is not None, "the node is configured"
        self._publisher = outputs.demand
        self._interests = Interests(AgentOptions.of(node.settings))
        self._own_topic = node.resolve_topic_name(DEMAND)
        self._features_topic = node.resolve_topic_name(FEATURES)
        self._subscriptions: dict[str, Any] = {}
        self._receivers: list[bytes] = []
        self._told_s: float | None = None
        self._region: Window | None = None

    def refresh(self) -> None:
        """Subscribe to the demands of all UAVs in the graph and of listed peers, and look who subscribes to the own
        features."""
        node = self._node
        due = set() if node.settings.demand == "off" else self._topics()
        for topic in self._subscriptions.keys() - due:
            node.destroy_subscription(self._subscriptions.pop(topic))
            forget(node, qos.demand(), topic, "subscription")
        for topic in sorted(due - self._subscriptions.keys()):
            self._listen(topic)
        infos = node.get_subscriptions_info_by_topic(self._features_topic)
        self._receivers = [participant_of(bytes(info.endpoint_gid)) for info in infos]

    def tell(self, own: OwnFeatures) -> None:
        """Publish what the UAV wants, once a second. Called with every own map, from one thread."""
        node, kind, now_s = self._node, self._node.settings.demand, monotonic()
        self._region = own.region
        if kind == "off" or (self._told_s is not None and now_s - self._told_s < PERIOD_S):
            return
        self._told_s = now_s
        model = self._model.at(own.region)
        message = demand_to_message(
            demand_for(model, own.bev if kind == "evidence" else None),
            model,
            own,
            agent=node.agent,
            frame_id=node.settings.frame_id,
        )
        raw = serialize_message(message)
        if node.send(self._publisher, raw):
            node.health.count("demand_bytes_sent", len(raw))
            self._on_sent(len(raw))

    def wishes(self, subscriptions: int) -> list[Demand] | None:
        """What the receivers of the own features want; None for everything.

        subscriptions: the number that is connected. One that is not in the graph yet counts as wanting everything.
        """
        receivers = self._receivers
        if self._node.settings.demand == "off" or subscriptions > len(receivers):
            return None
        return self._interests.wishes(receivers) if subscriptions else []

    def far(self, topic: str) -> bool:
        """Whether the UAV of a features topic maps nothing of the region of the newest own map."""
        region = self._region
        if region is None or self._node.settings.demand == "off":
            return False
        infos = self._node.get_publishers_info_by_topic(topic)
        senders = [participant_of(bytes(info.endpoint_gid)) for info in infos]
        return self._interests.far(name_of(topic), senders, region)

    def status(self) -> Status:
        """How many demands are known, for diagnostics."""
        fresh, quarantined = self._interests.counts()
        counts, _ = self._node.health.snapshot()
        values: dict[str, object] = {
            "demands": fresh,
            "topics": len(self._subscriptions),
            "receivers": len(self._receivers),
            "publishers_quarantined": quarantined,
            **{name: number for name, number in sorted(counts.items()) if name.startswith("demand")},
        }
        if quarantined:
            return Status(WARN, f"{quarantined} publishers of demands are in quarantine", values)
        return Status(OK, f"{fresh} UAVs say what they want", values)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions = {}

    def _topics(self) -> set[str]:
        """Topics to subscribe to. A middleware that tells only what a node asked for does not show those of peers."""
        node = self._node
        listed = (topic_of(peer) for peer in node.settings.peers)
        beside = {t.removesuffix(FEATURES) + DEMAND for t in listed if t.endswith(f"/{FEATURES}")}
        found = {
            topic
            for topic, types in node.get_topic_names_and_types()
            if TYPE in types and topic.endswith(f"/{DEMAND}") and node.count_publishers(topic)
        }
        return set(sorted((found | beside) - {self._own_topic})[:MAX_DEMANDS])

    def _listen(self, topic: str) -> None:
        name = topic.removesuffix(f"/{DEMAND}").rpartition("/")[2][:64]
        self._subscriptions[topic] = self._node.create_subscription(
            DemandMap,
            topic,
            lambda raw, info: self._on_demand(raw, name, gid_of(info)),
            qos.demand(),
            raw=True,
        )

    def _on_demand(self, raw: bytes, name: str, gid: bytes) -> None:
        node, model = self._node, self._model
        node.health.count("demand_bytes_received", len(raw))
        try:
            taken = self._interests.receive(
                name, gid, lambda: demand_from_raw(raw, model, agent=name, frame_id=node.settings.frame_id)
            )
        except WireError as error:
            node.health.count("demands_rejected")
            node.reject(error.reason, str(error))
            return
        if not taken:
            node.health.count("demands_quarantined")


def demand_status(demand: DemandExchange | None) -> Iterable[tuple[str, Status]]:
    """Diagnostics of the demands of an active node; demand: None while it is not active."""
    if demand is not None:
        yield "demands", demand.status()
