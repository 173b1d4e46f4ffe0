"""detection_head_node: 3D boxes from the fused map."""

from __future__ import annotations

import sys
from typing import Any

from visualization_msgs.msg import MarkerArray

from rsdfm_ros.agent.tasks import COLLABORATIVE, TaskInput
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.data.messages.answers.writing import boxes_to_bytes
from rsdfm_ros.msg import ObjectArray
from rsdfm_ros.nodes.convert.markers import MarkerSet, box_markers
from rsdfm_ros.nodes.convert.optional import optional_module
from rsdfm_ros.nodes.convert.tasks import boxes_to_message
from rsdfm_ros.nodes.convert.vision import detections_from_objects
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.ground_source import GroundSource
from rsdfm_ros.nodes.uav.head_node import PREFIX, HeadNode
from rsdfm_ros.nodes.uav.settings import DetectionHeadSettings


class DetectionHeadNode(HeadNode):
    """Publishes detections, as our own type and as vision_msgs, and markers of those that the model is sure of."""

    task = "detection"
    settings_type = DetectionHeadSettings

    def configure(self) -> None:
        s = self.settings
        self._vision_msgs = optional_module(
            "vision_msgs.msg", s.publish_detections_3d, "publish_detections_3d"
        )
        self._markers = MarkerSet(s.frame_id)
        self._ground = GroundSource(self) if self.fused_from_topic else None
        super().configure()

    def activate(self) -> None:
        super().activate()
        if self._ground is not None:
            self._ground.subscribe()

    def clear(self) -> None:
        super().clear()
        if self._ground is not None:
            self._ground.clear()

    def advertise(self, variant: str, prefix: str) -> None:
        self.output(ObjectArray, f"{prefix}detections")
        if self._vision_msgs is not None:
            self.output(self._vision_msgs.Detection3DArray, f"{prefix}detections_3d")
        if self.settings.publish_markers and variant == COLLABORATIVE:
            self.output(MarkerArray, "markers")

    def work(self, given: TaskInput, fused: Fused, model: Any) -> None:
        ground = fused.ground
        if ground is None and self._ground is not None:
            ground = self._ground.known(fused.stamp_ns)
        model = model if ground is None else model.on_ground(ground)
        found = self.tasks.detect(model, given, self.settings.id_memory_s)
        prefix, together = PREFIX[given.variant], given.variant == COLLABORATIVE
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        names = fused.contributors if together else fused.contributors[:1]

        about = {
            "agent": self.agent,
            "frame": fused.frame,
            "ns": ns,
            "frame_id": frame_id,
            "contributors": names,
        }
        self.offer(f"{prefix}detections", lambda: boxes_to_bytes(found.boxes, **about))
        self.offer(
            f"{prefix}detections_3d",
            lambda: detections_from_objects(boxes_to_message(found.boxes, **about), self._vision_msgs),
        )
        if together:
            self.health.objects = len(found.objects)
            lifetime_s = self.settings.marker_lifetime_s
            self.offer("markers", lambda: self._markers.update(box_markers(found.objects), ns, lifetime_s))


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [DetectionHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
