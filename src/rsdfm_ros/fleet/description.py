"""The fleet description: UAVs, model, world, records, network. Read from YAML (config/fleet/), checked, typed.

The file is the only description: `rsdfm fleet` runs it as plain processes, launch/fleet.launch.py as launch_ros ones.
docs/fleet.md is generated from these classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.errors import reason
from rsdfm_ros.fleet.fields import FleetDescriptionError, build, require, setting
from rsdfm_ros.shipped import shipped
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES

__all__ = [
    "EvaluatorDescription",
    "FleetDescription",
    "FleetDescriptionError",
    "MemberDescription",
    "NetworkDescription",
    "ProcessesDescription",
    "ReplayDescription",
    "TopicsDescription",
    "UavDescription",
    "WorldDescription",
    "fleet_from_dict",
    "load_fleet",
    "parse_override",
]

_NAME = r"[a-z][a-z0-9_]{0,31}"
_TOPIC = r"(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*"
_RULE = rf"(?!__)([A-Za-z_][A-Za-z0-9_]*:)?{_TOPIC}"
_RULE_WORDS = "names of topics, such as pose: mavros/local_position/pose_cov"
_NAME_WORDS = "lower-case letters, digits and _, a letter first, at most 32"
SIMULATION, GAZEBO, REPLAY, NONE = "simulation", "gazebo", "replay", "none"
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
END, CONTINUE, RESPAWN, AUTO = "end", "continue", "respawn", "auto"


@dataclass(frozen=True)
class WorldDescription:
    """The world that the UAVs fly in."""

    kind: str = setting(
        SIMULATION,
        "`simulation`: the simulator of this package; `gazebo`: Gazebo; `replay`: a recorded bag; `none`: cameras and "
        "poses come from elsewhere, as on real UAVs",
        choices=(SIMULATION, GAZEBO, REPLAY, NONE),
    )
    seed: int = setting(9000, "seed of layout, traffic and flights", low=0, high=2**31 - 1)
    frames: int = setting(60, "frames to fly, at 2 Hz of mission time", low=1, high=120)
    lockstep: bool = setting(
        True, "mission time stands still until every UAV has answered; otherwise frames come at a fixed rate"
    )
    real_time_factor: float = setting(
        1.0, "mission seconds per second when not in lockstep; in Gazebo the most that it tries to reach",
        low=0.01, high=100.0,
    )  # fmt: skip
    start_s: float = setting(
        20.0,
        "Gazebo only: simulation time of the first frame, s, a multiple of 0.5; until then vehicles and UAVs wait, so "
        "that every process can start",
        low=0.0,
        high=3600.0,
    )
    first_answer_timeout_s: float = setting(
        30.0, "longest wait for the answers to the first frame in lockstep, s", low=0.1, high=600.0
    )
    answer_timeout_s: float = setting(
        5.0, "longest wait for the answers to a later frame, s", low=0.1, high=600.0
    )


@dataclass(frozen=True)
class ReplayDescription:
    """The recording played in a world of kind `replay`."""

    bag: str = setting("", "folder of the bag, or one of its files")
    topic_map: str = setting(
        "", "topic map for bags with other topics than ours (docs/bags.md); empty: our own"
    )
    start_s: float = setting(0.0, "recorded time that is left out at the beginning, s", low=0.0, high=1e9)
    duration_s: float = setting(0.0, "recorded time that is played, s; 0: to the end", low=0.0, high=1e9)
    loops: int = setting(1, "how often the bag is played", low=1, high=1_000_000)


@dataclass(frozen=True)
class TopicsDescription:
    """Topics of a UAV's inputs: relative names are below its namespace. Empty: the standard name."""

    image: str = setting("", "images instead of camera/image_raw", pattern=f"({_TOPIC})?", words="a topic")
    camera_info: str = setting(
        "", "intrinsics instead of camera/camera_info", pattern=f"({_TOPIC})?", words="a topic"
    )
    pose: str = setting("", "poses instead of pose", pattern=f"({_TOPIC})?", words="a topic")

    @property
    def remaps(self) -> dict[str, str]:
        """Standard name → given name."""
        pairs = {
            "camera/image_raw": self.image,
            "camera/camera_info": self.camera_info,
            "pose": self.pose,
        }
        return {name: given for name, given in pairs.items() if given}


