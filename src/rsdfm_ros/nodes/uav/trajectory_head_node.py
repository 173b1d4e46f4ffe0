"""trajectory_head_node: where every object is and will be over the next two seconds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from rsdfm_ros.agent.tracking import with_ids
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.evaluation.frames import Tracks
from rsdfm_ros.msg import TrajectoryArray
from rsdfm_ros.nodes.convert.markers import MarkerSet, path_markers
from rsdfm_ros.nodes.convert.tasks import masks_to_message, tracks_to_message
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.uav.head_node import COLLABORATIVE, HeadNode


class TrajectoryHeadNode(HeadNode):
    """Publishes trajectories, the same as lines for people, and on request future_masks: instance ids now and at the
    coming steps, one below the other."""

    task = "trajectory"

    def configure(self) -> None:
        self._paths = MarkerSet(self.settings.frame_id)
        super().configure()

    def advertise(self, prefix: str) -> None:
        self.output(TrajectoryArray, f"{prefix}trajectories")
        if self.settings.publish_markers and prefix == COLLABORATIVE:
            self.output(MarkerArray, "paths")
        if self.settings.publish_future:
            self.output(Image, f"{prefix}future_masks")

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        motion = model.predict(maps, fused.shared.get(f"{prefix}instances"))
        frame_id, ns = self.settings.frame_id, fused.stamp_ns
        ids = self.identities.of_trajectories(prefix, ns, self.settings.id_memory_s, motion.positions)
        tracks = Tracks(ids, motion.positions, motion.scores)
        self.offer(f"{prefix}future_masks", lambda: masks_to_message(with_ids(motion.ids, ids), ns, frame_id))
        if prefix == COLLABORATIVE:
            lifetime_s = self.settings.marker_lifetime_s
            self.offer("paths", lambda: self._paths.update(path_markers(tracks), ns, lifetime_s))
        # Last: a simulator in lockstep takes the trajectories as the sign that the UAV has answered.
        self.offer(
            f"{prefix}trajectories",
            lambda: tracks_to_message(tracks, agent=self.agent, frame=fused.frame, ns=ns, frame_id=frame_id),
        )


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [TrajectoryHeadNode()])


if __name__ == "__main__":
    sys.exit(main())
