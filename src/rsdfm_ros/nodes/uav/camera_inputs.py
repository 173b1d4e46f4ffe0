"""The subscriptions of the encoder node: cameras and pose source into data/messages/inputs.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from time import monotonic
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.geo.config import GeoConfig
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.poses import GEO, POSE_READERS
from rsdfm_ros.data.messages.video.packets import codec_of
from rsdfm_ros.data.messages.video.queue import VideoQueue
from rsdfm_ros.data.messages.video.stream import check_installed
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.uav.pose_source import (
    FROM_PX4,
    installed_message,
    pose_message,
    pose_qos,
    transform_message,
    transform_qos,
)
from rsdfm_ros.nodes.uav.positioning.geo_source import GeoSource
from rsdfm_ros.nodes.uav.positioning.image_timing import ImageTiming
from rsdfm_ros.nodes.uav.settings import EncoderSettings

#: Without the parameter `cameras` there is one, whose topics are camera/image_raw and camera/camera_info.
DEFAULT_CAMERA = "camera"
_IMAGES = {"raw": ("image_raw", Image), "compressed": ("image_raw/compressed", CompressedImage)}
#: Topic, package and message of video, of packages that may be missing.
_VIDEO = {
    "ffmpeg": ("image_raw/ffmpeg", "ffmpeg_image_transport_msgs", "FFMPEGPacket"),
    "foxglove": ("image_raw/video", "foxglove_msgs", "CompressedVideo"),
}
_LEAST_PERIOD_S, _SELDOM_S, _VIDEO_PERIOD_S = 0.01, 0.25, 0.01


def input_config(settings: EncoderSettings, agent: str) -> InputConfig:
    """Configuration of the inputs from the settings. Raises: MessageError with a sentence for the first
    contradiction."""
    s = settings
    cameras = s.cameras or (DEFAULT_CAMERA,)
    return InputConfig(
        agent=agent,
        frame_id=s.frame_id,
        cameras=cameras,
        extrinsics=s.extrinsics,
        extrinsics_source=s.extrinsics_source,
        significant_bits=s.significant_bits,
        distortion_model=s.distortion_model,
        images_rectified=s.images_rectified,
        camera_info_scaling=s.camera_info_scaling,
        camera_frames=s.camera_frames,
        camera_tolerance_s=s.camera_tolerance_s,
        camera_wait_s=s.camera_wait_s,
        pose_type=s.pose_type,
        pose_frame_id=s.pose_frame_id,
        pose_origin=s.pose_origin,
        body_frame=s.body_frame,
        pose_sigma_m=s.pose_sigma_m,
        pose_sigma_deg=s.pose_sigma_deg,
        pose_wait_s=s.pose_wait_s,
        pose_tolerance_s=s.pose_tolerance_s,
        pose_max_gap_s=s.pose_max_gap_s,
        max_speed_mps=s.max_speed_mps,
        stamp_source=s.stamp_source,
        image_time_offset_s=s.image_time_offset_s,
        **{f.name: getattr(s, f.name) for f in fields(GeoConfig)},
    ).checked()


def _image_topic(transport: str) -> tuple[str, Any]:
    """Topic below a camera's name and message class. Raises: RsdfmError where it is not installed."""
    if transport in _IMAGES:
        return _IMAGES[transport]
    topic, package, name = _VIDEO[transport]
    return topic, installed_message(package, name, f"image_transport {transport}")


