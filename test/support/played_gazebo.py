"""A stand-in for Gazebo and its bridge, started in the bridge's place: reads the world and bridge.yaml, moves the UAVs
as they are commanded, plays the actors' scripts as Gazebo does, and renders images with MuJoCo from where cameras are.

It stands still until the fleet listens, then runs as fast as it can but not faster than PLAYED_RATE (default 1). With
PLAYED_PATIENCE it waits so many seconds for the UAVs' answers to an image, and repeats it, before it shows the next.
"""

from __future__ import annotations

import math
import os
import signal
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml

from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.message_types import message_class
from rsdfm_ros.sim.gazebo.gimbal import camera_pose
from support.played_scene import PlayedScene

TICK_NS, IMAGE_NS = 20_000_000, 500_000_000
REPEAT_S = 4.0
"""Images that are not answered are shown again after so long, while there is patience."""
JOINTS = ("gimbal_pitch", "gimbal_roll")


class Body:
    """A UAV: its pose, its joints, and its last command."""

    def __init__(self, model: ET.Element) -> None:
        x, y, z, _, _, yaw = (float(v) for v in (model.findtext("pose") or "").split())
        self.T = np.eye(4)
        self.T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
        self.T[:3, 3] = x, y, z
        self.joints = dict.fromkeys(JOINTS, 0.0)
        self.wanted = dict(self.joints)
        self.linear, self.angular = np.zeros(3), np.zeros(3)

    def step(self, dt: float) -> None:
        self.T[:3, 3] += self.T[:3, :3] @ self.linear * dt
        c, s = math.cos(self.angular[2] * dt), math.sin(self.angular[2] * dt)
        self.T[:3, :3] = self.T[:3, :3] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        for joint in JOINTS:
            self.joints[joint] += max(-3 * dt, min(3 * dt, self.wanted[joint] - self.joints[joint]))


class Played:
    """Publishers and subscriptions as bridge.yaml asks for them, by Gazebo's topic."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("gazebo_bridge")
        config = Path(self.node.declare_parameter("config_file", "").value)
        self.scene = PlayedScene(config.parent / "world.sdf")
        self.bodies = {name: Body(model) for name, model in self.scene.models.items()}
        self.out: dict[str, Any] = {}
        self.shown: dict[str, tuple[tuple[str, Any], ...]] = {}
        self.shown_ns, self.answered_ns = 0, dict.fromkeys(self.bodies, 0)
        for agent in self.bodies:
            self.node.create_subscription(
                message_class("rsdfm_ros/msg/TrajectoryArray"),
                f"/{agent}/trajectories",
                partial(self.answer, agent),
                qos.outputs(),
            )
        for entry in yaml.safe_load(config.read_text()):
            if entry.get("lazy"):  # not needed here
                continue
            kind, gz = message_class(entry["ros_type_name"]), entry["gz_topic_name"]
            if entry["direction"] == "GZ_TO_ROS":
                self.out[gz] = self.node.create_publisher(kind, entry["ros_topic_name"], 10)
            else:
                take = partial(self.command, gz)
                self.node.create_subscription(kind, entry["ros_topic_name"], take, 10)

    def command(self, gz: str, message: Any) -> None:
        """/model/<uav>/cmd_vel or /model/<uav>/joint/<joint>/0/cmd_pos."""
        parts = gz.split("/")
        body = self.bodies[parts[2]]
        if parts[-1] == "cmd_vel":
            body.linear = np.array([message.linear.x, message.linear.y, message.linear.z])
            body.angular = np.array([message.angular.x, message.angular.y, message.angular.z])
        else:
            body.wanted[parts[4]] = message.data

    def answer(self, agent: str, message: Any) -> None:
        self.answered_ns[agent] = stamp_ns(message.header.stamp)

    def unanswered(self) -> list[str]:
        """UAVs that have not answered the newest images."""
        return [agent for agent, ns in self.answered_ns.items() if ns < self.shown_ns]

    def listened(self) -> bool:
        """Whether everything is there: images are taken, the truth is wanted."""
        images = [p for gz, p in self.out.items() if gz.endswith("/image")]
        return self.node.count_subscribers("/ground_truth") > 0 and all(
            p.get_subscription_count() > 0 for p in images
        )

    def publish(self, gz: str, ns: int, **fields: Any) -> None:
        publisher = self.out[gz]
        message = publisher.msg_type(**fields)
        message.header.stamp = convert.time_of(ns)
        publisher.publish(message)

    def tick(self, ns: int) -> None:
        self.out["/clock"].publish(self.out["/clock"].msg_type(clock=convert.time_of(ns)))
        for agent, body in self.bodies.items():
            body.step(TICK_NS / 1e9)
            odometry = self.out[f"/model/{agent}/odometry"].msg_type()
            odometry.header.stamp = convert.time_of(ns)
            convert.fill_pose(odometry.pose.pose, body.T)
            self.out[f"/model/{agent}/odometry"].publish(odometry)
            scoped = f"/world/rsdfm_block/model/{agent}"
            self.publish(
                f"{scoped}/joint_state", ns, name=list(JOINTS), position=[body.joints[j] for j in JOINTS]
            )
        if ns % IMAGE_NS == 0:
            self.images(ns)

    def images(self, ns: int) -> None:
        cameras = [camera_pose(b.T, *(b.joints[j] for j in JOINTS)) for b in self.bodies.values()]
        frame, self.shown_ns = self.scene.frame(ns // 1_000_000, cameras), ns
        for agent, view in zip(self.bodies, frame.views, strict=True):
            sensor = f"/world/rsdfm_block/model/{agent}/link/camera_link/sensor/camera"
            height, width = view.image.shape[:2]
            info = convert.intrinsics_to_message(view.K, (height, width), ns, "camera")
            for row, middle in ((2, width / 2), (5, height / 2)):
                info.k[row] = middle  # as Gazebo counts
            image = convert.image_to_message(view.image, ns, "camera")
            self.shown[agent] = ((f"{sensor}/camera_info", info), (f"{sensor}/image", image))
            self.show(agent)

    def show(self, agent: str) -> None:
        for topic, message in self.shown[agent]:
            self.out[topic].publish(message)


def main() -> None:
    """Play until told to stop."""
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    played, rate, ns = Played(), float(os.environ.get("PLAYED_RATE", "1")), 0
    patience_s = float(os.environ.get("PLAYED_PATIENCE", "0"))
    due = shown = again = time.monotonic()
    while not stop:
        rclpy.spin_once(played.node, timeout_sec=0.005)
        now, image_next = time.monotonic(), (ns + TICK_NS) % IMAGE_NS == 0
        silent = played.unanswered() if image_next and now < shown + patience_s else []
        if silent and now > again + REPEAT_S:
            again = now
            for agent in silent:  # a busy machine loses images
                played.show(agent)
        if silent or (ns == 0 and not played.listened()):
            due = now
        elif now >= due:
            if image_next:
                shown = again = now
            ns += TICK_NS
            played.tick(ns)
            due = max(due + TICK_NS / 1e9 / rate, now - 0.2)
    played.scene.close()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
