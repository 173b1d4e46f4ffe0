"""Topics of cameras, poses and features in a bag, by UAV; map_file.py reads it from YAML (config/bags/).

In every topic name `{uav}` stands for the name of a UAV. docs/bags.md explains each setting.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rsdfm_ros.data.bags.errors import TopicMapError
from rsdfm_ros.data.messages.geo.messages import ORIGIN_TOPIC
from rsdfm_ros.data.messages.input_config import IDENTITY, InputConfig
from rsdfm_ros.data.messages.poses import GEO
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.settings import Builder, setting

UAV = "{uav}"
MAX_RECORDED_UAVS = 64
MAX_RECORDED_CAMERAS = 16
"""Cameras of a UAV in a bag: a recording may hold more of them than a UAV reads (MAX_CAMERAS of input_config)."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NAME_WORDS = "names of letters, digits and _ that begin with a letter, as in ROS topics"
_TOPIC = re.compile(r"/(?:[A-Za-z0-9_]|\{uav\})+(?:/(?:[A-Za-z0-9_]|\{uav\})+)*")
TF, STATIC = "tf", "/tf_static"
"""In place of a pose topic: poses come from /tf and /tf_static."""
IMAGES = (
    *("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"),
    *("ffmpeg_image_transport_msgs/msg/FFMPEGPacket", "foxglove_msgs/msg/CompressedVideo"),
)
NAVSAT = "sensor_msgs/msg/NavSatFix"
FIXES = {NAVSAT: "navsat", "px4_msgs/msg/VehicleGlobalPosition": "px4"}
"""Types of satellite fixes and their names in encoder_node (geo_fix_type)."""
ATTITUDES = {
    "sensor_msgs/msg/Imu": "imu",
    "geometry_msgs/msg/QuaternionStamped": "quaternion",
    "geometry_msgs/msg/PoseStamped": "pose",
    "nav_msgs/msg/Odometry": "odometry",
    "px4_msgs/msg/VehicleAttitude": "px4",
}
"""Types of attitudes and their names in encoder_node (geo_attitude_type)."""
POSES = {
    "geometry_msgs/msg/PoseWithCovarianceStamped": "pose_with_covariance",
    "geometry_msgs/msg/PoseStamped": "pose",
    "nav_msgs/msg/Odometry": "odometry",
    "px4_msgs/msg/VehicleOdometry": "px4_odometry",
    **dict.fromkeys(FIXES, GEO),
}
"""Types of pose messages and their names in encoder_node (pose_type)."""
INFO, FEATURES = "sensor_msgs/msg/CameraInfo", "rsdfm_ros/msg/FeaturePacket"
STATUS, TRUTH = "rsdfm_ros/msg/AgentStatus", "rsdfm_ros/msg/GroundTruth"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
POINT = "geometry_msgs/msg/PointStamped"
OPTIONAL_TOPICS = ("features", "status", "ground", "attitude")
"""Of a UAV."""
_PIXELS = "a number of pixels"
_SET_ELSEWHERE = (
    *("agent", "frame_id", "cameras", "extrinsics", "pose_type", "pose_frame_id"),
    *("geo_fix_type", "geo_attitude_type"),
)
"""Settings of InputConfig that are none of `inputs`."""

BUILDER = Builder(TopicMapError, "the map", lenient=True)


def require(good: bool, where: str, allowed: str, value: Any) -> None:
    """Raise TopicMapError unless `good`: what was expected, what came."""
    BUILDER.require(good, where, allowed, value)


def _uavs(value: Any, where: str) -> tuple[str, ...]:
    require(value == "auto" or isinstance(value, list), where, "`auto` or a list of names", value)
    return () if value == "auto" else tuple(BUILDER.text(name, where) for name in value)


def _inputs(value: Any, where: str) -> dict[str, Any]:
    return BUILDER.values(InputConfig, value, f"{where}.", without=_SET_ELSEWHERE)


def _origins(value: Any, where: str) -> dict[str, tuple[float, ...]]:
    require(
        isinstance(value, dict), where, "a mapping from UAVs to x y z and a unit quaternion x y z w", value
    )
    for name, numbers in value.items():
        good = isinstance(numbers, list) and all(type(n) in (int, float) for n in numbers)
        require(good, f"{where}.{name}", "x y z and a unit quaternion x y z w", numbers)
    return {str(name): tuple(float(n) for n in numbers) for name, numbers in value.items()}


