"""An encoder node over real middleware with publishers of every input; fixture `bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from support.places import TINY

pytest.importorskip("rclpy")
import rclpy
import torch
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_matrix, transform
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from support.own_domains import new_domain

SIZE = (64, 96)
K = np.array([[70.0, 0, 48], [0, 70.0, 32], [0, 0, 1]])
WAIT_S = 60.0
START_NS = 100_000_000_000
STEP_NS = 50_000_000
COVARIANCE = np.diag([0.04, 0.04, 0.09, 1e-4, 1e-4, 4e-4])
IDENTITY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def camera_pose(heading: float = 0.0) -> np.ndarray:
    """T_map_camera at 30 m, looking down by 50° along the heading, from behind the origin."""
    c, s, p = np.cos(heading), np.sin(heading), np.deg2rad(50)
    R_map_body = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    R_down = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    return transform(R_map_body @ R_down @ R_BODY_OPTICAL, [-20 * c, -20 * s, 30])


def numbers(T: np.ndarray) -> list[float]:
    return [float(v) for v in (*T[:3, 3], *quaternion_from_matrix(T[:3, :3]))]


def camera_image(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


@pytest.fixture(scope="module")
def encoder_context() -> Iterator[Context]:
    """One participant for all tests of this file: every test has a namespace of its own."""
    made = Context()
    rclpy.init(context=made, domain_id=new_domain())
    yield made
    rclpy.shutdown(context=made)


class Bench:
    """An encoder node, a publisher of every input, and its outputs."""

    def __init__(self, context: Context, name: str, **parameters: Any) -> None:
        defaults = {"model": f"random:{TINY}:3", "image_reliability": "reliable"}
        overrides = [Parameter(k, value=v) for k, v in {**defaults, **parameters}.items()]
        self.node = EncoderNode(context=context, namespace=name, parameter_overrides=overrides)
        self.outside = Node("outside", context=context, namespace=name, start_parameter_services=False)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.outside)
        self.own: list[OwnFeatures] = []
        self.packets: list[FeaturePacket] = []
        self.node.listeners.append(self.own.append)
        self.outside.create_subscription(
            FeaturePacket, "bev/features", self.packets.append, qos.features("best_effort", 1.0)
        )
        self._publishers: dict[str, Any] = {}

    def start(self) -> Bench:
        self.node.start()
        return self

    def connect(self, topic: str, kind: type[Any]) -> Any:
        """A publisher that is heard, made once."""
        if topic not in self._publishers:
            publisher = self.outside.create_publisher(kind, topic, qos.sensor("reliable", depth=50))
            self._publishers[topic] = publisher
            self.until(lambda: publisher.get_subscription_count() > 0, f"{topic} is connected")
        return self._publishers[topic]

    def publish(self, topic: str, message: Any) -> None:
        self.connect(topic, type(message)).publish(message)

    def info(self, camera: str = "camera", stamp: int = START_NS) -> None:
        self.publish(f"{camera}/camera_info", convert.intrinsics_to_message(K, SIZE, stamp, camera))

    def image(self, n: int = 0, camera: str = "camera", seed: int = 0, **changes: Any) -> None:
        message = convert.image_to_message(camera_image(seed), START_NS + n * STEP_NS, camera)
        for name, value in changes.items():
            setattr(message, name, value)
        self.publish(f"{camera}/image_raw", message)

    def pose(self, n: int = 0, T: np.ndarray | None = None, **changes: Any) -> None:
        at = camera_pose() if T is None else T
        message = convert.pose_to_message(at, COVARIANCE, START_NS + n * STEP_NS, "map")
        for name, value in changes.items():
            setattr(message.header, name, value)
        self.publish("pose", message)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, (
                f"waited in vain until {what}; refused {self.node.health.rejects}"
            )
            self.executor.spin_once(timeout_sec=0.02)

    def answered(self, count: int) -> OwnFeatures:
        self.until(lambda: len(self.own) >= count, f"{count} images are answered")
        return self.own[count - 1]

    def refused(self, reason: str, count: int = 1) -> None:
        self.until(lambda: self.node.health.rejects[reason] >= count, f"{reason} is counted")

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.outside.destroy_node()


@pytest.fixture
def bench(encoder_context: Context, request: pytest.FixtureRequest) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        name = f"/t{abs(hash(request.node.name)) % 10**9}_{len(made)}"
        made.append(Bench(encoder_context, name, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def same(a: OwnFeatures, b: OwnFeatures) -> bool:
    return torch.equal(a.bev.features, b.bev.features) and torch.equal(a.bev.visible, b.bev.visible)


def two_cameras(bench: Callable[..., Bench], **parameters: Any) -> Bench:
    """The second camera looks 40° to the left of the first."""
    second = np.linalg.inv(camera_pose()) @ camera_pose(0.7)
    extrinsics = IDENTITY + numbers(second)
    return bench(cameras=["front", "left"], extrinsics=extrinsics, **parameters).start()
