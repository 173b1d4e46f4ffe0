"""gazebo_truth_node: the ground truth of a Gazebo world that was made from a seed, for the evaluator.

The world's vehicles move as a function of the seed and of simulation time, so their boxes are computed and not read
from Gazebo. Every frame of the mission, at the stamp of its images, gets one message, with the visibility of every
vehicle for each UAV's camera; after the last one come the frames that its predictions are scored with.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.pose_buffer import PoseBuffer
from rsdfm_ros.data.messages.poses import from_pose_with_covariance
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.msg import GroundTruth
from rsdfm_ros.nodes.convert.tasks import truth_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.runner import run_to_end
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.mission.gazebo_flight_node import check_agents
from rsdfm_ros.nodes.mission.gazebo_settings import GazeboTruthSettings
from rsdfm_ros.nodes.mission.lockstep import acknowledged
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.words import counted


@dataclass
class _Frame:
    """A frame whose images have arrived: their stamp, and the UAVs that have one."""

    stamp_ns: int
    agents: set[str] = field(default_factory=set)


class GazeboTruthNode(RsdfmNode[GazeboTruthSettings]):
    """`finished` tells when the truth of the whole mission is published."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gazebo_truth_node", GazeboTruthSettings, **options)
        self.finished = threading.Event()
        self.failure = ""
        self.period_ns = round(1e9 / SimConfig().frame_rate_hz)
        self._poses: dict[str, PoseBuffer] = {}
        self._frames: dict[int, _Frame] = {}
        self._next = 0
        self._latest_ns = 0
        self._world: Any = None
        self._worker: Worker | None = None

    def check(self, settings: GazeboTruthSettings) -> None:
        check_agents(settings.agents)

    def configure(self) -> None:
        s = self.settings
        gap_ns, tolerance_ns = round(s.max_gap_s * 1e9), round(s.stamp_tolerance_s * 1e9)
        self._truth = self.create_publisher(GroundTruth, "/ground_truth", qos.outputs(depth=100))
        self._poses = {a: PoseBuffer(tolerance_ns=tolerance_ns, max_gap_ns=gap_ns) for a in s.agents}

    def activate(self) -> None:
        self.finished.clear()
        self.clear()
        self._worker = Worker(self._on_failure, "truth")
        self._worker.enter()
        profile = qos.sensor(self.settings.input_reliability, depth=50)
        for agent in self.settings.agents:
            self.create_subscription(
                CameraInfo, f"{agent}/camera/camera_info", lambda m, a=agent: self._on_image(a, m), profile
            )
            self.create_subscription(
                PoseWithCovarianceStamped, f"{agent}/pose", lambda m, a=agent: self._on_pose(a, m), profile
            )
            self.expect(f"{agent}/camera/camera_info", "camera_info")
            self.expect(f"{agent}/pose", "pose")

    def deactivate(self) -> None:
        if self._worker is not None:
            self._worker.wait_idle(20.0)
            self._worker.submit("end", self._end_world)  # the renderer belongs to the worker's thread
            self._worker.wait_idle(10.0)
            self._worker.leave(())
            self._worker = None

    def clear(self) -> None:
        """Forget all data; after a jump of the clock the mission begins anew."""
        self._frames, self._next, self._latest_ns = {}, 0, 0
        for buffer in self._poses.values():
            buffer.clear()

    # --- instants -------------------------------------------------------------------------------------------------

    def _on_image(self, agent: str, message: CameraInfo) -> None:
        stamp_ns = checked_stamp_ns(message.header.stamp, "camera_info")
        since_ns = stamp_ns - round(self.settings.start_s * 1e9)
        k = round(since_ns / self.period_ns)
        if self._latest_ns == 0 and self._worker is not None:  # set-up time before the mission starts
            self._worker.submit("start", self._start)
        self._latest_ns = max(self._latest_ns, stamp_ns)
        if self._next <= k < self.settings.frames:
            off_s = (since_ns - k * self.period_ns) / 1e9
            if abs(off_s) > self.settings.stamp_tolerance_s:
                raise MessageError(
                    "off_frame",
                    f"{agent}: an image of {stamp_ns / 1e9:.3f} s is {off_s:+.3f} s off its frame {k}",
                )
            frame = self._frames.setdefault(k, _Frame(stamp_ns))
            if frame.stamp_ns != stamp_ns:
                raise MessageError(
                    "stamps_differ",
                    f"{agent}: {stamp_ns} ns where others took frame {k} at {frame.stamp_ns} ns",
                )
            frame.agents.add(agent)
        self._advance()

    def _on_pose(self, agent: str, message: PoseWithCovarianceStamped) -> None:
        posed = from_pose_with_covariance(message)
        self._poses[agent].add(posed.stamp_ns, posed.sample)
        self._latest_ns = max(self._latest_ns, posed.stamp_ns)
        self._advance()

    def _advance(self) -> None:
        """Hand over frames in order: when every UAV's pose is there, or when it has waited long enough."""
        while self._next < self.settings.frames:
            k, wait_ns = self._next, round(self.settings.pose_wait_s * 1e9)
            frame = self._frames.get(k)
            stamp_ns = self._stamp_of(k) if frame is None else frame.stamp_ns
            complete = frame is not None and all(b.ready(stamp_ns) for b in self._poses.values())
            if not complete and self._latest_ns <= stamp_ns + wait_ns:
                return
            poses = self._poses_at(stamp_ns)
            if frame is None:
                self.health.count("frames_without_pictures")
            self._frames.pop(k, None)
            self._next += 1
            self._submit(k, stamp_ns, poses)
        for k in range(self._next, self.settings.frames + FUTURE_STEPS):
            self._next += 1
            self._submit(k, self._stamp_of(k), None)

    def _poses_at(self, stamp_ns: int) -> dict[str, NDArray[np.float64]]:
        poses = {}
        for agent, buffer in self._poses.items():
            try:
                poses[agent] = buffer.at(stamp_ns).T
            except MessageError as error:
                self.reject(error.reason, f"{agent}: {error}")
        return poses

    def _stamp_of(self, k: int) -> int:
        return round(self.settings.start_s * 1e9) + k * self.period_ns

    # --- in the worker --------------------------------------------------------------------------------------------

    def _submit(self, k: int, stamp_ns: int, poses: Mapping[str, NDArray[np.float64]] | None) -> None:
        """One slot per frame: none of them may be dropped."""
        assert self._worker is not None
        self._worker.submit(f"frame {k}", lambda: self._publish(k, stamp_ns, poses))

    def _start(self) -> None:
        # Imported here: the renderer binds to the thread that uses it, and costs a second.
        from rsdfm_ros.sim.world import World

        if self._world is None:
            self._world = World(self.settings.seed, len(self.settings.agents))

    def _end_world(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None

    def _publish(self, k: int, stamp_ns: int, poses: Mapping[str, NDArray[np.float64]] | None) -> None:
        self._start()
        s, world = self.settings, self._world
        named = {world.agents[s.agents.index(agent)]: T for agent, T in (poses or {}).items()}
        objects = world.seen(k, named) if named else world.objects(k)
        objects = moved(objects, (stamp_ns - self._stamp_of(k)) / 1e9)
        self._truth.publish(
            truth_to_message(objects, agents=s.agents, frame=k, ns=stamp_ns, frame_id=s.frame_id)
        )
        self.health.count("frames_told")
        if k == s.frames + FUTURE_STEPS - 1:
            acknowledged([self._truth])
            self.get_logger().info(f"published the truth of {counted(s.frames, 'frame')}")
            self.finished.set()

    def _on_failure(self, slot: str, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        self.on_job_error(slot, error)
        self.finished.set()


def moved(objects: Objects, seconds: float) -> Objects:
    """The objects some milliseconds later or earlier, at constant velocity."""
    if seconds == 0:
        return objects
    centres = objects.centres.copy()
    centres[:, :2] += objects.velocities * seconds
    return replace(objects, centres=centres)


def main() -> int:
    """Run in a process of its own; ends with the mission."""
    return run_to_end(GazeboTruthNode)


if __name__ == "__main__":
    sys.exit(main())
