"""segmentation_head_node: vehicle instances seen from above."""

from __future__ import annotations

import sys
from typing import Any

from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import Image

from rsdfm_ros.agent.tasks import COLLABORATIVE, Segmentation, TaskInput
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.nodes.convert.images import bev_image
from rsdfm_ros.nodes.convert.sensors import image_to_message
from rsdfm_ros.nodes.convert.tasks import grid_to_message, masks_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.frames.lattice_frame import LatticeFrame
from rsdfm_ros.nodes.uav.head_node import PREFIX, HeadNode


class SegmentationHeadNode(HeadNode):
    """Publishes instance_mask (ids, north up), occupancy (probability of a vehicle), an image of both for views, and
    the position of the maps' corner."""

    task = "segmentation"

    def configure(self) -> None:
        s = self.settings
        self._lattice = LatticeFrame(self, s.publish_lattice_tf, agent=self.agent, frame_id=s.frame_id)
        super().configure()

    def advertise(self, variant: str, prefix: str) -> None:
        self.output(Image, f"{prefix}instance_mask")
        # As maps are published, so that Nav2's static layer takes it.
        self.output(OccupancyGrid, f"{prefix}occupancy", qos.latched())
        if variant == COLLABORATIVE:
            self.output(Image, "debug/bev_image")

    def work(self, given: TaskInput, fused: Fused, model: Any) -> None:
        found = self.tasks.segment(model, given, self.settings.id_memory_s)
        prefix, probability = PREFIX[given.variant], found.instances.probability
        frame_id, ns, window = self.settings.frame_id, fused.stamp_ns, model.output_window
        self.offer(f"{prefix}instance_mask", lambda: masks_to_message(found.ids, ns, frame_id))
        self.offer(f"{prefix}occupancy", lambda: grid_to_message(probability, window, ns, frame_id))
        if given.variant == COLLABORATIVE:
            self._lattice.show(window, ns)
            self.offer("debug/bev_image", lambda: self._image(found, fused, window))

    def _image(self, found: Segmentation, fused: Fused, window: Window) -> Image:
        visible = fused.collaborative.visible.cpu().numpy()
        # Boxes are known where detection runs in this process, before segmentation.
        image = bev_image(found.ids, found.instances.probability, visible, fused.shared.objects, window)
        return image_to_message(image, fused.stamp_ns, self.settings.frame_id)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [SegmentationHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
