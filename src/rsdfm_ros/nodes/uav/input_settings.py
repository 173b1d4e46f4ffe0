"""The parameters about cameras and poses; docs/inputs.md explains them with examples."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.data.messages.cameras import DISTORTION_MODELS
from rsdfm_ros.data.messages.input_config import EXTRINSICS_SOURCES, MAX_CAMERAS, InputConfig
from rsdfm_ros.data.messages.poses import POSE_TYPES
from rsdfm_ros.data.messages.timing.image_times import MAX_OFFSET_S, STAMP_SOURCES
from rsdfm_ros.former_names import FORMER_NAMES
from rsdfm_ros.nodes.core.settings import ImageTopicSettings
from rsdfm_ros.nodes.uav.positioning.geo_settings import GeoSettings
from rsdfm_ros.settings import setting

TRANSPORTS = ("raw", "compressed", "ffmpeg", "foxglove")
_PER_CAMERA = tuple(7 * n for n in range(1, MAX_CAMERAS + 1))
_POSE = "x y z m, quaternion x y z w"


@dataclass(frozen=True)
class InputSettings(GeoSettings, ImageTopicSettings):
    """Cameras and poses of a UAV."""

    image_transport: str = setting(
        "raw",
        "raw: <camera>/image_raw; compressed: <camera>/image_raw/compressed; video: ffmpeg, FFMPEGPacket on "
        "<camera>/image_raw/ffmpeg; foxglove, CompressedVideo on <camera>/image_raw/video",
        choices=TRANSPORTS,
    )
    image_depth: int = setting(
        2, "images of a camera that are kept while the node is busy; 30 and more for video", low=1, high=200
    )
    cameras: tuple[str, ...] = setting(
        (), "names of the cameras, the first part of their topics; empty: one, `camera`"
    )
    extrinsics: tuple[float, ...] = setting(
        InputConfig.extrinsics,
        f"optical frame of every camera in the body whose pose is published, one after the other: {_POSE}",
        length=_PER_CAMERA,
    )
    extrinsics_source: str = setting(
        InputConfig.extrinsics_source,
        "parameter: `extrinsics`; tf: from the body to the frame of the images, such as a gimbal's",
        choices=EXTRINSICS_SOURCES,
    )
    camera_frames: tuple[str, ...] = setting(
        InputConfig.camera_frames,
        "optical frames of the cameras in TF; empty: header.frame_id of their images",
    )
    camera_tolerance_s: float = setting(
        InputConfig.camera_tolerance_s,
        "images of several cameras with stamps this close belong together, s",
        low=0.0,
        high=1.0,
    )
    camera_wait_s: float = setting(
        InputConfig.camera_wait_s,
        "longest wait for a missing camera's image, and for the camera_info of an image's own stamp, s",
        low=0.0,
        high=10.0,
    )
    significant_bits: int = setting(
        InputConfig.significant_bits,
        "bits of 16-bit images that hold the value: 10, 12, 14 or 16",
        low=10,
        high=16,
    )
    distortion_model: str = setting(
        InputConfig.distortion_model,
        "distortion model of the cameras; auto: as camera_info says; none: whatever it says",
        choices=DISTORTION_MODELS,
    )
    images_rectified: bool = setting(
        InputConfig.images_rectified,
        "the images are rectified already: p of camera_info is theirs, d is not used",
        renamed_from=FORMER_NAMES["images_rectified"],
    )
    camera_info_scaling: bool = setting(
        InputConfig.camera_info_scaling,
        "images may be larger or smaller than camera_info says, in the same shape",
    )
    pose_type: str = setting(
        InputConfig.pose_type,
        "message on `pose`; tf: poses from /tf; geo: from `fix` and `attitude`",
        choices=POSE_TYPES,
    )
    pose_frame_id: str = setting(InputConfig.pose_frame_id, "frame that poses come in; empty: frame_id")
    pose_origin: tuple[float, ...] = setting(
        InputConfig.pose_origin,
        f"pose of pose_frame_id in frame_id, such as where a UAV started: {_POSE}",
        length=(7,),
    )
    body_frame: str = setting(
        InputConfig.body_frame,
        "frame whose pose is published; empty: child_frame_id of an Odometry, else base_link",
    )
    pose_sigma_m: float = setting(
        InputConfig.pose_sigma_m,
        "standard deviation of the position where the source gives none, m",
        low=0.0,
        high=100.0,
    )
    pose_sigma_deg: float = setting(
        InputConfig.pose_sigma_deg,
        "standard deviation of the attitude where the source gives none, degrees",
        low=0.0,
        high=45.0,
    )
    pose_wait_s: float = setting(
        InputConfig.pose_wait_s,
        "longest wait of an image for a pose, by the stamps of later images, s; six images wait in any case",
        low=0.0,
        high=10.0,
    )
    pose_tolerance_s: float = setting(
        InputConfig.pose_tolerance_s,
        "a single pose this close in time to an image is its pose, where no two are there to interpolate between, s",
        low=0.0,
        high=1.0,
    )
    pose_max_gap_s: float = setting(
        InputConfig.pose_max_gap_s,
        "poses farther apart in time are not interpolated between, s",
        low=0.0,
        high=10.0,
    )
    max_speed_mps: float = setting(
        InputConfig.max_speed_mps,
        "a pose that implies a higher speed is refused, m/s; 0: every pose is taken",
        low=0.0,
        high=1e4,
    )
    stamp_source: str = setting(
        InputConfig.stamp_source,
        "time of an image: header.stamp, or when it arrives (for cameras that leave the stamp at zero)",
        choices=STAMP_SOURCES,
    )
    image_time_offset_s: tuple[float, ...] = setting(
        InputConfig.image_time_offset_s,
        "added to the time of images, one number per camera, s; empty: none. `rsdfm calibrate time` estimates it",
        length=(0, *range(1, MAX_CAMERAS + 1)),
        low=-MAX_OFFSET_S,
        high=MAX_OFFSET_S,
    )
    watch_image_time: bool = setting(
        False, "estimate in flight by how much the stamps of images are off, and say so in the diagnostics"
    )