@dataclass(frozen=True)
class UavDescription:
    """Settings that all UAVs have in common."""

    composed: bool = setting(True, "one process per UAV (uav_node); otherwise one process per node")
    autostart: bool = setting(
        True, "nodes configure and activate themselves; otherwise a lifecycle manager does"
    )
    threads: int = setting(1, "threads of torch in every process", low=1, high=64)
    budget_bytes: int = setting(
        DEFAULT_BUDGET_BYTES, "mean serialised bytes of features per image", low=1000, high=10_000_000
    )
    max_packet_bytes: int = setting(
        16_384, "largest payload of a feature packet, bytes", low=512, high=65_536
    )
    max_age_s: float = setting(1.0, "peers' features older than this are not fused, s", low=0.0, high=60.0)
    peer_wait_s: float = setting(0.1, "longest wait for peers' packets, s", low=0.0, high=60.0)
    liveliness_lease_s: float = setting(1.0, "a UAV silent for that long is dead, s", low=0.1, high=60.0)
    publish_single: bool = setting(False, "also answer without any peer, on topics below single/")
    publish_future: bool = setting(False, "also publish the predicted instance masks")
    topics: TopicsDescription = setting(
        factory=TopicsDescription, text="where the inputs come from, of all UAVs"
    )
    extrinsics: tuple[float, ...] = setting(
        (),
        "optical camera frame in the frame whose pose is published: x y z m, quaternion x y z w; seven numbers per "
        "camera; empty: the pose is the camera's",
        length_of=7,
    )
    parameters: Mapping[str, Any] = setting(
        factory=dict,
        text="further node parameters, passed on to every node of every UAV (docs/parameters.md)",
    )
    remaps: Mapping[str, str] = setting(
        factory=dict,
        text="remapping rules of every node of every UAV, from → to; relative names are below its namespace",
        pattern=_RULE,
        words=_RULE_WORDS,
    )
    params_files: tuple[str, ...] = setting(
        (), "ROS parameter files of every UAV, over everything that stands here; the last one wins"
    )


@dataclass(frozen=True)
class MemberDescription:
    """Settings of one UAV, which replace those of all."""

    name: str = setting("", "name and namespace; empty: uav<n>", pattern=f"({_NAME})?", words=_NAME_WORDS)
    topics: TopicsDescription = setting(factory=TopicsDescription, text="where its inputs come from")
    extrinsics: tuple[float, ...] = setting((), "its camera extrinsics, see uav.extrinsics", length_of=7)
    parameters: Mapping[str, Any] = setting(factory=dict, text="its node parameters")
    remaps: Mapping[str, str] = setting(
        factory=dict, text="its remapping rules, from → to", pattern=_RULE, words=_RULE_WORDS
    )
    params_files: tuple[str, ...] = setting((), "its ROS parameter files, after those of all UAVs")


@dataclass(frozen=True)
class EvaluatorDescription:
    """The evaluator, which compares the answers with the truth."""

    enabled: bool = setting(True, "whether there is one")
    record_frames: bool = setting(False, "write the arrays of every frame to <out>/frames")
    record_bag: bool = setting(False, "write all topics of the fleet to <out>/bag")
    end_timeout_s: float = setting(
        20.0, "longest wait for the last answers after the last truth, s", low=0.1, high=600.0
    )


@dataclass(frozen=True)
class ProcessesDescription:
    """Start, failure and end of processes."""

    when_lost: str = setting(
        AUTO,
        "when a process of a UAV dies: `end` the mission, `continue` with the others, or `respawn` it; `auto` ends a "
        "lockstep simulation or replay, whose result would be worthless, and otherwise continues",
        choices=(AUTO, END, CONTINUE, RESPAWN),
    )
    respawn_delay_s: float = setting(2.0, "time until a lost process starts again, s", low=0.0, high=600.0)
    log_level: str = setting("info", "lowest level that the nodes log", choices=LOG_LEVELS)
    sigterm_timeout_s: float = setting(
        8.0, "time that a process has to end after SIGINT before SIGTERM comes, s", low=0.1, high=600.0
    )
    sigkill_timeout_s: float = setting(
        4.0, "time that it has to end after SIGTERM before SIGKILL comes, s", low=0.1, high=600.0
    )


LOCALHOST, LARGE_DATA = "LOCALHOST", "LARGE_DATA"


@dataclass(frozen=True)
class NetworkDescription:
    """DDS settings of all processes."""

    domain: int = setting(
        -1,
        "ROS_DOMAIN_ID; -1: the environment's, and without one any that is free on this machine; with a world of kind "
        "`gazebo` or `none`, and in launch files, 0 instead",
        low=-1,
        high=232,
    )
    discovery_range: str = setting(
        LOCALHOST,
        "ROS_AUTOMATIC_DISCOVERY_RANGE; SUBNET for UAVs on several computers",
        choices=(LOCALHOST, "SUBNET", "OFF", "SYSTEM_DEFAULT"),
    )
    transport: str = setting(
        LARGE_DATA,
        "FASTDDS_BUILTIN_TRANSPORTS, used by Fast DDS only, and not with `discovery_range: LOCALHOST`, where any other "
        "value is refused",
        pattern=r"[A-Za-z0-9_?&=]*",
        words="a value of FASTDDS_BUILTIN_TRANSPORTS",
    )


