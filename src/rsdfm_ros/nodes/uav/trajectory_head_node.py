"""trajectory_head_node: positions of every object now and over the next two seconds."""

from __future__ import annotations

import sys
from typing import Any

from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from rsdfm_ros.agent.tasks import COLLABORATIVE, TaskInput
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.data.messages.answers.writing import tracks_to_bytes
from rsdfm_ros.msg import TrajectoryArray
from rsdfm_ros.nodes.convert.markers import MarkerSet, path_markers
from rsdfm_ros.nodes.convert.tasks import masks_to_message
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.head_node import PREFIX, HeadNode


class TrajectoryHeadNode(HeadNode):
    """Publishes trajectories, the same as lines for views, and on request future_masks: instance ids now and at the
    coming steps, one below the other."""

    task = "trajectory"

    def configure(self) -> None:
        self._paths = MarkerSet(self.settings.frame_id)
        super().configure()

    def advertise(self, variant: str, prefix: str) -> None:
        self.output(TrajectoryArray, f"{prefix}trajectories")
        if self.settings.publish_markers and variant == COLLABORATIVE:
            self.output(MarkerArray, "paths")
        if self.settings.publish_future:
            self.output(Image, f"{prefix}future_masks")

    def work(self, given: TaskInput, fused: Fused, model: Any) -> None:
        motion = self.tasks.predict(model, given, self.settings.id_memory_s)
        prefix, frame_id, ns = PREFIX[given.variant], self.settings.frame_id, fused.stamp_ns
        self.offer(f"{prefix}future_masks", lambda: masks_to_message(motion.ids, ns, frame_id))
        if given.variant == COLLABORATIVE:
            lifetime_s = self.settings.marker_lifetime_s
            self.offer("paths", lambda: self._paths.update(path_markers(motion.tracks), ns, lifetime_s))
        # Last: a simulator in lockstep takes the trajectories as the sign that the UAV has answered.
        self.offer(
            f"{prefix}trajectories",
            lambda: tracks_to_bytes(
                motion.tracks, agent=self.agent, frame=fused.frame, ns=ns, frame_id=frame_id
            ),
        )


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [TrajectoryHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