class CameraInputs:
    """Subscribes for a node and calls `take` in the executor's thread with everything that matches.

    Made when the node is configured, which refuses message types that are not installed; `subscribe` when it is
    activated.
    """

    def __init__(self, node: RsdfmNode[EncoderSettings], agent: str, take: Callable[[Matched], None]) -> None:
        """Raises: RsdfmError for settings that contradict each other or messages that are not installed."""
        self._node, self._take = node, take
        self.config = input_config(node.settings, agent)
        self._matching = Inputs(self.config, node.reject, self._doubt)
        self.timing = ImageTiming(self._matching) if node.settings.watch_image_time else None
        self._images = _image_topic(node.settings.image_transport)
        self._videos: dict[int, VideoQueue] = {}
        self._pose_message: Any = None
        self._tf_message: Any = None
        self._geo: GeoSource | None = None
        if self.config.pose_type == GEO:
            self._geo = GeoSource(node, self.config, self._matching, self._give)
        if self.config.pose_type in POSE_READERS:
            self._pose_message = pose_message(self.config.pose_type)
        if self.config.needs_tf:
            reason = "pose_type tf" if self.config.pose_type == "tf" else "extrinsics_source tf"
            self._tf_message = transform_message(reason)

    def subscribe(self) -> None:
        """Subscribe to everything; the node's phase ends the subscriptions."""
        node, settings = self._node, self._node.settings
        name, kind = self._images
        few = qos.sensor(settings.image_reliability)
        images = qos.sensor(settings.image_reliability, depth=settings.image_depth)
        if self.config.needs_tf:
            for topic, fixed in (("/tf_static", True), ("/tf", False)):
                node.create_subscription(
                    self._tf_message, topic, partial(self._on_transforms, fixed), transform_qos(fixed=fixed)
                )
            node.expect("/tf", "transform")
        if self._pose_message is not None:
            profile = pose_qos(settings.image_reliability, px4=settings.pose_type == FROM_PX4)
            node.create_subscription(self._pose_message, "pose", self._on_pose, profile)
            node.expect("pose", "pose")
        if self._geo is not None:
            self._geo.subscribe()
        for number, camera in enumerate(self.config.cameras):
            info, image = f"{camera}/camera_info", f"{camera}/{name}"
            node.create_subscription(CameraInfo, info, partial(self._on_info, number), few)
            node.expect(info, "camera_info")
            node.create_subscription(kind, image, partial(self._on_image, number), images)
            node.expect(image, "image")
        # A single camera waits for camera_info only, and most often the next message ends that wait.
        several = len(self.config.cameras) > 1
        period_s = max(_LEAST_PERIOD_S, settings.camera_wait_s / 4) if several else _SELDOM_S
        node.create_timer(period_s, self._on_timer, clock=STEADY)

    def clear(self) -> None:
        """Forget everything that has a stamp."""
        self._matching.clear()
        for video in self._videos.values():
            video.close()
        self._videos.clear()
        if self.timing is not None:
            self.timing.clear()

    def views(self, matched: Matched) -> tuple[CameraView, ...]:
        """Decoded and rectified views; called in the worker thread."""
        return self._matching.views(matched)

    def _doubt(self, kind: str, text: str) -> None:
        """Count what is used although it looks wrong, and say it now and then."""
        self._node.health.count(f"doubtful_{kind}")
        self._node.warn_seldom(f"doubtful_{kind}", text)

    def _on_info(self, camera: int, message: Any) -> None:
        self._give(self._matching.add_info(camera, message))

    def _on_image(self, camera: int, message: Any) -> None:
        self._node.health.count("images")
        if self.timing is not None:
            self.timing.sample()
        if codec_of(message) is None:
            self._give(self._matching.add_image(camera, message, monotonic(), self._now_ns()))
        else:
            self._on_video(camera, message)

    def _on_video(self, camera: int, message: Any) -> None:
        """Video is decoded in a thread of its own; a timer takes the images."""
        if camera not in self._videos:
            try:
                check_installed()
            except RsdfmError as error:
                self._node.reject("video", str(error))
                return
            self._videos[camera] = VideoQueue(self._node.reject)
            self._node.create_timer(_VIDEO_PERIOD_S, partial(self._take_video, camera), clock=STEADY)
        self._videos[camera].put(message, self._now_ns())

    def _take_video(self, camera: int) -> None:
        video = self._videos.get(camera)
        for image, arrived_ns in [] if video is None else video.take():
            self._give(self._matching.add_image(camera, image, monotonic(), arrived_ns))

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_pose(self, message: Any) -> None:
        self._give(self._matching.add_pose(message))

    def _on_transforms(self, fixed: bool, message: Any) -> None:
        self._give(self._matching.add_transforms(message, fixed=fixed))

    def _on_timer(self) -> None:
        self._give(self._matching.due(monotonic()))

    def _give(self, matched: list[Matched]) -> None:
        for one in matched:
            self._take(one)
