"""The parameters about cameras and poses; docs/inputs.md explains them with examples."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.data.messages.input_config import EXTRINSICS_SOURCES, IDENTITY, MAX_CAMERAS
from rsdfm_ros.data.messages.poses import POSE_TYPES
from rsdfm_ros.nodes.core.parameters import setting
from rsdfm_ros.nodes.core.settings import ImageTopicSettings

TRANSPORTS = ("raw", "compressed")
_PER_CAMERA = tuple(7 * n for n in range(1, MAX_CAMERAS + 1))
_POSE = "x y z m, quaternion x y z w"


@dataclass(frozen=True)
class InputSettings(ImageTopicSettings):
    """Cameras and poses of a UAV."""

    image_transport: str = setting(
        "raw", "raw: <camera>/image_raw; compressed: <camera>/image_raw/compressed", choices=TRANSPORTS
    )
    cameras: tuple[str, ...] = setting(
        (), "names of the cameras, the first part of their topics; empty: one, `camera`"
    )
    extrinsics: tuple[float, ...] = setting(
        IDENTITY,
        f"optical frame of every camera in the body whose pose is published, one after the other: {_POSE}",
        length=_PER_CAMERA,
    )
    extrinsics_source: str = setting(
        "parameter",
        "parameter: `extrinsics`; tf: from the body to the frame of the images, such as a gimbal's",
        choices=EXTRINSICS_SOURCES,
    )
    camera_frames: tuple[str, ...] = setting(
        (), "optical frames of the cameras in TF; empty: header.frame_id of their images"
    )
    camera_tolerance_s: float = setting(
        0.02, "images of several cameras with stamps this close belong together, s", low=0.0, high=1.0
    )
    camera_wait_s: float = setting(
        0.1, "longest wait of the steady clock for a missing camera's image, s", low=0.0, high=10.0
    )
    significant_bits: int = setting(
        16, "bits of 16-bit images that hold the value: 10, 12, 14 or 16", low=10, high=16
    )
    pictures_rectified: bool = setting(
        False, "the images are rectified already: p of camera_info is theirs, d is not used"
    )
    camera_info_scaling: bool = setting(
        False, "images may be larger or smaller than camera_info says, in the same shape"
    )
    pose_type: str = setting(
        "pose_with_covariance", "message on `pose`, or tf for poses from /tf", choices=POSE_TYPES
    )
    pose_frame_id: str = setting("", "frame that poses come in; empty: frame_id")
    pose_origin: tuple[float, ...] = setting(
        IDENTITY, f"pose of pose_frame_id in frame_id, such as where a UAV started: {_POSE}", length=(7,)
    )
    body_frame: str = setting(
        "", "frame whose pose is published; empty: child_frame_id of an Odometry, else base_link"
    )
    pose_sigma_m: float = setting(
        0.0, "standard deviation of the position where the source gives none, m", low=0.0, high=100.0
    )
    pose_sigma_deg: float = setting(
        0.0, "standard deviation of the attitude where the source gives none, degrees", low=0.0, high=45.0
    )
    pose_tolerance_s: float = setting(
        0.02,
        "a single pose this close in time to an image is its pose, where no two are there to interpolate between, s",
        low=0.0,
        high=1.0,
    )
    pose_max_gap_s: float = setting(
        0.2, "poses farther apart in time are not interpolated between, s", low=0.0, high=10.0
    )
    max_speed_mps: float = setting(
        60.0, "a pose that implies a higher speed is refused, m/s; 0: every pose is taken", low=0.0, high=1e4
    )