@dataclass(frozen=True)
class Intrinsics:
    """A camera without CameraInfo in the bag: size and K in pixels as ROS counts them (centre of the first pixel 0),
    distortion as in sensor_msgs/CameraInfo."""

    width: int = setting(words=_PIXELS)
    height: int = setting(words=_PIXELS)
    fx: float = setting(words=_PIXELS)
    fy: float = setting(words=_PIXELS)
    cx: float = setting(words=_PIXELS)
    cy: float = setting(words=_PIXELS)
    distortion_model: str = "plumb_bob"
    d: tuple[float, ...] = ()

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        for name in ("width", "height"):
            require(1 <= getattr(self, name) <= 16_384, f"{where}{name}", "1 to 16384", getattr(self, name))
        require(len(self.d) <= 16, f"{where}d", "at most 16 numbers", list(self.d))
        for name in ("fx", "fy"):
            require(getattr(self, name) > 0, f"{where}{name}", "more than 0 pixels", getattr(self, name))

    def info(self) -> Any:
        """As a CameraInfo without stamp."""
        return SimpleNamespace(
            header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id=""),
            height=self.height,
            width=self.width,
            distortion_model=self.distortion_model,
            d=list(self.d),
            k=[self.fx, 0.0, self.cx, 0.0, self.fy, self.cy, 0.0, 0.0, 1.0],
            r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p=[self.fx, 0.0, self.cx, 0.0, 0.0, self.fy, self.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            binning_x=0,
            binning_y=0,
            roi=SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        )


@dataclass(frozen=True)
class CameraTopics:
    """A camera. image: sensor_msgs/Image or CompressedImage · info: sensor_msgs/CameraInfo, "" if `intrinsics` are
    given · extrinsics: optical frame in the frame whose pose is recorded, x y z (m) and quaternion x y z w."""

    image: str = setting(words="a topic")
    info: str = ""
    intrinsics: Intrinsics | None = None
    extrinsics: tuple[float, ...] = IDENTITY

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        _topic(self.image, f"{where}image")
        if self.info:
            _topic(self.info, f"{where}info")
        require(
            bool(self.info) != (self.intrinsics is not None),
            f"{where}info",
            "a CameraInfo topic, or `intrinsics` instead",
            self.info,
        )
        _pose(self.extrinsics, f"{where}extrinsics")


@dataclass(frozen=True)
class UavTopics:
    """Topics of one UAV. cameras: by name · pose: PoseStamped, PoseWithCovarianceStamped or Odometry, of the UAV
    or of its camera, px4_msgs/VehicleOdometry, a satellite fix (NavSatFix, px4_msgs/VehicleGlobalPosition), or `tf` ·
    attitude: that belongs to a fix, of ATTITUDES · features: FeaturePacket, status: AgentStatus, ground:
    PointStamped whose z is the height of the ground; "" where none was recorded."""

    cameras: Mapping[str, CameraTopics] = setting(words="a mapping from names to cameras")
    pose: str = setting(words="a topic")
    features: str = ""
    status: str = ""
    ground: str = ""
    attitude: str = ""

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        cameras = len(self.cameras)
        require(
            1 <= cameras <= MAX_RECORDED_CAMERAS,
            f"{where}cameras",
            f"1 to {MAX_RECORDED_CAMERAS} cameras",
            cameras,
        )
        for name in self.cameras:
            require(bool(_NAME.fullmatch(name)), f"{where}cameras", _NAME_WORDS, name)
        if self.pose != TF:
            _topic(self.pose, f"{where}pose")
        for name in OPTIONAL_TOPICS:
            if getattr(self, name):
                _topic(getattr(self, name), f"{where}{name}")

    def of(self, uav: str) -> UavTopics:
        """With the name of the UAV filled in."""
        cameras = {
            n: dataclasses.replace(c, image=c.image.replace(UAV, uav), info=c.info.replace(UAV, uav))
            for n, c in self.cameras.items()
        }
        names: dict[str, Any] = {n: getattr(self, n).replace(UAV, uav) for n in ("pose", *OPTIONAL_TOPICS)}
        return dataclasses.replace(self, cameras=cameras, **names)


