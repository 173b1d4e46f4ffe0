"""segmentation_head_node: vehicle instances seen from above."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import Image

from rsdfm_ros.nodes.base import run
from rsdfm_ros.nodes.convert_tasks import grid_to_message, masks_to_message
from rsdfm_ros.nodes.handover import Fused
from rsdfm_ros.nodes.head_node import HeadNode


class SegmentationHeadNode(HeadNode):
    """Publishes instance_mask (ids, north up) and occupancy (probability of a vehicle)."""

    task = "segmentation"

    def advertise(self, prefix: str) -> None:
        self.output(Image, f"{prefix}instance_mask")
        self.output(OccupancyGrid, f"{prefix}occupancy")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        instances = model.segment(maps)
        fused.shared[f"{prefix}instances"] = instances
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        self.publish(f"{prefix}instance_mask", masks_to_message(instances.ids, ns, frame_id))
        grid = grid_to_message(instances.probability, model.output_window, ns, frame_id)
        self.publish(f"{prefix}occupancy", grid)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [SegmentationHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
