"""Which topics of a bag are whose cameras, poses and features: a small YAML file (config/bags/), checked and typed.

In every topic name `{uav}` stands for the name of a UAV. docs/bags.md explains each setting.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.data.bags.errors import TopicMapError

UAV = "{uav}"
MAX_UAVS = 64
MAX_MAP_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_TOPIC = re.compile(r"/(?:[A-Za-z0-9_]|\{uav\})+(?:/(?:[A-Za-z0-9_]|\{uav\})+)*")
NO_ROTATION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Intrinsics:
    """A camera without CameraInfo in the bag: size and K in pixels as ROS counts them (centre of the first pixel 0),
    distortion as in sensor_msgs/CameraInfo."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "plumb_bob"
    d: tuple[float, ...] = ()

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        for name in ("width", "height"):
            _require(1 <= getattr(self, name) <= 16_384, f"{where}{name}", "1 to 16384", getattr(self, name))
        for name in ("fx", "fy"):
            _require(getattr(self, name) > 0, f"{where}{name}", "more than 0 pixels", getattr(self, name))


@dataclass(frozen=True)
class CameraTopics:
    """A camera. image: sensor_msgs/Image or CompressedImage · info: sensor_msgs/CameraInfo, "" if `intrinsics` are
    given · extrinsics: optical frame in the frame whose pose is recorded, x y z (m) and quaternion x y z w · rectified:
    the pictures are rectified already."""

    image: str
    info: str = ""
    intrinsics: Intrinsics | None = None
    extrinsics: tuple[float, ...] = NO_ROTATION
    rectified: bool = False

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        _topic(self.image, f"{where}image")
        if self.info:
            _topic(self.info, f"{where}info")
        _require(
            bool(self.info) != (self.intrinsics is not None),
            f"{where}info",
            "a CameraInfo topic, or `intrinsics` instead",
            self.info,
        )
        good = len(self.extrinsics) == 7 and all(map(math.isfinite, self.extrinsics))
        good = good and abs(math.hypot(*self.extrinsics[3:]) - 1.0) < 0.01
        _require(good, f"{where}extrinsics", "x y z and a unit quaternion x y z w", list(self.extrinsics))


@dataclass(frozen=True)
class UavTopics:
    """What belongs to one UAV. cameras: by name · pose: PoseStamped, PoseWithCovarianceStamped or Odometry, of the UAV
    or of its camera · features: FeaturePacket, status: AgentStatus; "" where they were not recorded."""

    cameras: Mapping[str, CameraTopics]
    pose: str
    features: str = ""
    status: str = ""

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        _require(1 <= len(self.cameras) <= 16, f"{where}cameras", "1 to 16 cameras", len(self.cameras))
        for name in self.cameras:
            _require(bool(_NAME.fullmatch(name)), f"{where}cameras", "letters, digits and _ as names", name)
        _topic(self.pose, f"{where}pose")
        for name in ("features", "status"):
            if getattr(self, name):
                _topic(getattr(self, name), f"{where}{name}")

    def of(self, uav: str) -> UavTopics:
        """With the name of the UAV filled in."""
        cameras = {
            n: dataclasses.replace(c, image=c.image.replace(UAV, uav), info=c.info.replace(UAV, uav))
            for n, c in self.cameras.items()
        }
        names = {n: getattr(self, n).replace(UAV, uav) for n in ("pose", "features", "status")}
        return dataclasses.replace(self, cameras=cameras, **names)


@dataclass(frozen=True)
class TopicMap:
    """A whole map. uavs: names, or empty for all that the bag has pictures of · uav: topics of every UAV · special:
    topics of single UAVs, instead · ground_truth: GroundTruth topic, "" for none · frame_id: frame that poses are in,
    "" for any · the rest as the parameters of the nodes with the same names."""

    uav: UavTopics
    name: str = "map"
    uavs: tuple[str, ...] = ()
    special: Mapping[str, UavTopics] = field(default_factory=dict)
    ground_truth: str = ""
    frame_id: str = "map"
    pose_tolerance_s: float = 0.02
    ground_height_m: float = 0.0

    def check(self, where: str) -> None:
        """Raise TopicMapError for a value that is not allowed."""
        _require(len(self.uavs) <= MAX_UAVS, f"{where}uavs", f"at most {MAX_UAVS} names", len(self.uavs))
        _require(len(set(self.uavs)) == len(self.uavs), f"{where}uavs", "different names", list(self.uavs))
        for name in (*self.uavs, *self.special):
            _require(bool(_NAME.fullmatch(name)), f"{where}uavs", "letters, digits and _ as names", name)
        if self.ground_truth:
            _topic(self.ground_truth, f"{where}ground_truth")
        tolerance, height = self.pose_tolerance_s, self.ground_height_m
        _require(0 <= tolerance <= 1, f"{where}pose_tolerance_s", "0 to 1 s", tolerance)
        _require(abs(height) <= 1e4, f"{where}ground_height_m", "-10000 to 10000 m", height)
        several = len(self.uavs) != 1 or len(self.special) > 0
        shared = [c.image for c in self.uav.cameras.values() if UAV not in c.image]
        _require(not (several and shared), f"{where}uav.cameras", f"{UAV} in the names of topics", shared[:1])

    def found(self, topics: Iterable[str]) -> dict[str, UavTopics]:
        """The UAVs that have pictures among these topics, by name in order, with their topics."""
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
        out = {name: self.special.get(name, self.uav).of(name) for name in sorted(names)[:MAX_UAVS]}
        return {
            n: t
            for n, t in out.items()
            if n in self.uavs or any(c.image in known for c in t.cameras.values())
        }


