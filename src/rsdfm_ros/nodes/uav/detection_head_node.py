"""detection_head_node: 3D boxes from the fused map."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

from visualization_msgs.msg import MarkerArray

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.evaluation.frames import Boxes
from rsdfm_ros.msg import ObjectArray
from rsdfm_ros.nodes.convert.markers import MarkerSet, box_markers
from rsdfm_ros.nodes.convert.tasks import boxes_to_message
from rsdfm_ros.nodes.convert.vision import detections_from_objects
from rsdfm_ros.nodes.core.optional import optional_module
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.ground_source import GroundSource
from rsdfm_ros.nodes.uav.head_node import COLLABORATIVE, HeadNode
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

    def advertise(self, prefix: str) -> None:
        self.output(ObjectArray, f"{prefix}detections")
        if self._vision_msgs is not None:
            self.output(self._vision_msgs.Detection3DArray, f"{prefix}detections_3d")
        if self.settings.publish_markers and prefix == COLLABORATIVE:
            self.output(MarkerArray, "markers")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        ground = fused.ground
        if ground is None and self._ground is not None:
            ground = self._ground.known(fused.stamp_ns)
        model = model if ground is None else model.on_ground(ground)
        alone = self._found_alone(prefix, maps, fused, model)
        found = model.detect(maps) if alone is None else alone
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        known = found.scores >= model.thresholds["objects"]
        ids = self.identities.of_boxes(
            prefix, ns, self.settings.id_memory_s, found.centres, found.velocities, known
        )
        boxes = Boxes(
            found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities, ids
        )
        sure = boxes.select(known)
        names = fused.contributors if prefix == COLLABORATIVE else fused.contributors[:1]

        @functools.cache
        def message() -> ObjectArray:
            return boxes_to_message(
                boxes, agent=self.agent, frame=fused.frame, ns=ns, frame_id=frame_id, contributors=names
            )

        self.offer(f"{prefix}detections", message)
        self.offer(f"{prefix}detections_3d", lambda: detections_from_objects(message(), self._vision_msgs))
        if prefix == COLLABORATIVE:
            self.health.objects = len(sure)
            fused.shared["boxes"] = sure
            lifetime_s = self.settings.marker_lifetime_s
            self.offer("markers", lambda: self._markers.update(box_markers(sure), ns, lifetime_s))

    @staticmethod
    def _found_alone(prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> Any:
        """What the encoder found in these very maps for the peers, if it did and that is what is wanted here."""
        solo = fused.solo
        if prefix == COLLABORATIVE or solo is None or not solo.saw(list(maps)):
            return None
        same = solo.model.thresholds["detection"] == model.thresholds["detection"]
        return solo.detections() if same else None


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [DetectionHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
