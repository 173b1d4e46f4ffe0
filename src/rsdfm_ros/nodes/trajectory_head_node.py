"""trajectory_head_node: where every object is and will be over the next two seconds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import Image

from rsdfm_ros.evaluation.frames import Tracks
from rsdfm_ros.msg import TrajectoryArray
from rsdfm_ros.nodes.base import run
from rsdfm_ros.nodes.convert_tasks import masks_to_message, tracks_to_message
from rsdfm_ros.nodes.handover import Fused
from rsdfm_ros.nodes.head_node import HeadNode


class TrajectoryHeadNode(HeadNode):
    """Publishes trajectories, and on request future_masks: instance ids now and at the coming steps, one below the
    other."""

    task = "trajectory"

    def advertise(self, prefix: str) -> None:
        self.output(TrajectoryArray, f"{prefix}trajectories")
        if self.settings.publish_future:
            self.output(Image, f"{prefix}future_masks")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        motion = model.predict(maps, fused.shared.get(f"{prefix}instances"))
        tracks = Tracks(motion.tracks, motion.positions, motion.scores)
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        if self.settings.publish_future:
            self.publish(f"{prefix}future_masks", masks_to_message(motion.ids, ns, frame_id))
        message = tracks_to_message(tracks, agent=self.agent, frame=fused.frame, ns=ns, frame_id=frame_id)
        self.publish(f"{prefix}trajectories", message)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [TrajectoryHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
