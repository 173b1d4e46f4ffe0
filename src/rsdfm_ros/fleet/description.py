"""What a fleet is: UAVs, model, world, records, network. Read from YAML (config/fleet/), checked, typed.

The file is the only description: `rsdfm fleet` runs it as plain processes, launch/fleet.launch.py as launch_ros ones.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rsdfm_ros.errors import RsdfmError

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class FleetDescriptionError(RsdfmError):
    """A fleet description that cannot be used: says where and what is allowed."""


@dataclass(frozen=True)
class WorldDescription:
    """The world that the UAVs fly in. kind: `simulation`, or `none` when cameras and poses come from elsewhere."""

    kind: str = "simulation"
    seed: int = 9000
    frames: int = 60
    lockstep: bool = True
    real_time_factor: float = 1.0
    first_answer_timeout_s: float = 30.0
    answer_timeout_s: float = 5.0

    def check(self) -> None:
        """Raise FleetDescriptionError for a value that is not allowed."""
        _require(self.kind in ("simulation", "none"), "world.kind", "`simulation` or `none`", self.kind)
        _require(0 <= self.seed < 2**31, "world.seed", "0 to 2^31 - 1", self.seed)
        _require(1 <= self.frames <= 120, "world.frames", "1 to 120", self.frames)
        _require(
            0.01 <= self.real_time_factor <= 100,
            "world.real_time_factor",
            "0.01 to 100",
            self.real_time_factor,
        )
        for name in ("first_answer_timeout_s", "answer_timeout_s"):
            _require(0.1 <= getattr(self, name) <= 600, f"world.{name}", "0.1 to 600 s", getattr(self, name))


@dataclass(frozen=True)
class UavDescription:
    """What all UAVs have in common. composed: one process per UAV; otherwise one process per node."""

    composed: bool = True
    threads: int = 1
    budget_bytes: int = 18_000
    max_packet_bytes: int = 16_384
    max_age_s: float = 1.0
    peer_wait_s: float = 0.1
    liveliness_lease_s: float = 1.0
    publish_single: bool = False
    publish_future: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further node parameters, passed on as they are."""

    def check(self) -> None:
        """Raise FleetDescriptionError for a value that is not allowed."""
        _require(1 <= self.threads <= 64, "uav.threads", "1 to 64", self.threads)
        _require(
            1000 <= self.budget_bytes <= 10**7, "uav.budget_bytes", "1000 to 10000000", self.budget_bytes
        )
        _require(
            512 <= self.max_packet_bytes <= 65_536,
            "uav.max_packet_bytes",
            "512 to 65536",
            self.max_packet_bytes,
        )
        for name, low in (("max_age_s", 0.0), ("peer_wait_s", 0.0), ("liveliness_lease_s", 0.1)):
            _require(low <= getattr(self, name) <= 60, f"uav.{name}", f"{low} to 60 s", getattr(self, name))


@dataclass(frozen=True)
class EvaluatorDescription:
    """The evaluator. enabled: whether there is one; record_frames, record_bag: what it writes beside the result."""

    enabled: bool = True
    record_frames: bool = False
    record_bag: bool = False
    end_timeout_s: float = 20.0

    def check(self) -> None:
        """Raise FleetDescriptionError for a value that is not allowed."""
        _require(
            0.1 <= self.end_timeout_s <= 600, "evaluator.end_timeout_s", "0.1 to 600 s", self.end_timeout_s
        )


@dataclass(frozen=True)
class NetworkDescription:
    """DDS settings of all processes. domain: ROS_DOMAIN_ID, -1 to take the environment's."""

    domain: int = -1
    discovery_range: str = "LOCALHOST"
    transport: str = "LARGE_DATA"

    def check(self) -> None:
        """Raise FleetDescriptionError for a value that is not allowed."""
        ranges = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")
        _require(-1 <= self.domain <= 232, "network.domain", "-1 to 232", self.domain)
        _require(
            self.discovery_range in ranges,
            "network.discovery_range",
            " or ".join(ranges),
            self.discovery_range,
        )
        _require(
            bool(re.fullmatch(r"[A-Za-z0-9_?&=]*", self.transport)),
            "network.transport",
            "a value of FASTDDS_BUILTIN_TRANSPORTS",
            self.transport,
        )


@dataclass(frozen=True)
class FleetDescription:
    """A whole fleet. uavs: number of UAVs, named uav1 … · model: folder, relative to where the command runs."""

    name: str = "fleet"
    uavs: int = 4
    model: str = "models/nano"
    world: WorldDescription = field(default_factory=WorldDescription)
    uav: UavDescription = field(default_factory=UavDescription)
    evaluator: EvaluatorDescription = field(default_factory=EvaluatorDescription)
    network: NetworkDescription = field(default_factory=NetworkDescription)

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the UAVs, which are their namespaces."""
        return tuple(f"uav{n + 1}" for n in range(self.uavs))

    def check(self) -> None:
        """Raise FleetDescriptionError for a value that is not allowed."""
        _require(bool(_NAME.fullmatch(self.name)), "name", "lower-case letters, digits and _", self.name)
        limit = 8 if self.world.kind == "simulation" else 64
        _require(1 <= self.uavs <= limit, "uavs", f"1 to {limit}", self.uavs)
        _require(bool(self.model), "model", "a model folder", self.model)


def load_fleet(path: str | Path, overrides: Mapping[str, Any] | None = None) -> FleetDescription:
    """Read a description. overrides: values by dotted name, e.g. {"world.frames": 10}.

    Raises: FleetDescriptionError.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FleetDescriptionError(f"cannot read the fleet description {path}: {error}") from error
    if not isinstance(values, dict):
        raise FleetDescriptionError(f"{path}: expected a mapping with name, uavs, model, world, …")
    for name, value in (overrides or {}).items():
        _set(values, name, value)
    return fleet_from_dict(values)


def fleet_from_dict(values: Mapping[str, Any]) -> FleetDescription:
    """A checked description of parsed YAML. Raises: FleetDescriptionError."""
    return _build(FleetDescription, values, "")


def parse_override(text: str) -> tuple[str, Any]:
    """`world.frames=10` as ("world.frames", 10). Raises: FleetDescriptionError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise FleetDescriptionError(f"expected name=value such as world.frames=10, got {text!r}")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise FleetDescriptionError(f"{name}: {value!r} is no YAML value") from error


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            raise FleetDescriptionError(f"{name}: {group} is not a group of settings")
        values = inner
    values[last] = value


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise FleetDescriptionError(f"{where or 'the description'}: expected a mapping, got {values!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [str(name) for name in values if name not in fields]
    if unknown:
        known = ", ".join(sorted(fields))
        raise FleetDescriptionError(
            f"unknown setting {where}{unknown[0]}; {where or 'there'} can be: {known}"
        )
    typed = {name: _typed(hints[name], value, f"{where}{name}") for name, value in values.items()}
    built = kind(**typed)
    built.check()  # type: ignore[attr-defined]
    return built


def _typed(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, f"{where}.")  # type: ignore[arg-type]
    if isinstance(kind, types.GenericAlias) or typing.get_origin(kind) is not None:
        _require(isinstance(value, Mapping), where, "a mapping", value)
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
    good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    _require(good, where, words[kind], value)
    return value


def _require(good: bool, where: str, allowed: str, value: Any) -> None:
    if not good:
        raise FleetDescriptionError(f"{where}: expected {allowed}, got {value!r}")
