"""sim_node: the simulated world. Drives /clock, publishes every UAV's camera and pose, and the truth.

In lockstep the mission clock stands still until every UAV has answered the frame, or a time limit of the steady clock
has passed (counted): the result then does not depend on the machine's speed. Otherwise frames come at a fixed rate.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import GroundTruth
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.convert.tasks import truth_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.runner import run_to_end
from rsdfm_ros.nodes.core.worker import give_way
from rsdfm_ros.nodes.mission.lockstep import IMAGE_RECEIVED_S, Lockstep, acknowledged
from rsdfm_ros.nodes.mission.settings import SimSettings
from rsdfm_ros.nodes.mission.world_node import WorldNode
from rsdfm_ros.sim.config import MAX_UAVS, SimConfig, WorldConfig
from rsdfm_ros.words import counted

if TYPE_CHECKING:
    from rsdfm_ros.sim.world import World

START_NS = 10_000_000_000
"""Mission clock of frame 0: a ROS time of zero would mean "no time yet"."""
CLOCK_PERIOD_S = 0.05
FRAMES_AHEAD = 3
"""Frames that are rendered before their time."""


class SimNode(WorldNode[SimSettings]):
    """The built-in simulator as the world of a fleet."""

    play_name = "simulation"

    def __init__(self, **options: Any) -> None:
        super().__init__("sim_node", SimSettings, **options)
        self.agents: tuple[str, ...] = ()
        self._clock_ns = 0

    def check(self, settings: SimSettings) -> None:
        names = settings.agents
        if len(names) > MAX_UAVS or len(set(names)) < len(names) or not all(n.isidentifier() for n in names):
            raise RsdfmError(f"agents: expected up to {MAX_UAVS} different names such as uav1, got {names}")

    def configure(self) -> None:
        # Reliable: a lost image would stall a lockstep mission; best-effort subscribers match all the same.
        s, sensor, outputs = self.settings, qos.sensor("reliable", depth=4), qos.outputs()
        self.agents = s.agents or tuple(f"uav{n + 1}" for n in range(s.uavs))
        self._clock_output = self.create_publisher(Clock, "/clock", qos.outputs(depth=1))
        self._truth = self.create_publisher(GroundTruth, "/ground_truth", outputs)
        kinds = (
            ("camera/camera_info", CameraInfo),
            ("pose", PoseWithCovarianceStamped),
            ("camera/image_raw", Image),
        )
        self._cameras = {
            agent: {name: self.create_publisher(kind, f"{agent}/{name}", sensor) for name, kind in kinds}
            for agent in self.agents
        }
        self._lockstep = Lockstep(self, self.agents, self.settings.answer)

    # --- the flight -----------------------------------------------------------------------------------------------

    def play(self, lockstep: Lockstep) -> None:
        # The renderer belongs to the thread that uses it. It works ahead, and gives way to the UAVs.
        with ThreadPoolExecutor(1, "renderer", initializer=give_way) as renderer:
            world = renderer.submit(_world, self.settings, len(self.agents)).result()
            try:
                self._fly(lockstep, renderer, world)
            finally:
                renderer.submit(world.close).result()

    def _fly(self, lockstep: Lockstep, renderer: ThreadPoolExecutor, world: World) -> None:
        s, stopped = self.settings, lockstep.stopped

        def rendered(k: int) -> WorldFrame | None:
            return None if stopped.is_set() else world.frame(k)

        ahead = deque(renderer.submit(rendered, k) for k in range(min(FRAMES_AHEAD, s.frames)))
        ahead[0].result()  # the clock starts when there is something to show
        self._tick(START_NS - 1_000_000)
        inputs = {agent: list(publishers.values()) for agent, publishers in self._cameras.items()}
        waits = bool(s.wait_for_truth_listener)
        if not lockstep.wait_for_fleet(inputs, s.ready_timeout_s, self._missing_listener, waits):
            return
        start_s = monotonic()
        for k in range(s.frames):
            frame = ahead.popleft().result()
            if k + FRAMES_AHEAD < s.frames:
                ahead.append(renderer.submit(rendered, k + FRAMES_AHEAD))
            if frame is not None and not s.lockstep:
                self._pace(start_s, frame.stamp_ns, stopped)
            if frame is None or stopped.is_set():
                return
            stamp_ns = self._publish(frame)
            if s.lockstep:
                lockstep.wait(stamp_ns, s.answer_timeout_s if k else s.first_answer_timeout_s)
        for k in range(s.frames, s.frames + FUTURE_STEPS):
            if stopped.is_set():
                return
            self._publish(WorldFrame(k, round(k * 1e9 / world.config.frame_rate_hz), (), world.objects(k)))
        acknowledged([self._truth, *(p for outputs in self._cameras.values() for p in outputs.values())])
        self.get_logger().info(f"flew {counted(s.frames, 'frame')}, {lockstep.timeouts} without all answers")

    def _publish(self, frame: WorldFrame) -> int:
        s, stamp_ns = self.settings, START_NS + frame.stamp_ns
        self._tick(stamp_ns)
        truth = truth_to_message(
            frame.objects, agents=self.agents, frame=frame.index, ns=stamp_ns, frame_id=s.frame_id
        )
        self._truth.publish(truth)
        for agent, view in zip(self.agents, frame.views, strict=False):  # later frames have no images
            camera, optical = self._cameras[agent], f"{agent}/camera_optical"
            size = (view.image.shape[0], view.image.shape[1])
            info = convert.intrinsics_to_message(view.K, size, stamp_ns, optical)
            pose = convert.pose_to_message(view.T_map_camera, view.covariance, stamp_ns, s.frame_id)
            camera["camera/camera_info"].publish(info)
            camera["pose"].publish(pose)
            camera["camera/image_raw"].publish(convert.image_to_message(view.image, stamp_ns, optical))
            acknowledged([camera["camera/image_raw"]], IMAGE_RECEIVED_S)
        self.health.count("frames_flown")
        return stamp_ns

    def _tick(self, ns: int) -> None:
        self._clock_ns = ns
        self._clock_output.publish(Clock(clock=convert.time_of(ns)))

    def _pace(self, start_s: float, frame_ns: int, stopped: threading.Event) -> None:
        """Let mission time pass until the frame is due."""
        factor = self.settings.real_time_factor
        due_s = start_s + frame_ns / 1e9 / factor
        while not stopped.is_set() and (left_s := due_s - monotonic()) > 0:
            stopped.wait(min(left_s, CLOCK_PERIOD_S))
            now_ns = START_NS + round((monotonic() - start_s) * factor * 1e9)
            if self._clock_ns < now_ns < START_NS + frame_ns:
                self._tick(now_ns)

    def _missing_listener(self) -> list[str]:
        if self.settings.wait_for_truth_listener and self._truth.get_subscription_count() == 0:
            return ["the evaluator is not there"]
        return []


def _world(settings: SimSettings, uavs: int) -> World:
    from rsdfm_ros.sim.world import World  # costs a second, which the node's other thread does not wait for

    config = SimConfig(world=WorldConfig(style=settings.style, weather=settings.weather))
    return World(settings.seed, uavs, config)


def main() -> int:
    """Run the simulation in a process of its own; ends with the mission."""
    return run_to_end(SimNode)


if __name__ == "__main__":
    sys.exit(main())
