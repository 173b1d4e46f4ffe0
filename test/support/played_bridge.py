"""The other side of ros_gz_bridge for tests in one process: UAVs that move as they are commanded, and a UAV that knows
every answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, Twist
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import FeaturePacket, GroundTruth, ObjectArray, TrajectoryArray
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.evaluation.frames import truth_of
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.convert.tasks import (
    boxes_to_message,
    grid_to_message,
    masks_to_message,
)
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.gimbal import planned
from support.own_domains import new_domain
from support.perfect import perfect_prediction
from support.tracks import tracks_to_message

SEED, AGENTS = 9001, ("uav1", "uav2")
TICK_NS, IMAGE_NS = 20_000_000, 500_000_000
WINDOW = Window(-200, -200, 400, 400, 0.25)
WAIT_S = 60.0


class Body:
    """A UAV as Gazebo moves it: velocities in its own frame, gimbal joints with a rate limit."""

    def __init__(self, T: np.ndarray) -> None:
        self.T, self.joints = T, {"gimbal_pitch": 0.0, "gimbal_roll": 0.0}
        self.twist, self.wanted, self.commands = Twist(), dict(self.joints), 0

    def step(self, dt: float) -> None:
        v, w = self.twist.linear, self.twist.angular
        rotation = np.array([w.x, w.y, w.z]) * dt
        angle = float(np.linalg.norm(rotation))
        x, y, z = rotation / max(angle, 1e-12)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        self.T[:3, 3] += self.T[:3, :3] @ np.array([v.x, v.y, v.z]) * dt
        self.T[:3, :3] = self.T[:3, :3] @ turn
        for joint, angle in self.wanted.items():
            limit = 3.0 * dt
            self.joints[joint] += max(-limit, min(limit, angle - self.joints[joint]))

    def camera(self) -> np.ndarray:
        """T_map_optical by the mechanism's description: 18 cm ahead and 9 cm below, pitch, then roll."""
        p, r = self.joints["gimbal_pitch"], self.joints["gimbal_roll"]
        pitch = np.array([[math.cos(p), 0, math.sin(p)], [0, 1, 0], [-math.sin(p), 0, math.cos(p)]])
        roll = np.array([[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
        flu = self.T[:3, :3] @ pitch @ roll
        T = np.eye(4)
        T[:3, 0], T[:3, 1], T[:3, 2] = -flu[:, 1], -flu[:, 2], flu[:, 0]
        T[:3, 3] = self.T[:3, 3] + self.T[:3, :3] @ np.array([0.18, 0.0, -0.09])
        return T


class PlayedGazebo:
    """Everything on the other side of the bridge, and the nodes under test, in one domain."""

    def __init__(self) -> None:
        self.context, self.nodes = Context(), []
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = Node("played_gazebo", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.now_ns = 0
        flights = make_flights(SEED, len(AGENTS))
        self.bodies: dict[str, Body] = {}
        for agent, flight in zip(AGENTS, flights, strict=True):
            start = planned(flight, 0.0)
            yaw = start.yaw + 0.3  # neither where nor as it should be
            T = np.eye(4)
            T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
            T[:3, 3] = start.position + np.array([4.0, -3.0, -2.0])
            self.bodies[agent] = Body(T)
        self.flights = dict(zip(AGENTS, flights, strict=True))
        self.clock = self.node.create_publisher(Clock, "/clock", 10)
        self.out: dict[str, dict[str, Any]] = {}
        self.pose: dict[str, dict[int, np.ndarray]] = {a: {} for a in AGENTS}
        self.true_pose: dict[str, dict[int, np.ndarray]] = {a: {} for a in AGENTS}
        self.info: dict[str, CameraInfo] = {}
        self.truth: dict[int, GroundTruth] = {}
        for agent in AGENTS:
            self.out[agent] = {
                "odometry": self.node.create_publisher(Odometry, f"/{agent}/odometry", 10),
                "joints": self.node.create_publisher(JointState, f"/{agent}/joint_states", 10),
                "info": self.node.create_publisher(CameraInfo, f"/{agent}/gazebo/camera_info", 10),
            }
            self._hear(agent)
        self.node.create_subscription(
            GroundTruth, "/ground_truth", lambda m: self.truth.__setitem__(m.frame, m), 100
        )

    def _hear(self, agent: str) -> None:
        body = self.bodies[agent]

        def velocity(message: Twist) -> None:
            body.twist, body.commands = message, body.commands + 1

        def pose(message: PoseWithCovarianceStamped) -> None:
            assert message.header.frame_id == "map"
            self.pose[agent][stamps.stamp_ns(message.header.stamp)] = pose_matrix(message.pose.pose)

        subscribe = self.node.create_subscription
        subscribe(Twist, f"/{agent}/cmd_vel", velocity, 10)
        for joint, topic in (("gimbal_pitch", "pitch"), ("gimbal_roll", "roll")):
            subscribe(
                Float64, f"/{agent}/gimbal/{topic}/command",
                lambda m, j=joint: body.wanted.__setitem__(j, m.data), 10,
            )  # fmt: skip
        subscribe(PoseWithCovarianceStamped, f"/{agent}/pose", pose, 10)
        subscribe(CameraInfo, f"/{agent}/camera/camera_info", lambda m: self.info.__setitem__(agent, m), 10)

    def add(self, kind: Callable[..., Any], **parameters: Any) -> Any:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = kind(context=self.context, parameter_overrides=overrides)
        self.nodes.append(node)
        self.executor.add_node(node)
        node.start()
        return node

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s in vain until {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def connected(self) -> None:
        self.until(
            lambda: all(p.get_subscription_count() > 0 for outs in self.out.values() for p in outs.values()),
            "the nodes listen to the bridge",
        )
        commands = [f"/{a}/{t}" for a in AGENTS for t in ("cmd_vel", "pose", "camera/camera_info")]
        self.until(lambda: all(self.node.count_publishers(t) for t in commands), "the nodes publish")

    def tick(self, *, images: tuple[str, ...] = AGENTS, shift_ns: int = 0) -> None:
        """20 ms of Gazebo: the bodies move, then everything is reported; returns when the UAVs are commanded anew."""
        self.now_ns += TICK_NS
        self.clock.publish(Clock(clock=convert.time_of(self.now_ns)))
        image = self.now_ns % IMAGE_NS == 0
        before = {a: b.commands for a, b in self.bodies.items()}
        for agent, body in self.bodies.items():
            body.step(TICK_NS / 1e9)
            odometry = Odometry()
            odometry.header.stamp, odometry.header.frame_id = convert.time_of(self.now_ns), "map"
            convert.fill_pose(odometry.pose.pose, body.T)
            joints = JointState(name=list(body.joints), position=list(body.joints.values()))
            joints.header.stamp = convert.time_of(self.now_ns)
            if image and agent in images:
                self.true_pose[agent][self.now_ns + shift_ns] = body.camera()
                self.out[agent]["info"].publish(gazebo_info(self.now_ns + shift_ns))
            self.out[agent]["odometry"].publish(odometry)
            self.out[agent]["joints"].publish(joints)
        self.until(
            lambda: all(b.commands > before[a] for a, b in self.bodies.items()), "every UAV is commanded"
        )

    def close(self) -> None:
        for node in self.nodes:
            node.destroy_node()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def gazebo_info(ns: int) -> CameraInfo:
    """CameraInfo as gz-sensors makes it for a camera without lens: the principal point in the middle, from the image's
    edge."""
    c = SimConfig()
    k = [c.focal_px, 0.0, c.width_px / 2, 0.0, c.focal_px, c.height_px / 2, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    message = CameraInfo(width=c.width_px, height=c.height_px, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k, message.p, message.r = k, p, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.header.stamp, message.header.frame_id = convert.time_of(ns), "uav1/camera_link/camera"
    return message


class Answers:
    """A UAV that knows everything."""

    def __init__(self, node: Node, agent: str) -> None:
        self.agent = agent
        kinds = {"instance_mask": Image, "future_masks": Image, "occupancy": OccupancyGrid}
        kinds |= {"detections": ObjectArray, "trajectories": TrajectoryArray}
        self.out = {n: node.create_publisher(k, f"/{agent}/{n}", qos.outputs()) for n, k in kinds.items()}
        self.features = node.create_publisher(
            FeaturePacket, f"/{agent}/bev/features", qos.features("reliable", 1.0)
        )

    def give(self, k: int, ns: int, future: list[Any]) -> None:
        answer = perfect_prediction(truth_of(future, WINDOW))
        assert answer.foreground is not None and answer.boxes is not None and answer.tracks is not None
        masks = np.asarray(answer.ids)
        self.out["instance_mask"].publish(masks_to_message(masks[:1], ns, "map"))
        self.out["future_masks"].publish(masks_to_message(masks, ns, "map"))
        grid = grid_to_message(answer.foreground.astype(np.float32), WINDOW, ns, "map")
        self.out["occupancy"].publish(grid)
        common: dict[str, Any] = {"agent": self.agent, "frame": k, "ns": ns, "frame_id": "map"}
        self.out["detections"].publish(boxes_to_message(answer.boxes, contributors=AGENTS, **common))
        self.out["trajectories"].publish(tracks_to_message(answer.tracks, **common))
