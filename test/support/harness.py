"""Helpers of the integration tests: an untrained model with varied outputs, UAV processes, and a small world of
synthetic images.

Every test has its own ROS domain and its own context; nothing sleeps to wait, every wait has a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import AgentStatus, FeaturePacket, ObjectArray, TrajectoryArray
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from support.places import TINY

WAIT_S = 120.0
LEASE_S = 5.0
"""Lease of liveliness: a busy machine must not look like a lost UAV."""
STEP_NS = 500_000_000
START_NS = 10_000_000_000
SIZE = (96, 160)
OUTPUTS = {
    "detections": ObjectArray,
    "instance_mask": Image,
    "occupancy": OccupancyGrid,
    "trajectories": TrajectoryArray,
    "future_masks": Image,
}


def lively_model(folder: Path, *, map_consistency: float = -1.0) -> Path:
    """Untrained weights whose heads answer something: the biases that make a fresh detector silent are taken out; and
    that accept every peer (map_consistency −1): the tests' images do not show one and the same place."""
    torch.manual_seed(3)
    model = RSDFM(load_model_config(TINY))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and name.startswith("heads."):
                parameter.clamp_(min=0.0)
    return save_model(
        folder, model, {"thresholds": {"segmentation": 0.5, "map_consistency": map_consistency}}
    )


def camera_image(agent: int, frame: int) -> np.ndarray:
    """Smooth random blobs, different for every UAV and frame."""
    rng = np.random.default_rng([agent, frame])
    coarse = rng.integers(0, 255, (12, 20, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, SIZE[0] // 12, axis=0), SIZE[1] // 20, axis=1)


def camera(agent: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, T_map_camera and covariance of a camera at 30 m that looks down by 50° towards the origin."""
    heading, pitch = 2 * np.pi * agent / 3, np.deg2rad(50)
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = [-20 * np.cos(heading), -20 * np.sin(heading), 30 + 0.5 * frame]
    K = np.array([[100.0, 0, SIZE[1] / 2], [0, 100.0, SIZE[0] / 2], [0, 0, 1]])
    return K, T, np.diag([0.04, 0.04, 0.04, 1e-4, 1e-4, 1e-4])


def believed(T: np.ndarray) -> np.ndarray:
    """The pose that a node reads from the message: through a quaternion and back, equal to the last bit."""
    return pose_matrix(convert.pose_to_message(T, np.zeros((6, 6)), 0, "map").pose.pose)


def uav_spec(agent: str, model: Path, domain: int, **parameters: Any) -> NodeSpec:
    """A uav_node with the settings of a lockstep fleet."""
    values = {
        "use_sim_time": True,
        "agent": agent,
        "model": str(model),
        "peer_wait_s": 15.0,
        "liveliness_lease_s": LEASE_S,
        "publish_single": True,
        "publish_future": True,
        "publish_fused": False,
        "image_reliability": "reliable",
        "features_reliability": "reliable",
        **parameters,
    }
    environment = {"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return NodeSpec(agent, "uav", "uav_node", f"/{agent}", values, environment)


class TestWorld:
    """Publishes synthetic images to UAVs and keeps everything that they answer, by topic and stamp."""

    __test__ = False

    def __init__(self, agents: list[str], domain: int) -> None:
        self.agents = agents
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("test_world", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got: dict[str, dict[int, Any]] = {}
        self.packets: dict[str, dict[int, list[FeaturePacket]]] = {a: {} for a in agents}
        self.status: dict[str, AgentStatus] = {}
        self._clock = self.node.create_publisher(Clock, "/clock", 1)
        sensor = qos.sensor("reliable")
        self._out = {
            a: [
                self.node.create_publisher(CameraInfo, f"/{a}/camera/camera_info", sensor),
                self.node.create_publisher(PoseWithCovarianceStamped, f"/{a}/pose", sensor),
                self.node.create_publisher(Image, f"/{a}/camera/image_raw", sensor),
            ]
            for a in agents
        }
        for agent in agents:
            for prefix in ("", "single/"):
                for name, kind in OUTPUTS.items():
                    self._keep(f"/{agent}/{prefix}{name}", kind)
            self.node.create_subscription(
                FeaturePacket, f"/{agent}/bev/features", self._on_packet, qos.features("reliable", LEASE_S)
            )
            self.node.create_subscription(AgentStatus, f"/{agent}/status", self._on_status, qos.outputs())

    def _keep(self, topic: str, kind: Any) -> None:
        store = self.got.setdefault(topic, {})

        def take(message: Any) -> None:
            store[stamps.stamp_ns(message.header.stamp)] = message

        self.node.create_subscription(kind, topic, take, qos.outputs())

    def _on_packet(self, message: FeaturePacket) -> None:
        stamp = stamps.stamp_ns(message.header.stamp)
        self.packets.setdefault(message.agent, {}).setdefault(stamp, []).append(message)

    def _on_status(self, message: AgentStatus) -> None:
        self.status[message.agent] = message

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        """Spin until the condition holds; an AssertionError that says what was awaited after the deadline."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def connected(self, agents: list[str]) -> bool:
        """Whether these UAVs subscribe to images and to each other."""
        takes = all(p.get_subscription_count() > 0 for a in agents for p in self._out[a])
        return takes and all(
            a in self.status and set(agents) - {a} <= set(self.status[a].peers) for a in agents
        )

    def show(self, frame: int, agents: list[str] | None = None) -> int:
        """Publish the images of a frame; its stamp."""
        stamp = START_NS + frame * STEP_NS
        self._clock.publish(Clock(clock=convert.time_of(stamp)))
        for agent in agents or self.agents:
            number = int(agent.removeprefix("uav"))
            K, T, covariance = camera(number, frame)
            info, pose, image = self._out[agent]
            info.publish(convert.intrinsics_to_message(K, SIZE, stamp, f"{agent}/camera"))
            pose.publish(convert.pose_to_message(T, covariance, stamp, "map"))
            image.publish(convert.image_to_message(camera_image(number, frame), stamp, f"{agent}/camera"))
        return stamp

    def fly(self, frame: int, agents: list[str] | None = None) -> int:
        """Publish a frame and wait until all these UAVs have answered it; its stamp."""
        stamp = self.show(frame, agents)
        wanted = agents or self.agents
        self.until(lambda: all(self.answered(a) >= stamp for a in wanted), f"{wanted} answer frame {frame}")
        return stamp

    def answered(self, agent: str) -> int:
        """Stamp of the UAV's newest answer, -1 before the first."""
        status = self.status.get(agent)
        return -1 if status is None or not status.frames_processed else stamps.stamp_ns(status.header.stamp)

    def close(self) -> None:
        """Leave the domain."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@contextmanager
def flight(
    agents: list[str], specs: list[NodeSpec], domain: int, logs: Path
) -> Iterator[tuple[TestWorld, Supervisor]]:
    """UAV processes and a world for them, all ended at the end."""
    world = TestWorld(agents, domain)
    try:
        with Supervisor(logs) as supervisor:
            for spec in specs:
                supervisor.start(spec)
            yield world, supervisor
    finally:
        world.close()
