"""CPU time of gazebo_flight_node per simulated second: four UAVs as Gazebo's bridge sends them, over DDS.

python -m benchmarks.gazebo_flight [--seconds 10] [--rate 1.0] [--joints-hz 250] [--json out.json]
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, JointState

from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.outputs import write_json
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.gimbal import Track

AGENTS = ("uav1", "uav2", "uav3", "uav4")
SEED, START_S, SETTLE_S, WAIT_S = 9000, 1.0, 2.0, 60.0
STEP_MS, ODOMETRY_MS, IMAGE_MS = 4, 20, 500


class Feeder:
    """Publishes the topics of Gazebo's bridge, and counts the commands that come back."""

    def __init__(self, joints_hz: int) -> None:
        self.node = rclpy.create_node("feeder")
        self.joints_ms = 1000 // joints_hz
        reliable = qos.sensor("reliable", depth=10)
        self.tracks = {a: Track(f) for a, f in zip(AGENTS, make_flights(SEED, len(AGENTS)), strict=True)}
        self.clock = self.node.create_publisher(Clock, "/clock", 10)
        kinds = {Odometry: "odometry", JointState: "joint_states", CameraInfo: "gazebo/camera_info"}
        self.out = {
            a: {k: self.node.create_publisher(k, f"/{a}/{t}", reliable) for k, t in kinds.items()}
            for a in AGENTS
        }
        self.commands = 0
        for agent in AGENTS:
            self.node.create_subscription(Twist, f"/{agent}/cmd_vel", lambda _: None, reliable)

    def heard(self) -> bool:
        """Whether the node listens to everything."""
        publishers = [self.clock, *(p for outs in self.out.values() for p in outs.values())]
        return all(p.get_subscription_count() for p in publishers)

    def step(self, now_ms: int) -> None:
        """One physics step."""
        stamp = convert.time_of(now_ms * 1_000_000)
        self.clock.publish(Clock(clock=stamp))
        for agent, track in self.tracks.items():
            if now_ms % self.joints_ms and now_ms % ODOMETRY_MS:
                continue
            (x, y, z, yaw, pitch, roll), _ = track.at(now_ms / 1000 - START_S)
            if now_ms % self.joints_ms == 0:
                self._send(agent, joint_states(float(pitch), float(roll)), stamp)
            if now_ms % ODOMETRY_MS == 0:
                self._send(agent, odometry(agent, np.array([x, y, z]), float(yaw)), stamp)
            if now_ms % IMAGE_MS == 0:
                self._send(agent, camera_info(), stamp)
        if now_ms % ODOMETRY_MS == 0:
            for subscription in self.node.subscriptions:
                while subscription.handle.take_message(subscription.msg_type, False) is not None:
                    self.commands += 1

    def _send(self, agent: str, message: Any, stamp: Any) -> None:
        message.header.stamp = stamp
        self.out[agent][type(message)].publish(message)


def joint_states(pitch: float, roll: float) -> JointState:
    """A gimbal."""
    names, none = ["gimbal_pitch", "gimbal_roll"], [0.0, 0.0]
    return JointState(name=names, position=[pitch, roll], velocity=none, effort=none)


def odometry(agent: str, position: np.ndarray, yaw: float) -> Odometry:
    """A level UAV."""
    message, T = Odometry(child_frame_id=f"{agent}/base_link"), np.eye(4)
    message.header.frame_id = "map"
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[:3, 3] = position
    convert.fill_pose(message.pose.pose, T)
    return message


def camera_info() -> CameraInfo:
    """As Gazebo counts."""
    c = SimConfig()
    k = [c.focal_px, 0.0, c.width_px / 2, 0.0, c.focal_px, c.height_px / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=c.width_px, height=c.height_px, k=k)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(seconds: float, joints_hz: int, rate: float) -> dict[str, float]:
    """CPU seconds per simulated second, and commands per simulated second and UAV."""
    rclpy.init()
    feeder = Feeder(joints_hz)
    settings = {"use_sim_time": "true", "seed": SEED, "start_s": START_S}
    options = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "rsdfm_ros.nodes.mission.gazebo_flight_node", "--ros-args", *options]
    with subprocess.Popen(command) as node:
        try:
            deadline = time.monotonic() + WAIT_S
            while not feeder.heard():
                if time.monotonic() > deadline or node.poll() is not None:
                    raise RuntimeError("gazebo_flight_node does not listen")
                time.sleep(0.05)
            begin, start_s, commands = time.monotonic(), 0.0, 0
            for now_ms in range(STEP_MS, round(1000 * (SETTLE_S + seconds)), STEP_MS):
                time.sleep(max(0.0, begin + now_ms / 1000 / rate - time.monotonic()))
                if now_ms == round(1000 * SETTLE_S):
                    start_s, commands = cpu_s(node.pid), feeder.commands
                feeder.step(now_ms)
            used_s, commands = cpu_s(node.pid) - start_s, feeder.commands - commands
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(WAIT_S)
            feeder.node.destroy_node()
            rclpy.shutdown()
    return {"cpu_s_per_s": used_s / seconds, "commands_per_s": commands / seconds / len(AGENTS)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="simulated seconds (default %(default)s)")
    parser.add_argument(
        "--joints-hz", type=int, default=250, choices=(50, 125, 250), help="rate of joint states"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument("--json", type=Path, help="also write it to this file")
    args = parser.parse_args()
    found = measure(args.seconds, args.joints_hz, args.rate)
    print(
        f"{len(AGENTS)} UAVs, joint states at {args.joints_hz} Hz, rate {args.rate:g}: "
        f"{found['cpu_s_per_s']:.3f} s of CPU per simulated second, "
        f"{found['commands_per_s']:.1f} commands per second and UAV"
    )
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
