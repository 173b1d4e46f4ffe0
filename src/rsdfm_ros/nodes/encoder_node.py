"""encoder_node: pictures with intrinsics and pose to bird's-eye-view features, and packets for the peers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from numpy.typing import NDArray
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.messages import poses, stamps
from rsdfm_ros.data.messages.cameras import intrinsics_from_message
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.matching import StampMatcher
from rsdfm_ros.data.messages.poses import covariance_from, pose_matrix
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes import qos
from rsdfm_ros.nodes.base import RsdfmNode, agent_name, monotonic, run
from rsdfm_ros.nodes.convert_features import packets_to_messages
from rsdfm_ros.nodes.handover import OwnFeatures
from rsdfm_ros.nodes.health import Health
from rsdfm_ros.nodes.model import SharedModel
from rsdfm_ros.nodes.settings import EncoderSettings
from rsdfm_ros.nodes.worker import Worker
from rsdfm_ros.wire.budget import BudgetConfig, BudgetController
from rsdfm_ros.wire.header import Band, band_of
from rsdfm_ros.wire.packet import encode_frame


@dataclass(frozen=True)
class Picture:
    """A picture and when it arrived (steady clock)."""

    message: Image
    arrived_s: float


class EncoderNode(RsdfmNode[EncoderSettings]):
    """`listeners` are called in the worker thread with every OwnFeatures, after the packets were published."""

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        **options: Any,
    ) -> None:
        super().__init__("encoder_node", EncoderSettings, health, **options)
        s = self.settings
        self.agent = agent_name(self, s.agent)
        self.shared_model = model or SharedModel(s.model, s.threads)
        self.worker = worker or Worker(self.on_job_error)
        self.listeners: list[Callable[[OwnFeatures], None]] = []
        self.T_pose_camera = poses.extrinsics(s.extrinsics)
        self.budget = BudgetController(BudgetConfig(target_bytes_per_frame=s.budget_bytes))
        self._matcher: StampMatcher[Picture, PoseWithCovarianceStamped] = StampMatcher(
            round(s.pose_tolerance_s * 1e9)
        )
        self._info: CameraInfo | None = None
        self._frame = 0
        self._newest_ns = -1
        self._inputs: list[Any] = []
        self._model: Any = None

    @property
    def ready(self) -> bool:
        """Whether pictures are taken."""
        return bool(self._inputs)

    def configure(self) -> None:
        s = self.settings
        profile = qos.features(s.features_reliability, s.liveliness_lease_s, s.lifespan_s)
        self._packets = self.create_publisher(FeaturePacket, "bev/features", profile)

    def activate(self) -> None:
        self._model = self.shared_model.acquire()
        profile = qos.sensor(self.settings.image_reliability)
        poses = qos.sensor(self.settings.image_reliability, depth=20)
        self._inputs = [
            self.create_subscription(CameraInfo, "camera/camera_info", self._on_info, profile),
            self.create_subscription(PoseWithCovarianceStamped, "pose", self._on_pose, poses),
            self.create_subscription(Image, "camera/image_raw", self._on_image, profile),
        ]

    def deactivate(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        self.worker.clear()
        self.worker.wait_idle(5.0)
        if self._model is not None:
            self.shared_model.release()
            self._model = None

    def clear(self) -> None:
        self._matcher.clear()
        self._newest_ns = -1

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._take(self._matcher.add_pose(stamps.stamp_ns(message.header.stamp), message))

    def _on_image(self, message: Image) -> None:
        self.health.count("images")
        self._take(
            self._matcher.add_image(stamps.stamp_ns(message.header.stamp), Picture(message, monotonic()))
        )

    def _take(self, match: tuple[int, Picture, PoseWithCovarianceStamped] | None) -> None:
        self.health.counts["images_without_pose"] = self._matcher.dropped
        if match is None:
            return
        stamp_ns, picture, pose = match
        if self._info is None:
            self.reject(
                "no_camera_info", f"no camera_info on {self.resolve_topic_name('camera/camera_info')} yet"
            )
            return
        if stamp_ns <= self._newest_ns:
            self.reject("old_stamp", f"picture of {stamp_ns} ns after one of {self._newest_ns} ns")
            return
        self._newest_ns = stamp_ns
        info, frame = self._info, self._frame
        self._frame += 1
        self.worker.submit("encode", lambda: self._encode(stamp_ns, frame, picture, info, pose))
        self.health.counts["images_dropped"] = self.worker.dropped["encode"]

    def _encode(
        self, stamp_ns: int, frame: int, picture: Picture, info: CameraInfo, pose: PoseWithCovarianceStamped
    ) -> None:
        model = self._model
        if model is None:
            return
        start = monotonic()
        try:
            image, K, T, covariance = self._inputs_of(picture, info, pose)
        except MessageError as error:
            self.reject(error.reason, str(error))
            return
        bev = model.perceive(image, K, T, covariance, self.settings.ground_height_m)
        perceived = monotonic()
        self._send(model, bev, stamp_ns, frame, T, covariance)
        self.health.took("encode", perceived - start)
        self.health.took("compress", monotonic() - perceived)
        own = OwnFeatures(stamp_ns, frame, bev, picture.arrived_s)
        for listener in self.listeners:
            listener(own)

    def _inputs_of(
        self, picture: Picture, info: CameraInfo, pose: PoseWithCovarianceStamped
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        image = image_from_message(picture.message)
        if (info.height, info.width) != image.shape[:2]:
            raise MessageError(
                "camera_info_size",
                f"camera_info is for {info.width} x {info.height}, the image is {image.shape}",
            )
        if pose.header.frame_id != self.settings.frame_id:
            raise MessageError(
                "frame_id", f"expected poses in {self.settings.frame_id!r}, got {pose.header.frame_id!r}"
            )
        T = pose_matrix(pose.pose.pose) @ self.T_pose_camera
        covariance = covariance_from(pose.pose.covariance)
        return image, intrinsics_from_message(info), T, covariance

    def _send(
        self,
        model: Any,
        bev: Any,
        stamp_ns: int,
        frame: int,
        T: NDArray[np.float64],
        covariance: NDArray[np.float64],
    ) -> None:
        features = model.compress(bev, self.budget.cells())
        packets = encode_frame(features, self.settings.max_packet_bytes, fingerprint=model.fingerprint)
        messages = packets_to_messages(
            packets,
            agent=self.agent,
            frame=frame,
            stamp_ns=stamp_ns,
            frame_id=self.settings.frame_id,
            fingerprint=model.fingerprint,
            T_map_camera=T,
            covariance=covariance,
        )
        low = high = 0
        for packet, message in zip(packets, messages, strict=True):
            raw = serialize_message(message)
            if band_of(packet) is Band.LOW:
                low += len(raw)
            else:
                high += len(raw)
            try:
                self._packets.publish(raw)
            except _rclpy.RCLError as error:
                self.reject("publish_failed", str(error))
        self.budget.sent(low, high, len(features.high_cell))
        self.health.frame_bytes = low + high
        self.health.count("bytes_sent", low + high)
        self.health.count("packets_sent", len(packets))


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [EncoderNode()])


if __name__ == "__main__":
    sys.exit(main())
