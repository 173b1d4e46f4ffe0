"""segmentation_head_node: vehicle instances seen from above."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import Image

from rsdfm_ros.agent.tracking import with_ids
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.nodes.convert.images import bev_image
from rsdfm_ros.nodes.convert.sensors import image_to_message
from rsdfm_ros.nodes.convert.tasks import grid_to_message, masks_to_message
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.head_node import COLLABORATIVE, HeadNode
from rsdfm_ros.nodes.uav.lattice_frame import LatticeFrame


class SegmentationHeadNode(HeadNode):
    """Publishes instance_mask (ids, north up), occupancy (probability of a vehicle), an image of both for people,
    and where the corner of these maps is."""

    task = "segmentation"

    def configure(self) -> None:
        s = self.settings
        self._lattice = LatticeFrame(self, s.publish_lattice_tf, agent=self.agent, frame_id=s.frame_id)
        super().configure()

    def advertise(self, prefix: str) -> None:
        self.output(Image, f"{prefix}instance_mask")
        self.output(OccupancyGrid, f"{prefix}occupancy")
        if prefix == COLLABORATIVE:
            self.output(Image, "debug/bev_image")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        instances = model.segment(maps)
        fused.shared[f"{prefix}instances"] = instances
        frame_id, ns, window = self.settings.frame_id, fused.stamp_ns, model.output_window
        ids = self.identities.of_instances(prefix, ns, self.settings.id_memory_s, instances.centres)
        mask = with_ids(instances.ids, ids)
        self.offer(f"{prefix}instance_mask", lambda: masks_to_message(mask, ns, frame_id))
        self.offer(f"{prefix}occupancy", lambda: grid_to_message(instances.probability, window, ns, frame_id))
        if prefix == COLLABORATIVE:
            self._lattice.show(window, ns)
            self.offer("debug/bev_image", lambda: self._image(mask, instances, fused, window))

    def _image(self, mask: Any, instances: Any, fused: Fused, window: Any) -> Image:
        visible = fused.collaborative.visible.cpu().numpy()
        # The boxes are there when detection runs in this process, before us.
        boxes = fused.shared.get("boxes")
        image = bev_image(mask, instances.probability, visible, boxes, window)
        return image_to_message(image, fused.stamp_ns, self.settings.frame_id)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [SegmentationHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
