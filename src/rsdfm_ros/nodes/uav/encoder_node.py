"""encoder_node: images with intrinsics and pose to bird's-eye-view features, and packets for the peers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from nav_msgs.msg import Path
from rclpy.serialization import serialize_message

from rsdfm_ros.agent.solo import Solo, SoloHistory
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.inputs import Matched
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.convert.features import packets_to_messages
from rsdfm_ros.nodes.convert.images import CameraTrack
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import features_status
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.camera_inputs import CameraInputs, input_config
from rsdfm_ros.nodes.uav.ground_settings import PLANE
from rsdfm_ros.nodes.uav.ground_source import GroundSource, fixed_ground
from rsdfm_ros.nodes.uav.model import SharedModel, at_region, check_region
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import EncoderSettings
from rsdfm_ros.wire.boxes import boxes_within, encode_boxes
from rsdfm_ros.wire.budget import BudgetController, apply_plan
from rsdfm_ros.wire.packet import encode_frame


class EncoderNode(PipelineNode[EncoderSettings]):
    """`listeners` are called in the worker thread with every OwnFeatures, after the packets were published."""

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
        self.ready = False
        """Whether images are taken."""
        self.peers_late: Callable[[], bool] = lambda: False
        """Whether peers' features come late, and ours to them most likely too: known to whoever composes nodes."""
        self._inputs: CameraInputs | None = None
        self._frame = 0
        self._solo: SoloHistory | None = None
        self.diagnostics.add(lambda: features_status(self))

    def check(self, settings: EncoderSettings) -> None:
        check_region(settings.region_m, self._model)
        input_config(settings, self.agent)
        if settings.ground_model == PLANE:  # a grid is read once, when the node is configured
            fixed_ground(settings)

    def configure(self) -> None:
        s = self.settings
        self.budget = BudgetController(s.budget_bytes)
        self._inputs = CameraInputs(self, self.agent, self._take)
        self._ground = GroundSource(self, takes_range=True)
        self._path = self.create_publisher(Path, "path", qos.outputs())
        self._track = CameraTrack(s.frame_id)
        profile = qos.features(
            s.features_reliability, s.liveliness_lease_s, s.lifespan_s, deadline_s=s.deadline_s
        )
        self._packets = self.create_publisher(FeaturePacket, "bev/features", profile)

    def activate(self) -> None:
        super().activate()
        self._model = at_region(self._model, self.settings.region_m)
        self._solo = SoloHistory(self._model.config.history, self.settings.max_gap_s)
        assert self._inputs is not None
        self._inputs.subscribe()
        self._ground.subscribe()
        self.ready = True

    def deactivate(self) -> None:
        self.ready = False
        super().deactivate()
        self.clear()

    def cleanup(self) -> None:
        self._inputs = None

    def changed(self, before: EncoderSettings, after: EncoderSettings) -> None:
        if after.budget_bytes != before.budget_bytes:
            self.budget.retarget(after.budget_bytes)
        if after.region_m != before.region_m and self._model is not None:
            self._model = at_region(self._model, after.region_m)
        if after.max_gap_s != before.max_gap_s and self._solo is not None:
            self._solo.restart(after.max_gap_s)

    def clear(self) -> None:
        if self._solo is not None:
            self._solo.clear()
        if self._inputs is not None:
            self._inputs.clear()
            self._ground.clear()
            self._track.clear()

    def _take(self, matched: Matched) -> None:
        frame, self._frame = self._frame, self._frame + 1
        if self.worker.submit("encode", lambda: self._encode(frame, matched)):
            self.health.count("images_dropped")

    def _encode(self, frame: int, matched: Matched) -> None:
        model, inputs, history = self._model, self._inputs, self._solo
        if model is None or inputs is None or history is None:
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
        model = model.on_ground(ground)
        maps = [model.perceive(v.image, v.K, v.T_map_camera, v.covariance) for v in views]
        bev = model.combine(maps)
        perceived = monotonic()
        first, solo = views[0], history.add(model, matched.stamp_ns, bev)
        self._send(model, bev, matched.stamp_ns, frame, first, solo)
        self._track.add(views[0].T_map_camera, matched.stamp_ns)
        if has_subscribers(self._path):
            self._path.publish(self._track.message())
        stages = {
            "decode": decoded - start,
            "encode": perceived - decoded,
            "compress": monotonic() - perceived,
        }
        self.publish_processing_time(matched.stamp_ns, stages, matched.arrived_s)
        own = OwnFeatures(
            matched.stamp_ns,
            frame,
            bev,
            matched.arrived_s,
            model.region,
            first.T_map_camera,
            first.covariance,
            solo,
            ground=ground,
        )
        for listener in self.listeners:
            listener(own)

    def _send(self, model: Any, bev: Any, stamp_ns: int, frame: int, first: CameraView, solo: Solo) -> None:
        """Publish the packets, and behind them boxes if they are wanted: to detect takes time, and features go first.

        first: the view whose pose and covariance travel; receivers use them for the accuracy of positions on the
        ground, which hardly differs among the cameras of one UAV.
        """
        plan = self.budget.plan()
        features = apply_plan(model.compress(bev, plan.cells, low=plan.low), plan)
        packets = encode_frame(features, self.settings.max_packet_bytes, fingerprint=model.fingerprint)
        boxes = bool(packets) and self._sends_boxes(model, first)
        envelope: dict[str, Any] = {
            "agent": self.agent,
            "frame": frame,
            "stamp_ns": stamp_ns,
            "frame_id": self.settings.frame_id,
            "fingerprint": model.fingerprint,
            "T_map_camera": first.T_map_camera,
            "covariance": first.covariance,
            "count": len(packets) + boxes,
        }
        of_features = sum(self._publish(message) for message in packets_to_messages(packets, **envelope))
        other = 0
        found = solo.boxes() if boxes else None
        if found is not None:
            payload = encode_boxes(found, boxes_within(self.settings.budget_bytes))
            (message,) = packets_to_messages([payload], first=len(packets), **envelope)
            other = self._publish(message)
            self.health.count("boxes_sent")
        self.budget.sent(of_features, len(features.high_cell), len(features.tiles), other)
        self.health.frame_bytes = of_features + other
        self.health.count("bytes_sent", of_features + other)
        self.health.count("packets_sent", len(packets) + boxes)

    def _sends_boxes(self, model: Any, first: CameraView) -> bool:
        """Whether boxes travel with this image."""
        wanted, able = self.settings.send_boxes, "detection" in model.config.heads
        needed = wanted == "auto" and (bool(first.covariance.any()) or self.peers_late())
        return able and (needed or wanted == "always")

    def _publish(self, message: FeaturePacket) -> int:
        """Send a packet; the bytes of the message."""
        raw = serialize_message(message)
        self.send(self._packets, raw)
        return len(raw)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [EncoderNode()])


if __name__ == "__main__":
    sys.exit(main())
