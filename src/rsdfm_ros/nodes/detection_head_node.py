"""detection_head_node: 3D boxes from the fused map."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from visualization_msgs.msg import MarkerArray

from rsdfm_ros.evaluation.frames import Boxes
from rsdfm_ros.msg import ObjectArray
from rsdfm_ros.nodes.base import run
from rsdfm_ros.nodes.convert_tasks import boxes_to_message
from rsdfm_ros.nodes.handover import Fused
from rsdfm_ros.nodes.head_node import COLLABORATIVE, HeadNode
from rsdfm_ros.nodes.markers import box_markers


class DetectionHeadNode(HeadNode):
    """Publishes detections, and markers of those that the model is sure of."""

    task = "detection"

    def advertise(self, prefix: str) -> None:
        self.output(ObjectArray, f"{prefix}detections")
        if self.settings.publish_markers and prefix == COLLABORATIVE:
            self.output(MarkerArray, "markers")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        found = model.detect(maps)
        boxes = Boxes(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities)
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        names = fused.contributors if prefix == COLLABORATIVE else fused.contributors[:1]
        message = boxes_to_message(
            boxes, agent=self.agent, frame=fused.frame, ns=ns, frame_id=frame_id, contributors=names
        )
        self.publish(f"{prefix}detections", message)
        if prefix == COLLABORATIVE:
            sure = boxes.select(boxes.scores >= model.thresholds.get("objects", 0.3))
            self.health.objects = len(sure)
            if self.settings.publish_markers:
                self.publish("markers", box_markers(sure, ns=ns, frame_id=frame_id, agent=self.agent))


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [DetectionHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
