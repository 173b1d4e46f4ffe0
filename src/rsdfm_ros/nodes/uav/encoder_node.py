"""encoder_node: images with intrinsics and pose to bird's-eye-view features, and packets for the peers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import Any

from nav_msgs.msg import Path
from rclpy.node import NodeNameNonExistentError
from rclpy.serialization import serialize_message
from std_msgs.msg import UInt32

from rsdfm_ros.agent.encoder import Encoder
from rsdfm_ros.agent.interest.demand import Demand, demanded
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.sender import Sender
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.messages.inputs import Matched
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.convert.features import packet_to_message
from rsdfm_ros.nodes.convert.images import CameraTrack
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import UNWANTED, Status, features_status
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.camera_inputs import CameraInputs, input_config
from rsdfm_ros.nodes.uav.camera_status import CameraStatus
from rsdfm_ros.nodes.uav.collaboration.peer_topics import FEATURES, FEATURES_TYPE
from rsdfm_ros.nodes.uav.frames.pose_frames import PoseFrames
from rsdfm_ros.nodes.uav.ground_settings import PLANE
from rsdfm_ros.nodes.uav.ground_source import GroundSource, fixed_ground
from rsdfm_ros.nodes.uav.model import SharedModel, at_region, check_region
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import EncoderSettings
from rsdfm_ros.wire.message import envelope_bytes


class EncoderNode(PipelineNode[EncoderSettings]):
    """`listeners` are called in the worker thread with every OwnFeatures, after the packets were published. `wishes` is
    called with the number of subscriptions to the features; see CollaborationNode.wishes. Alone, the node sends
    everything."""

    slots = ("encode",)

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        **options: Any,
    ) -> None:
        super().__init__("encoder_node", EncoderSettings, model, worker, health, **options)
        self.listeners: list[Callable[[OwnFeatures], None]] = []
        self.wishes: Callable[[int], list[Demand] | None] = lambda subscriptions: None
        self.ready = False
        """Whether images are taken."""
        self._inputs: CameraInputs | None = None
        self._frame = 0
        self._encoder: Encoder | None = None
        self.cameras = CameraStatus()
        self.diagnostics.add(lambda: features_status(self))
        self.diagnostics.add(self.cameras.statuses)
        self.diagnostics.add(self._image_time)

    def _image_time(self) -> Iterable[tuple[str, Status]]:
        timing = None if self._inputs is None else self._inputs.timing
        return () if timing is None else timing.statuses()

    def check(self, settings: EncoderSettings) -> None:
        check_region(settings.region_m, self._model)
        input_config(settings, self.agent)
        if settings.ground_model == PLANE:  # a grid is read once, when the node is configured
            fixed_ground(settings)

    def configure(self) -> None:
        s = self.settings
        self.sender = Sender(AgentOptions.of(s), envelope_bytes=envelope_bytes(self.agent, s.frame_id))
        self._inputs = CameraInputs(self, self.agent, self._take)
        self._ground = GroundSource(self, takes_range=True)
        self._frames = PoseFrames(self, s.publish_pose_tf, self._inputs.config)
        self._path = self.create_publisher(Path, "path", qos.outputs())
        self._track = CameraTrack(s.frame_id)
        profile = qos.features(
            s.features_reliability, s.liveliness_lease_s, s.lifespan_s, deadline_s=s.deadline_s
        )
        self._packets = self.create_publisher(FeaturePacket, "bev/features", profile)

    def activate(self) -> None:
        super().activate()
        self.cameras.start(self.settings.model)
        self._model = at_region(self._model, self.settings.region_m)
        self._encoder = Encoder(self._model.config.history, self.settings.max_gap_s)
        assert self._inputs is not None
        self._inputs.subscribe()
        self._ground.subscribe()
        self.create_subscription(UInt32, "radio/rate", self._on_radio, qos.sensor("best_effort", 1))
        self.ready = True

    def deactivate(self) -> None:
        self.ready = False
        super().deactivate()
        self.clear()

    def cleanup(self) -> None:
        self._inputs = None

    def changed(self, before: EncoderSettings, after: EncoderSettings) -> None:
        self.sender.configure(AgentOptions.of(after))
        if after.region_m != before.region_m and self._model is not None:
            self._model = at_region(self._model, after.region_m)
        if after.max_gap_s != before.max_gap_s and self._encoder is not None:
            self._encoder.restart(after.max_gap_s)

    def clear(self) -> None:
        if self._encoder is not None:
            self._encoder.clear()
        if self._inputs is not None:
            self._inputs.clear()
            self._ground.clear()
            self._track.clear()
            self.cameras.clear()

    def on_peers_late(self, late: bool) -> None:
        """Whether features of peers arrive late, so that boxes are useful to all; set when nodes are composed."""
        self.sender.peers_late = late

    def _on_radio(self, message: UInt32) -> None:
        self.sender.limit(int(message.data))

    def _take(self, matched: Matched) -> None:
        frame, self._frame = self._frame, self._frame + 1
        if self.worker.submit("encode", lambda: self._encode(frame, matched)):
            self.health.count("images_dropped")

    def _encode(self, frame: int, matched: Matched) -> None:
        model, inputs, encoder = self._model, self._inputs, self._encoder
        if model is None or inputs is None or encoder is None:
            return
        start = monotonic()
        views = inputs.views(matched)
        if not views:
            return
        decoded = monotonic()
        ground = self._ground.ground(matched.stamp_ns, views[0].T_map_camera[:3, 3])
        if ground is None:
            age_s = self.settings.ground_max_age_s
            self.reject("ground_unknown", f"no height of the ground within {age_s} s of an image")
            return
        self.cameras.note(views, ground)
        model = model.on_ground(ground)
        if inputs.timing is not None:
            inputs.timing.follow(matched, views, ground)
        own = encoder.observe(model, views, matched.stamp_ns, frame=frame, arrived_s=matched.arrived_s)
        perceived = monotonic()
        self._send(model, own)
        self._frames.show(matched)
        self._track.add(own.T_map_camera, own.stamp_ns)
        if has_subscribers(self._path):
            self._path.publish(self._track.message())
        stages = {
            "decode": decoded - start,
            "encode": perceived - decoded,
            "compress": monotonic() - perceived,
        }
        self.publish_processing_time(own.stamp_ns, stages, own.arrived_s)
        for listener in self.listeners:
            listener(own)

    def receivers(self, beside: Collection[str]) -> set[str] | None:
        """Namespaces of the nodes that receive the features; none while one that is known is not connected yet. None if
        one of them passes features on: who receives those is not known. beside: namespaces of UAVs, which do not."""
        infos = self.get_subscriptions_info_by_topic(self._packets.topic_name)
        others = [info for info in infos if info.node_namespace not in beside]
        if any(self._relays(info.node_name, info.node_namespace) for info in others):
            return None
        connected = self._packets.get_subscription_count() >= len(infos)
        return {info.node_namespace for info in infos} if connected else set()

    def _relays(self, name: str, namespace: str) -> bool:
        try:
            published = self.get_publisher_names_and_types_by_node(name, namespace)
        except NodeNameNonExistentError:  # it has just come, or just left
            return False
        return any(
            FEATURES_TYPE in types and topic != f"{namespace}/{FEATURES}" for topic, types in published
        )

    def spend(self, sent_bytes: int) -> None:
        """Count what another node of this UAV sent to peers against the rate. May be called from any thread."""
        self.sender.spend(sent_bytes)

    def _wanted(self, model: Any) -> Any:
        """What the receivers of the features want of the region (H, W); None for everything."""
        wishes = self.wishes(self._packets.get_subscription_count())
        return None if wishes is None else demanded(model, wishes)

    def _send(self, model: Any, own: OwnFeatures) -> None:
        """Publish the packets of an own map; every one as soon as it is made."""

        def publish(payload: bytes, index: int, count: int) -> int:
            message = packet_to_message(
                payload,
                agent=self.agent,
                frame=own.frame,
                stamp_ns=own.stamp_ns,
                frame_id=self.settings.frame_id,
                fingerprint=model.fingerprint,
                T_map_camera=own.T_map_camera,
                covariance=own.covariance,
                index=index,
                count=count,
            )
            raw = serialize_message(message)
            self.send(self._packets, raw)
            return len(raw)

        sent = self.sender.send(
            model,
            own.bev,
            own.covariance,
            publish,
            own.sent_boxes,
            demand=self._wanted(model),
            now_s=self.time(),
        )
        if sent.boxes:
            self.health.count("boxes_sent")
        if not sent.wanted:
            self.health.count(f"images_{UNWANTED}")
        for reduction in sent.reduced:
            self.health.count(f"images_{reduction}")
        if sent.reduced and sent.packets:
            self.health.count("images_reduced")
        self.health.frame_bytes = sent.message_bytes
        self.health.count("bytes_sent", sent.message_bytes)
        self.health.count("packets_sent", len(sent.packets))


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [EncoderNode()])


if __name__ == "__main__":
    sys.exit(main())