@dataclass(frozen=True)
class FleetDescription:
    """A whole fleet."""

    name: str = setting("fleet", "name of the fleet", pattern=_NAME, words=_NAME_WORDS)
    uavs: int = setting(
        4, "number of UAVs; without it as many as `members` has, or 4", low=1, high=64, words="1 to 64"
    )
    members: tuple[MemberDescription, ...] = setting(
        (), "what single UAVs have of their own, in order; the others are called uav<n>"
    )
    namespace_prefix: str = setting(
        "",
        "namespace above those of the UAVs: /team makes /team/uav1",
        pattern=f"(/{_NAME})*",
        words="namespaces such as /team",
    )
    model: str = setting(
        "models/nano",
        "model folder, or random:<configuration>[:<seed>]; a relative path is looked for where the command runs, then "
        "in the installed package",
    )
    world: WorldDescription = setting(factory=WorldDescription, text="the world that the UAVs fly in")
    replay: ReplayDescription = setting(factory=ReplayDescription, text="what a world of kind `replay` plays")
    uav: UavDescription = setting(factory=UavDescription, text="what all UAVs have in common")
    evaluator: EvaluatorDescription = setting(factory=EvaluatorDescription, text="the evaluator")
    processes: ProcessesDescription = setting(factory=ProcessesDescription, text="start, failure and end")
    network: NetworkDescription = setting(factory=NetworkDescription, text="DDS settings of all processes")

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the UAVs, which are the last part of their namespaces."""
        return tuple(self.member(n).name or f"uav{n + 1}" for n in range(self.uavs))

    def member(self, index: int) -> MemberDescription:
        """Settings of the UAV of this index."""
        return self.members[index] if index < len(self.members) else MemberDescription()

    @property
    def when_lost(self) -> str:
        """`end`, `continue` or `respawn`."""
        if self.processes.when_lost != AUTO:
            return self.processes.when_lost
        return END if self.in_lockstep else CONTINUE

    @property
    def in_lockstep(self) -> bool:
        """Whether mission time waits for the answers of every UAV."""
        return self.world.kind in (SIMULATION, REPLAY) and self.world.lockstep

    def check(self, where: str = "") -> None:
        """Raise FleetDescriptionError for values that do not fit together."""
        if self.world.kind in (SIMULATION, GAZEBO):
            require(self.uavs <= 8, "uavs", "1 to 8", self.uavs)
        start_s = self.world.start_s
        require(2 * start_s == round(2 * start_s), "world.start_s", "a multiple of 0.5 s", start_s)
        if self.world.kind == REPLAY:
            require(bool(self.replay.bag), "replay.bag", "the folder of a bag", self.replay.bag)
        require(bool(self.model), "model", "a model folder", self.model)
        network = self.network
        if network.discovery_range == LOCALHOST and network.transport != LARGE_DATA:
            raise FleetDescriptionError(
                f"network.transport: {network.transport!r} would have no effect with network.discovery_range "
                f"{LOCALHOST}, where rmw_fastrtps takes shared memory and UDP: leave it out, or set another range"
            )
        twice = [name for name in self.agents if self.agents.count(name) > 1]
        require(not twice, "members", "names that differ", twice[0] if twice else "")


def load_fleet(
    path: str | Path, overrides: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None
) -> FleetDescription:
    """Read a description. overrides: values by dotted name, e.g. {"world.frames": 10} · more: `params_files` and
    `remaps` that come on top of what the description has for all UAVs and for single ones.

    Raises: FleetDescriptionError.
    """
    try:
        values = yaml.safe_load(shipped(path).read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FleetDescriptionError(f"cannot read the fleet description {path}: {reason(error)}") from error
    if not isinstance(values, dict):
        raise FleetDescriptionError(f"{path}: expected a mapping with name, uavs, model, world, …")
    for name, value in (overrides or {}).items():
        _set(values, name, value)
    for name, value in (more or {}).items():
        if value:
            _extend(values, name, value)
    return fleet_from_dict(values)


def fleet_from_dict(values: Mapping[str, Any]) -> FleetDescription:
    """A checked description of parsed YAML. Raises: FleetDescriptionError."""
    if (
        isinstance(values, Mapping)
        and "uavs" not in values
        and isinstance(values.get("members"), list)
        and values["members"]
    ):
        values = {**values, "uavs": len(values["members"])}
    return build(FleetDescription, values)


def parse_override(text: str) -> tuple[str, Any]:
    """`world.frames=10` as ("world.frames", 10). Raises: FleetDescriptionError."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.]+", name.strip()):
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


def _extend(values: dict[str, Any], name: str, more: Any) -> None:
    uav, members = values.setdefault("uav", {}), values.get("members")
    groups = [
        uav,
        *(m for m in (members if isinstance(members, list) else []) if isinstance(m, dict) and name in m),
    ]
    for group in groups:
        before = group.get(name, type(more)()) if isinstance(group, dict) else more
        if type(before) is not type(more):
            raise FleetDescriptionError(
                f"{name}: expected a {'list' if isinstance(more, list) else 'mapping'}, got {before!r}"
            )
        if isinstance(group, dict):
            group[name] = [*before, *more] if isinstance(more, list) else {**before, **more}
