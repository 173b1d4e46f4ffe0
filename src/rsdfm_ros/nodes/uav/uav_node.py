"""uav_node: all nodes of one UAV in one process, with one model in memory and no serialisation between them."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

from rsdfm_ros.agent.tasks import Tasks
from rsdfm_ros.agent.tracking import Identities
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.msg import AgentStatus
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.diagnostics import PERIOD_S
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav import task_head
from rsdfm_ros.nodes.uav.collaboration.peer_topics import FEATURES
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.head_node import ANSWER, HeadNode
from rsdfm_ros.nodes.uav.model import SharedModel, Source, plug_ins_of
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.trajectory_head_node import TrajectoryHeadNode


class Uav:
    """The composed nodes of one UAV and its status.

    Every node has its own lifecycle, parameters and diagnostics; the model is the one of the encoder's settings. All
    heads answer a fused map in one job: an answer is complete, or dropped as a whole when a newer map came first; an
    object has the same id in all of them. One image is worked on at a time, from its decoding to its answers, the wait
    for peers included; of those that come meanwhile the newest is next, and the others are dropped before any work was
    done on them. Tasks that the model has beside the three of every model get a node each.

    Before the first image, status is published once a second with the peers that are connected: a simulator in
    lockstep waits for that. Afterwards it follows every answer.
    """

    def __init__(self, **options: Any) -> None:
        self.health = Health()
        stages = (*EncoderNode.slots, *CollaborationNode.slots, *HeadNode.slots)
        held = {slot: lambda: self.collaboration.waiting for slot in EncoderNode.slots}
        self.worker = Worker(self._on_job_error, stages=stages, held=held)
        self.model = SharedModel(self._source)
        shared: dict[str, Any] = {"model": self.model, "worker": self.worker, "own_timer": False, **options}
        heads = {**shared, "tasks": Tasks(Identities()), "fused_from_topic": False}
        self.encoder = EncoderNode(**shared)
        self.collaboration = CollaborationNode(own_from_topic=False, **shared)
        tasks = plug_ins_of(self.encoder.get_parameter("model").value)
        self.heads: list[HeadNode] = [
            DetectionHeadNode(**heads),
            SegmentationHeadNode(**heads),
            *(task_head.TaskHeadNode(task, **heads) for task in tasks),
            TrajectoryHeadNode(**heads),
        ]
        self.encoder.listeners.append(self.collaboration.take_own)
        self.collaboration.late_listeners.append(self.encoder.on_peers_late)
        self.collaboration.demand_listeners.append(self.encoder.spend)
        self.encoder.wishes = self.collaboration.wishes
        self.collaboration.listeners.append(self._take)
        self._status = self.encoder.create_publisher(AgentStatus, "status", qos.outputs())
        self._heartbeat = self.encoder.create_timer(PERIOD_S, self._beat, clock=STEADY)

    @property
    def nodes(self) -> list[RsdfmNode[Any]]:
        """Everything that an executor must spin; the encoder last, so that images arrive when all other nodes are
        ready."""
        return [*self.heads, self.collaboration, self.encoder]

    def _source(self) -> Source:
        settings = self.encoder.settings
        return Source(settings.model, settings.threads, settings.engine)

    def _on_job_error(self, slot: str, error: Exception) -> None:
        node = self.encoder if slot in self.encoder.slots else self.collaboration
        node.on_job_error(slot, error)

    # --- answers --------------------------------------------------------------------------------------------------

    def _take(self, fused: Fused) -> None:
        if self.worker.submit(ANSWER, lambda: self._answer(fused)):
            self.collaboration.health.count("answers_dropped")

    def _answer(self, fused: Fused) -> None:
        """All tasks of one fused map, and the status; a failing head does not stop the others."""
        for head in self.heads:
            try:
                head.answer(fused)
            except Exception as error:
                head.on_job_error(head.task, error)
        self.health.answered(fused.stamp_ns, monotonic() - fused.arrived_s)
        ages = dict(zip(fused.contributors[1:], fused.ages_s[1:], strict=True))
        self.encoder.send(self._status, self._message(fused.stamp_ns, fused.frame, list(ages), ages))

    # --- status ---------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """What is due once a second, of all nodes at once: a process at rest wakes for little else."""
        for node in self.nodes:
            node.diagnostics.publish()
        if not self.encoder.ready:
            self.health.reset()  # counts start anew with every activation
        elif self.health.counts["frames"] == 0:
            self.encoder.send(self._status, self._message(0, 0, self._connected(), {}))

    def _connected(self) -> list[str]:
        """Peers that are heard, and whose nodes beside this UAV's hear it.

        A subscription that a peer has just made is known here later than this UAV's publisher is there, and what is
        sent in between never reaches it.
        """
        suffix, here = f"/{FEATURES}", self.encoder.get_namespace().rpartition("/")[0]
        places = {p.name: p.topic.removesuffix(suffix) for p in self.collaboration.peers if p.matched}
        beside = {name: place for name, place in places.items() if place.rpartition("/")[0] == here}
        if not beside:
            return list(places)
        receivers = self.encoder.receivers(beside.values())
        deaf = () if receivers is None else [name for name, place in beside.items() if place not in receivers]
        return [name for name in places if name not in deaf]

    def _message(self, stamp_ns: int, frame: int, peers: list[str], ages: dict[str, float]) -> AgentStatus:
        h, sent, heard = self.health, self.encoder.health, self.collaboration.health.counts
        message = AgentStatus(agent=self.encoder.agent, frame=frame % 2**32, peers=peers)
        message.header.stamp, message.header.frame_id = time_of(stamp_ns), self.encoder.settings.frame_id
        message.frames_processed = h.counts["frames"]
        message.frames_dropped = (
            sent.counts["images_dropped"] + heard["fusions_skipped"] + heard["answers_dropped"]
        )
        message.rate_hz = h.rate_hz()
        message.latency_median_s, message.latency_p95_s = h.latency_s(50), h.latency_s(95)
        message.bytes_sent_frame = sent.frame_bytes
        for name in ("bytes_sent", "packets_sent", "images_reduced", "images_not_sent", "images_unwanted"):
            setattr(message, name, sent.counts[name])
        for name in (
            "demand_bytes_sent",
            "bytes_received",
            "packets_received",
            "packets_lost",
            "packets_rejected",
        ):
            setattr(message, name, heard[name])
        message.peer_ages_s = [ages.get(peer, 0.0) for peer in peers]
        message.objects = self.heads[0].health.objects
        return message


def main() -> int:
    """Run one UAV in a process of its own."""
    return run(lambda: Uav().nodes)


if __name__ == "__main__":
    sys.exit(main())
