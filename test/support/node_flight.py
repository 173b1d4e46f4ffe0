"""Images, packets and fused maps for tests of single nodes: the synthetic world of the integration tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import FeaturePacket, FusedBev
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.convert.features import fused_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.wire.boxes import SideBoxes, encode_boxes
from rsdfm_ros.wire.packet import encode_frame
from support.harness import SIZE, START_NS, STEP_NS, believed, camera, camera_image, lively_model
from support.packets import packets_to_messages
from support.ros_world import RosWorld

__all__ = [
    "SIZE",
    "START_NS",
    "STEP_NS",
    "Flight",
    "believed",
    "camera",
    "camera_image",
    "lively_model",
    "matched_peers",
    "stamp_of",
]


def stamp_of(frame: int) -> int:
    """Exposure time of a frame, ns."""
    return START_NS + frame * STEP_NS


def matched_peers(node: Any) -> list[str]:
    """Peers whose feature topic a collaboration node is connected with, sorted."""
    return [peer.name for peer in node.peers if peer.matched]


def pose_of(agent: int, frame: int, offset_m: tuple[float, float]) -> np.ndarray:
    """T_map_camera of a UAV in a world that is shifted."""
    T = camera(agent, frame)[1].copy()
    T[:2, 3] += offset_m
    return T


class Flight:
    """Publishes the topics of UAVs and their cameras, in the domain of a RosWorld."""

    def __init__(self, world: RosWorld, model: Path | None = None) -> None:
        self.world, self.node = world, world.manager
        self.perception = Perception.load(model) if model is not None else None
        self._publishers: dict[str, Any] = {}
        self.clock_ns = 0

    def publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        """A publisher, made once."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, profile)
        return self._publishers[topic]

    def heard(self, *topics: str) -> bool:
        """Whether somebody subscribes to these topics."""
        return all(self._publishers[t].get_subscription_count() > 0 for t in topics)

    def keep(self, kind: Any, topic: str, profile: Any = None) -> list[Any]:
        """A list that fills with the messages of a topic."""
        store: list[Any] = []
        self.node.create_subscription(kind, topic, store.append, profile or qos.outputs())
        return store

    def tick(self, ns: int) -> None:
        """Set mission time."""
        self.publisher(Clock, "/clock", 1).publish(Clock(clock=convert.time_of(ns)))

    def sensors(self, agent: str = "uav1", image: str = "camera/image_raw") -> list[Any]:
        """Publishers of a UAV's sensors."""
        profile = qos.sensor("reliable", depth=10)
        return [
            self.publisher(CameraInfo, f"/{agent}/camera/camera_info", profile),
            self.publisher(PoseWithCovarianceStamped, f"/{agent}/pose", profile),
            self.publisher(Image, f"/{agent}/{image}", profile),
        ]

    def show(
        self,
        frame: int,
        agent: str = "uav1",
        offset_m: tuple[float, float] = (0.0, 0.0),
        *,
        exact: bool = False,
        **other: Any,
    ) -> int:
        """Publish one image with what belongs to it, its pose with a covariance or as exact; its stamp."""
        stamp, number = other.pop("stamp_ns", stamp_of(frame)), int(agent[3:])
        info, pose, image = self.sensors(agent, **other)
        K, _, covariance = camera(number, frame)
        covariance = covariance * (not exact)
        info.publish(convert.intrinsics_to_message(K, SIZE, stamp, f"{agent}/camera"))
        pose.publish(convert.pose_to_message(pose_of(number, frame, offset_m), covariance, stamp, "map"))
        image.publish(convert.image_to_message(camera_image(number, frame), stamp, f"{agent}/camera"))
        return stamp

    def packets(
        self,
        frame: int,
        agent: str = "uav2",
        offset_m: tuple[float, float] = (0.0, 0.0),
        cells: int = 100,
        boxes: SideBoxes | None = None,
        max_packet_bytes: int = 16_384,
    ) -> list[FeaturePacket]:
        """Packets that a UAV sends for a frame, with these boxes beside it."""
        assert self.perception is not None
        K, _, covariance = camera(int(agent[3:]), frame)
        T = pose_of(int(agent[3:]), frame, offset_m)
        bev = self.perception.perceive(camera_image(int(agent[3:]), frame), K, T, covariance)
        packets = encode_frame(
            self.perception.compress(bev, cells), max_packet_bytes, fingerprint=self.perception.fingerprint
        )
        return packets_to_messages(
            packets if boxes is None else [*packets, encode_boxes(boxes)],
            agent=agent,
            frame=frame,
            stamp_ns=stamp_of(frame),
            frame_id="map",
            fingerprint=self.perception.fingerprint,
            T_map_camera=T,
            covariance=covariance,
        )

    def features(self, agent: str) -> Any:
        """Publisher of a UAV's packets."""
        return self.publisher(FeaturePacket, f"/{agent}/bev/features", qos.features("reliable", 60.0))

    def send(self, frame: int, agent: str = "uav2", **other: Any) -> None:
        """Publish the packets of a UAV."""
        for message in self.packets(frame, agent, **other):
            self.features(agent).publish(message)

    def fused(self, frame: int, region: Any = None) -> tuple[Any, FusedBev]:
        """The fused map of two UAVs at a frame, and its message."""
        assert self.perception is not None
        p = self.perception if region is None else self.perception.at(region)
        bevs = []
        for number in (1, 2):
            K, T, covariance = camera(number, frame)
            bevs.append(p.perceive(camera_image(number, frame), K, T, covariance))
        fused = Fused(
            stamp_of(frame), frame, p.fuse(bevs[0], bevs[1:], [0.0]), None, ("uav1", "uav2"), (0.0, 0.0), 0.0
        )
        message = fused_to_message(fused, p, agent="uav1", frame_id="map")
        here = p.window.crop(p.region)
        values, scale = p.quantise_fused(fused.collaborative)
        return p.dequantise_fused(values, scale, fused.collaborative.visible.numpy()[here]), message
