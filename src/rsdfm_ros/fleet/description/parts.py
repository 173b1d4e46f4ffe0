"""The parts of a fleet description: world, replay, UAVs, evaluator, processes, network. docs/fleet.md is generated from
these classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rsdfm_ros import parameters as shared
from rsdfm_ros.domains import HIGHEST
from rsdfm_ros.fleet.description.fields import node_parameters
from rsdfm_ros.settings import setting

NAME = r"[a-z][a-z0-9_]{0,31}"
_TOPIC = r"(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*"
_RULE = rf"(?!__)([A-Za-z_][A-Za-z0-9_]*:)?{_TOPIC}"
_RULE_WORDS = "names of topics, such as pose: mavros/local_position/pose_cov"
NAME_WORDS = "lower-case letters, digits and _, a letter first, at most 32"
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
    use_sim_time: bool = setting(
        False,
        "with a world of kind `none`: follow `/clock`, as beside a simulator of your own; in all other worlds nodes "
        "always do",
    )
    seed: int = shared.SEED()
    style: str = shared.STYLE()
    weather: str = shared.WEATHER()
    frames: int = shared.FRAMES()
    lockstep: bool = shared.LOCKSTEP()
    real_time_factor: float = shared.REAL_TIME_FACTOR(
        text="mission seconds per second when not in lockstep; in Gazebo the most that it tries to reach"
    )
    start_s: float = shared.GAZEBO_START_S(
        text="Gazebo only: simulation time of the first frame, s, a multiple of 0.5; until then vehicles and UAVs "
        "wait, so that every process can start"
    )
    first_answer_timeout_s: float = shared.FIRST_ANSWER_TIMEOUT_S()
    answer_timeout_s: float = shared.ANSWER_TIMEOUT_S()


@dataclass(frozen=True)
class ReplayDescription:
    """The recording played in a world of kind `replay`."""

    bag: str = shared.BAG()
    topic_map: str = shared.TOPIC_MAP()
    start_s: float = shared.START_S()
    duration_s: float = shared.DURATION_S()
    loops: int = shared.LOOPS()


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
    autostart: bool = shared.AUTOSTART()
    engine: str = shared.ENGINE()
    threads: int = shared.THREADS()
    budget_bytes: int = shared.BUDGET_BYTES()
    max_packet_bytes: int = shared.PACKET_BYTES()
    max_age_s: float = shared.MAX_AGE_S()
    peer_wait_s: float = shared.PEER_WAIT_S()
    liveliness_lease_s: float = shared.LIVELINESS_LEASE_S()
    publish_single: bool = shared.PUBLISH_SINGLE()
    publish_future: bool = shared.PUBLISH_FUTURE()
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
        parse=node_parameters,
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

    name: str = setting("", "name and namespace; empty: uav<n>", pattern=f"({NAME})?", words=NAME_WORDS)
    topics: TopicsDescription = setting(factory=TopicsDescription, text="where its inputs come from")
    extrinsics: tuple[float, ...] = setting((), "its camera extrinsics, see uav.extrinsics", length_of=7)
    parameters: Mapping[str, Any] = setting(factory=dict, parse=node_parameters, text="its node parameters")
    remaps: Mapping[str, str] = setting(
        factory=dict, text="its remapping rules, from → to", pattern=_RULE, words=_RULE_WORDS
    )
    params_files: tuple[str, ...] = setting((), "its ROS parameter files, after those of all UAVs")


@dataclass(frozen=True)
class EvaluatorDescription:
    """The evaluator, which compares the answers with the truth."""

    enabled: bool = setting(True, "whether there is one")
    record_frames: bool = shared.RECORD_FRAMES()
    record_bag: bool = shared.RECORD_BAG()
    end_timeout_s: float = shared.END_TIMEOUT_S()


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
        high=HIGHEST,
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
