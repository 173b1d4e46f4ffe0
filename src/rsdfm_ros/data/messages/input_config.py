"""Configuration of a UAV's inputs: cameras, pose source, frames, limits in time. Free of ROS.

The encoder node fills this from its parameters (nodes/uav/input_settings.py), the reader of bags from its topic
map.
"""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.data.messages.cameras import AUTO, DISTORTION_MODELS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.config import GeoConfig
from rsdfm_ros.data.messages.images import SIGNIFICANT_BITS
from rsdfm_ros.data.messages.poses import POSE_TYPES
from rsdfm_ros.data.messages.timing.image_times import HEADER, MAX_OFFSET_S, STAMP_SOURCES
from rsdfm_ros.former_names import FORMER_NAMES
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.settings import setting

IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
MAX_CAMERAS = 8
EXTRINSICS_SOURCES = ("parameter", "tf")


@dataclass(frozen=True)
class InputConfig(GeoConfig):
    """cameras: names · extrinsics: seven numbers per camera, its optical frame in the body whose pose is given ·
    significant_bits: of 16-bit images · images_rectified, camera_info_scaling, distortion_model: as rectified, scaling
    and model in `camera_from_message` ·
    camera_frames: frames of the images for TF, empty for their header's · pose_type: of POSE_TYPES ·
    pose_frame_id: frame that poses come in, empty for frame_id · pose_origin: pose of that frame in frame_id ·
    body_frame: whose pose is given, empty for an Odometry's child_frame_id · extrinsics_source: parameter or tf ·
    pose_sigma_m, pose_sigma_deg: standard deviations where the source has no covariance, or knows none · the other pose
    limits: as in PoseBuffer · pose_wait_s: longest wait of an image for a pose, by the stamps of later images ·
    camera_tolerance_s, camera_wait_s: as in Grouper; the latter also of an image for its own camera_info · geo_…: as in
    GeoConfig · stamp_source: what the time of an image is, of STAMP_SOURCES · image_time_offset_s: by camera, added to
    it; empty for none.
    """

    agent: str = ""
    frame_id: str = FRAME_ID
    cameras: tuple[str, ...] = ("camera",)
    extrinsics: tuple[float, ...] = IDENTITY
    extrinsics_source: str = "parameter"
    significant_bits: int = 16
    distortion_model: str = AUTO
    images_rectified: bool = setting(False, renamed_from=FORMER_NAMES["images_rectified"])
    camera_info_scaling: bool = False
    camera_frames: tuple[str, ...] = ()
    camera_tolerance_s: float = 0.02
    camera_wait_s: float = 0.1
    pose_type: str = "pose_with_covariance"
    pose_frame_id: str = ""
    pose_origin: tuple[float, ...] = IDENTITY
    body_frame: str = ""
    pose_sigma_m: float = 0.0
    pose_sigma_deg: float = 0.0
    pose_wait_s: float = 1.0
    pose_tolerance_s: float = 0.02
    pose_max_gap_s: float = 0.2
    max_speed_mps: float = 60.0
    stamp_source: str = HEADER
    image_time_offset_s: tuple[float, ...] = ()

    def checked(self) -> InputConfig:
        """Itself. Raises: MessageError `inputs` with a sentence about the first contradiction."""
        n = len(self.cameras)
        problems = (
            (not 1 <= n <= MAX_CAMERAS, f"cameras: expected 1 to {MAX_CAMERAS} names, got {n}"),
            (len(set(self.cameras)) != n, f"cameras: expected different names, got {list(self.cameras)}"),
            (
                len(self.extrinsics) != 7 * n,
                f"extrinsics: expected x y z qx qy qz qw for each of {n} cameras ({7 * n} numbers), got "
                f"{len(self.extrinsics)}",
            ),
            (
                len(self.camera_frames) not in (0, n),
                f"camera_frames: expected no or {n} names, got {len(self.camera_frames)}",
            ),
            (
                self.pose_type not in POSE_TYPES,
                f"pose_type: expected one of {', '.join(POSE_TYPES)}, got {self.pose_type!r}",
            ),
            (
                self.extrinsics_source not in EXTRINSICS_SOURCES,
                f"extrinsics_source: expected parameter or tf, got {self.extrinsics_source!r}",
            ),
            (
                self.significant_bits not in SIGNIFICANT_BITS,
                f"significant_bits: expected one of {SIGNIFICANT_BITS}, got {self.significant_bits}",
            ),
            (
                self.distortion_model not in DISTORTION_MODELS,
                f"distortion_model: expected one of {', '.join(DISTORTION_MODELS)}, got {self.distortion_model!r}",
            ),
            (len(self.pose_origin) != 7, f"pose_origin: expected 7 numbers, got {len(self.pose_origin)}"),
            (
                self.stamp_source not in STAMP_SOURCES,
                f"stamp_source: expected one of {', '.join(STAMP_SOURCES)}, got {self.stamp_source!r}",
            ),
            (
                len(self.image_time_offset_s) not in (0, n)
                or not all(abs(v) <= MAX_OFFSET_S for v in self.image_time_offset_s),
                f"image_time_offset_s: expected no or {n} numbers within {MAX_OFFSET_S:g} s, got "
                f"{list(self.image_time_offset_s)}",
            ),
            *self.geo_problems(),
        )
        for wrong, sentence in problems:
            if wrong:
                raise MessageError("inputs", sentence)
        return self

    @property
    def needs_tf(self) -> bool:
        """Whether anything comes from /tf and /tf_static."""
        return self.pose_type == "tf" or self.extrinsics_source == "tf"
