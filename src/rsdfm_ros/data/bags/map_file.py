"""Topic maps as YAML files (config/bags/): strict, every unknown setting named, every refusal with the allowed
values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.data.bags.errors import TopicMapError
from rsdfm_ros.data.bags.topic_map import (
    OPTIONAL_TOPICS,
    CameraTopics,
    Intrinsics,
    TopicMap,
    UavTopics,
    require,
)
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.errors import reason
from rsdfm_ros.shipped import shipped

MAX_MAP_BYTES = 1 << 20
_SET_ELSEWHERE = ("agent", "frame_id", "cameras", "extrinsics", "pose_type", "pose_frame_id")


def load_map(path: str | Path) -> TopicMap:
    """Read a topic map. Raises: TopicMapError."""
    try:
        text = shipped(path).read_text()
        if len(text) > MAX_MAP_BYTES:
            raise TopicMapError(f"{path}: {len(text)} characters are no topic map")
        values = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicMapError(f"cannot read the topic map {path}: {reason(error)}") from error
    try:
        return map_from_dict(values)
    except TopicMapError as error:
        raise TopicMapError(f"{path}: {error}") from error


def map_from_dict(values: Any) -> TopicMap:
    """A checked map of parsed YAML. Raises: TopicMapError."""
    top = _known(values, "", TopicMap)
    require("uav" in top, "uav", "a group with cameras, pose, …", None)
    built: dict[str, Any] = {"uav": _uav(top["uav"], "uav.")}
    special = top.get("special", {})
    require(isinstance(special, Mapping), "special", "a mapping from UAVs to their topics", special)
    built["special"] = {str(n): _uav(v, f"special.{n}.") for n, v in special.items()}
    if "uavs" in top and top["uavs"] != "auto":
        require(isinstance(top["uavs"], list), "uavs", "`auto` or a list of names", top["uavs"])
        built["uavs"] = tuple(_text(v, "uavs") for v in top["uavs"])
    for name in ("name", "ground_truth", "frame_id"):
        if name in top:
            built[name] = _text(top[name], name)
    if "ground_height_m" in top:
        built["ground_height_m"] = _number(top["ground_height_m"], "ground_height_m")
    if "inputs" in top:
        built["inputs"] = _inputs(top["inputs"])
    out = TopicMap(**built)
    out.check("")
    return out


def _inputs(values: Any) -> dict[str, Any]:
    """Values for fields of InputConfig, each of the type of its default."""
    require(isinstance(values, Mapping), "inputs", "a mapping", values)
    defaults = {f.name: f.default for f in dataclasses.fields(InputConfig) if f.name not in _SET_ELSEWHERE}
    out: dict[str, Any] = {}
    for name, value in values.items():
        where = f"inputs.{name}"
        if name not in defaults:
            raise TopicMapError(f"unknown setting {where}; inputs can have: {', '.join(sorted(defaults))}")
        default = defaults[name]
        if isinstance(default, bool):
            require(isinstance(value, bool), where, "true or false", value)
            out[name] = value
        elif isinstance(default, int | float):
            number = _number(value, where)
            out[name] = int(number) if isinstance(default, int) else number
        elif isinstance(default, str):
            out[name] = _text(value, where)
        elif name == "camera_frames":
            require(isinstance(value, list), where, "a list of names", value)
            out[name] = tuple(_text(v, where) for v in value)
        else:
            out[name] = _numbers(value, where)
    return out


def _uav(values: Any, where: str) -> UavTopics:
    top = _known(values, where, UavTopics)
    cameras = top.get("cameras")
    require(isinstance(cameras, Mapping), f"{where}cameras", "a mapping from names to cameras", cameras)
    built = {str(n): _camera(v, f"{where}cameras.{n}.") for n, v in cameras.items()}  # type: ignore[union-attr]
    names = {n: _text(top[n], f"{where}{n}") for n in ("pose", *OPTIONAL_TOPICS) if n in top}
    require("pose" in names, f"{where}pose", "a topic", None)
    out = UavTopics(cameras=built, **names)
    out.check(where)
    return out


def _camera(values: Any, where: str) -> CameraTopics:
    top = _known(values, where, CameraTopics)
    require("image" in top, f"{where}image", "a topic", None)
    built: dict[str, Any] = {n: _text(top[n], f"{where}{n}") for n in ("image", "info") if n in top}
    if "extrinsics" in top:
        built["extrinsics"] = _numbers(top["extrinsics"], f"{where}extrinsics")
    if top.get("intrinsics") is not None:
        built["intrinsics"] = _intrinsics(top["intrinsics"], f"{where}intrinsics.")
    out = CameraTopics(**built)
    out.check(where)
    return out


def _intrinsics(values: Any, where: str) -> Intrinsics:
    top = _known(values, where, Intrinsics)
    built: dict[str, Any] = {}
    for name in ("width", "height", "fx", "fy", "cx", "cy"):
        require(name in top, f"{where}{name}", "a number of pixels", None)
        whole = name in ("width", "height")
        value = _number(top[name], f"{where}{name}")
        require(not whole or value == int(value), f"{where}{name}", "a whole number", top[name])
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
    require(isinstance(values, Mapping), place, "a mapping", values)
    fields = sorted(f.name for f in dataclasses.fields(kind))
    unknown = [str(name) for name in values if name not in fields]
    if unknown:
        raise TopicMapError(f"unknown setting {where}{unknown[0]}; {place} can have: {', '.join(fields)}")
    return values  # type: ignore[no-any-return]


def _text(value: Any, where: str) -> str:
    require(isinstance(value, str), where, "a text", value)
    return str(value)


def _number(value: Any, where: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    require(good, where, "a finite number", value)
    return float(value)


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    require(isinstance(value, list) and len(value) <= 16, where, "a list of numbers", value)
    return tuple(_number(v, where) for v in value)