@dataclass(frozen=True)
class TopicMap:
    """A whole map. uavs: names, or empty for all that the bag has images of · uav: topics of every UAV · special:
    topics of single UAVs, instead · ground_truth: GroundTruth topic, "" for none · frame_id: frame that poses are in,
    "" for any · pose_origins: by UAV, the pose of the frame that its poses come in, in the common one, such as where it
    started · ground_height_m: of the ground plane, without a topic for it · inputs: further
    parameters of encoder_node about images and poses (InputConfig), e.g. pose_tolerance_s, images_rectified,
    pose_origin."""

    uav: UavTopics = setting(words="a group with cameras, pose, …")
    name: str = "map"
    uavs: tuple[str, ...] = setting((), parse=_uavs)
    special: Mapping[str, UavTopics] = field(default_factory=dict)
    ground_truth: str = ""
    frame_id: str = FRAME_ID
    pose_origins: Mapping[str, tuple[float, ...]] = setting(factory=dict, parse=_origins)
    ground_height_m: float = 0.0
    inputs: Mapping[str, Any] = setting(factory=dict, parse=_inputs)

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        require(
            len(self.uavs) <= MAX_RECORDED_UAVS,
            f"{where}uavs",
            f"at most {MAX_RECORDED_UAVS} names",
            len(self.uavs),
        )
        require(len(set(self.uavs)) == len(self.uavs), f"{where}uavs", "different names", list(self.uavs))
        for name, origin in self.pose_origins.items():
            _pose(origin, f"{where}pose_origins.{name}")
        for name in (*self.uavs, *self.special, *self.pose_origins):
            require(bool(_NAME.fullmatch(name)), f"{where}uavs", _NAME_WORDS, name)
        if self.ground_truth:
            _topic(self.ground_truth, f"{where}ground_truth")
        height = self.ground_height_m
        require(abs(height) <= 1e4, f"{where}ground_height_m", "-10000 to 10000 m", height)
        several = len(self.uavs) != 1 or len(self.special) > 0
        shared = [c.image for c in self.uav.cameras.values() if UAV not in c.image]
        require(not (several and shared), f"{where}uav.cameras", f"{UAV} in the names of topics", shared[:1])

    def found(self, topics: Iterable[str]) -> dict[str, UavTopics]:
        """The UAVs that have images among these topics, by name in order, with their topics."""
        known = set(topics)
        names = set(self.uavs) | set(self.special)
        if not self.uavs:
            for camera in self.uav.cameras.values():
                # The name may stand in several places of a topic: everywhere the same.
                first, *rest = (re.escape(part) for part in camera.image.split(UAV))
                form = first + "".join(
                    (r"(?P<uav>[A-Za-z][A-Za-z0-9_]{0,63})" if n == 0 else "(?P=uav)") + part
                    for n, part in enumerate(rest)
                )
                names |= {m["uav"] for topic in known if rest and (m := re.fullmatch(form, topic))}
        out = {name: self.special.get(name, self.uav).of(name) for name in sorted(names)[:MAX_RECORDED_UAVS]}
        return {
            n: t
            for n, t in out.items()
            if n in self.uavs or any(c.image in known for c in t.cameras.values())
        }


def expression_of(topic_map: TopicMap) -> str:
    """A regular expression for all topics of a map: what a recorder takes to make a bag for it."""
    uavs = [topic_map.uav.of(name) for name in topic_map.uavs] or [topic_map.uav]
    uavs += [topics.of(name) for name, topics in topic_map.special.items()]
    names = {topic_map.ground_truth, "/clock", "/tf", "/tf_static", ORIGIN_TOPIC}
    for topics in uavs:
        names |= {getattr(topics, name) for name in OPTIONAL_TOPICS}
        names.add("" if topics.pose == TF else topics.pose)
        names |= {t for c in topics.cameras.values() for t in (c.image, c.info)}
    parts = (re.escape(n).replace(re.escape(UAV), "[A-Za-z][A-Za-z0-9_]*") for n in sorted(names) if n)
    return "|".join(parts)


def default_map() -> TopicMap:
    """Our own topics, as the nodes name them; the same as config/bags/default.yaml."""
    camera = CameraTopics(f"/{UAV}/camera/image_raw", f"/{UAV}/camera/camera_info")
    uav = UavTopics(
        {"camera": camera},
        f"/{UAV}/pose",
        features=f"/{UAV}/bev/features",
        status=f"/{UAV}/status",
        ground=f"/{UAV}/ground/height",
    )
    return TopicMap(uav, name="default", ground_truth="/ground_truth")


def _pose(values: tuple[float, ...], where: str) -> None:
    good = len(values) == 7 and all(map(math.isfinite, values))
    good = good and abs(math.hypot(*values[3:]) - 1.0) < 0.01
    require(good, where, "x y z and a unit quaternion x y z w", list(values))


def _topic(value: str, where: str) -> None:
    require(bool(_TOPIC.fullmatch(value)), where, f"an absolute topic such as /{UAV}/pose", value)
