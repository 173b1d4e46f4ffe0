"""A simulator's configuration as it is written beside a dataset, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from rsdfm_ros.sim.config import ConfigError, SimConfig

ALWAYS = (
    "width_px",
    "height_px",
    "horizontal_fov_rad",
    "frame_rate_hz",
    "max_frames",
    "label_extent_m",
    "samples",
)
"""Always written; everything else only where it differs from the default."""


def to_record(config: SimConfig) -> dict[str, Any]:
    """JSON form of a configuration; tuples are lists."""
    return {key: getattr(config, key) for key in ALWAYS} | changes(config)


def changes(config: SimConfig) -> dict[str, Any]:
    """Differences from the default, without the length and the rate of the mission; {} for the standard world."""
    different = _different(asdict(config), asdict(SimConfig()))
    return {key: value for key, value in different.items() if key not in ("frame_rate_hz", "max_frames")}


def from_record(record: Mapping[str, Any]) -> SimConfig:
    """The configuration that was written. Raises ConfigError for entries that this version does not have."""
    config: SimConfig = _fill(SimConfig(), record, "camera")
    return config


def _different(value: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            if inner := _different(entry, default[key]):
                out[key] = inner
        elif entry != default[key]:
            out[key] = list(entry) if isinstance(entry, tuple) else entry
    return out


def _fill(default: Any, record: Mapping[str, Any], where: str) -> Any:
    known = {f.name: getattr(default, f.name) for f in fields(default)}
    values: dict[str, Any] = {}
    for key, entry in record.items():
        if key not in known:
            raise ConfigError(
                f"{where}.{key} is no parameter of this simulator: the dataset was made by another version, "
                "simulate it anew"
            )
        if is_dataclass(known[key]):
            if not isinstance(entry, Mapping):
                raise ConfigError(f"{where}.{key} is {entry!r}: expected an object")
            values[key] = _fill(known[key], entry, f"{where}.{key}")
        else:
            values[key] = _number_pair(entry, f"{where}.{key}") if isinstance(entry, list) else entry
    try:
        return type(default)(**(known | values))
    except TypeError as error:
        raise ConfigError(
            f"{where} holds a value of a wrong type ({error}): simulate the dataset anew"
        ) from error


def _number_pair(entry: list[Any], where: str) -> tuple[float, float]:
    if len(entry) != 2 or not all(isinstance(v, int | float) for v in entry):
        raise ConfigError(f"{where} is {entry!r}: expected two numbers")
    return float(entry[0]), float(entry[1])