def load_map(path: str | Path) -> TopicMap:
    """Read a topic map. Raises: TopicMapError."""
    try:
        text = Path(path).read_text()
        if len(text) > MAX_MAP_BYTES:
            raise TopicMapError(f"{path}: {len(text)} characters are no topic map")
        values = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicMapError(f"cannot read the topic map {path}: {error}") from error
    try:
        return map_from_dict(values)
    except TopicMapError as error:
        raise TopicMapError(f"{path}: {error}") from error


def default_map() -> TopicMap:
    """Our own topics, as the nodes name them; the same as config/bags/default.yaml."""
    camera = CameraTopics(f"/{UAV}/camera/image_raw", f"/{UAV}/camera/camera_info")
    uav = UavTopics({"camera": camera}, f"/{UAV}/pose", f"/{UAV}/bev/features", f"/{UAV}/status")
    return TopicMap(uav, name="default", ground_truth="/ground_truth")


def map_from_dict(values: Any) -> TopicMap:
    """A checked map of parsed YAML. Raises: TopicMapError."""
    top = _known(values, "", TopicMap)
    _require("uav" in top, "uav", "a group with cameras, pose, …", None)
    built: dict[str, Any] = {"uav": _uav(top["uav"], "uav.")}
    special = top.get("special", {})
    _require(isinstance(special, Mapping), "special", "a mapping from UAVs to their topics", special)
    built["special"] = {str(n): _uav(v, f"special.{n}.") for n, v in special.items()}
    if "uavs" in top and top["uavs"] != "auto":
        _require(isinstance(top["uavs"], list), "uavs", "`auto` or a list of names", top["uavs"])
        built["uavs"] = tuple(_text(v, "uavs") for v in top["uavs"])
    for name in ("name", "ground_truth", "frame_id"):
        if name in top:
            built[name] = _text(top[name], name)
    for name in ("pose_tolerance_s", "ground_height_m"):
        if name in top:
            built[name] = _number(top[name], name)
    out = TopicMap(**built)
    out.check("")
    return out


def _uav(values: Any, where: str) -> UavTopics:
    top = _known(values, where, UavTopics)
    cameras = top.get("cameras")
    _require(isinstance(cameras, Mapping), f"{where}cameras", "a mapping from names to cameras", cameras)
    built = {str(n): _camera(v, f"{where}cameras.{n}.") for n, v in cameras.items()}  # type: ignore[union-attr]
    names = {n: _text(top[n], f"{where}{n}") for n in ("pose", "features", "status") if n in top}
    _require("pose" in names, f"{where}pose", "a topic", None)
    out = UavTopics(cameras=built, **names)
    out.check(where)
    return out


def _camera(values: Any, where: str) -> CameraTopics:
    top = _known(values, where, CameraTopics)
    _require("image" in top, f"{where}image", "a topic", None)
    built: dict[str, Any] = {n: _text(top[n], f"{where}{n}") for n in ("image", "info") if n in top}
    if "extrinsics" in top:
        built["extrinsics"] = _numbers(top["extrinsics"], f"{where}extrinsics")
    if "rectified" in top:
        _require(isinstance(top["rectified"], bool), f"{where}rectified", "true or false", top["rectified"])
        built["rectified"] = top["rectified"]
    if top.get("intrinsics") is not None:
        built["intrinsics"] = _intrinsics(top["intrinsics"], f"{where}intrinsics.")
    out = CameraTopics(**built)
    out.check(where)
    return out


def _intrinsics(values: Any, where: str) -> Intrinsics:
    top = _known(values, where, Intrinsics)
    built: dict[str, Any] = {}
    for name in ("width", "height", "fx", "fy", "cx", "cy"):
        _require(name in top, f"{where}{name}", "a number of pixels", None)
        whole = name in ("width", "height")
        value = _number(top[name], f"{where}{name}")
        _require(not whole or value == int(value), f"{where}{name}", "a whole number", top[name])
        built[name] = int(value) if whole else value
    if "distortion_model" in top:
        built["distortion_model"] = _text(top["distortion_model"], f"{where}distortion_model")
    if "d" in top:
        built["d"] = _numbers(top["d"], f"{where}d")
    out = Intrinsics(**built)
    out.check(where)
    return out


def _known(values: Any, where: str, kind: type[Any]) -> Mapping[str, Any]:
    place = where.rstrip(".") or "the map"
    _require(isinstance(values, Mapping), place, "a mapping", values)
    fields = sorted(f.name for f in dataclasses.fields(kind))
    unknown = [str(name) for name in values if name not in fields]
    if unknown:
        raise TopicMapError(f"unknown setting {where}{unknown[0]}; {place} can have: {', '.join(fields)}")
    return values  # type: ignore[no-any-return]


def _topic(value: str, where: str) -> None:
    _require(bool(_TOPIC.fullmatch(value)), where, f"an absolute topic such as /{UAV}/pose", value)


def _text(value: Any, where: str) -> str:
    _require(isinstance(value, str), where, "a text", value)
    return str(value)


def _number(value: Any, where: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    _require(good, where, "a finite number", value)
    return float(value)


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    _require(isinstance(value, list) and len(value) <= 16, where, "a list of numbers", value)
    return tuple(_number(v, where) for v in value)


def _require(good: bool, where: str, allowed: str, value: Any) -> None:
    if not good:
        raise TopicMapError(f"{where}: expected {allowed}, got {str(value)[:200]!r}")
