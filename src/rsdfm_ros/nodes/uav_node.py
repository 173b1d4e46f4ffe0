"""uav_node: all nodes of one UAV in one process, with one model in memory and no serialisation between them."""

from __future__ import annotations

import sys
from typing import Any

from rclpy.node import Node

from rsdfm_ros.msg import AgentStatus
from rsdfm_ros.nodes import qos
from rsdfm_ros.nodes.base import STEADY, RsdfmNode, monotonic, run
from rsdfm_ros.nodes.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.convert import time_of
from rsdfm_ros.nodes.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.encoder_node import EncoderNode
from rsdfm_ros.nodes.handover import Fused
from rsdfm_ros.nodes.head_node import HeadNode
from rsdfm_ros.nodes.health import Health
from rsdfm_ros.nodes.model import SharedModel
from rsdfm_ros.nodes.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.trajectory_head_node import TrajectoryHeadNode


class Uav:
    """The composed nodes of one UAV and its status.

    Before the first picture, status is published once a second with the peers that are connected: a simulator in
    lockstep waits for that. Afterwards it follows every answer.
    """

    def __init__(self, **options: Any) -> None:
        self.health = Health()
        self.encoder = EncoderNode(health=self.health, **options)
        settings = self.encoder.settings
        self.worker = self.encoder.worker
        model = self.encoder.shared_model = SharedModel(settings.model, settings.threads)
        shared: dict[str, Any] = {"model": model, "worker": self.worker, "health": self.health, **options}
        self.collaboration = CollaborationNode(own_from_topic=False, **shared)
        kinds = (DetectionHeadNode, SegmentationHeadNode, TrajectoryHeadNode)
        self.heads: list[HeadNode] = [kind(fused_from_topic=False, **shared) for kind in kinds]
        self.encoder.listeners.append(self.collaboration.take_own)
        self.collaboration.listeners.extend(head.take for head in self.heads)
        self.heads[-1].answered.append(self._answered)
        node: Node = self.encoder
        self._status = node.create_publisher(AgentStatus, "status", qos.outputs())
        self._heartbeat = node.create_timer(1.0, self._beat, clock=STEADY)

    @property
    def nodes(self) -> list[RsdfmNode[Any]]:
        """Everything that an executor must spin; the encoder last, so that pictures come when all else is ready."""
        return [*self.heads, self.collaboration, self.encoder]

    def _beat(self) -> None:
        if self.health.counts["frames"] == 0 and self.encoder.ready:
            self._status.publish(self._message(0, 0, self.collaboration.peers_matched, {}))

    def _answered(self, fused: Fused) -> None:
        self.health.answered(fused.stamp_ns, monotonic() - fused.arrived_s)
        ages = dict(zip(fused.contributors[1:], fused.ages_s[1:], strict=True))
        self._status.publish(self._message(fused.stamp_ns, fused.frame, list(ages), ages))

    def _message(self, stamp_ns: int, frame: int, peers: list[str], ages: dict[str, float]) -> AgentStatus:
        h = self.health
        message = AgentStatus(agent=self.encoder.agent, frame=frame % 2**32, peers=peers)
        message.header.stamp, message.header.frame_id = time_of(stamp_ns), self.encoder.settings.frame_id
        message.frames_processed = h.counts["frames"]
        message.frames_dropped = h.counts["images_dropped"] + h.counts["fusions_skipped"]
        message.rate_hz = h.rate_hz()
        message.latency_median_s, message.latency_p95_s = h.latency_s(50), h.latency_s(95)
        message.bytes_sent_frame = h.frame_bytes
        for name in ("bytes_sent", "bytes_received", "packets_sent", "packets_received", "packets_lost"):
            setattr(message, name, h.counts[name])
        message.packets_rejected = h.counts["packets_rejected"]
        message.peer_ages_s = [ages.get(peer, 0.0) for peer in peers]
        message.objects = h.objects
        return message


def main() -> int:
    """Run one UAV in a process of its own."""
    return run(lambda: Uav().nodes)


if __name__ == "__main__":
    sys.exit(main())
