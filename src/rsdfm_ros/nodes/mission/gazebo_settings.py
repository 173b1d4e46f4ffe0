"""The parameters of the nodes that go with a Gazebo world."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.nodes.core.parameters import setting
from rsdfm_ros.nodes.core.qos import RELIABILITY
from rsdfm_ros.nodes.core.settings import NodeSettings

_SEED = "seed that the Gazebo world was made from"
_AGENTS = "names of the UAVs, as in the Gazebo world"
_START = "simulation time of the mission's first frame, as in the Gazebo world, s"
_FROM_BRIDGE = "how the topics of the bridge are subscribed to"


@dataclass(frozen=True)
class GazeboFlightSettings(NodeSettings):
    """gazebo_flight_node: flies the UAVs of a Gazebo world and reports the poses of their cameras."""

    seed: int = setting(9000, _SEED, low=0, high=2**31 - 1)
    agents: tuple[str, ...] = setting(("uav1", "uav2", "uav3", "uav4"), _AGENTS)
    start_s: float = setting(20.0, _START, low=0.0, high=3600.0)
    fly: bool = setting(True, "command the planned flights; otherwise somebody else flies the UAVs")
    lead_s: float = setting(
        0.04, "time from the odometry to the effect of a command that answers it, s", low=0.0, high=1.0
    )
    max_gap_s: float = setting(
        0.2, "odometry farther apart, and joint states five times as far, are not interpolated, s", low=0.001,
        high=10.0,
    )  # fmt: skip
    input_reliability: str = setting("reliable", _FROM_BRIDGE, choices=RELIABILITY)


@dataclass(frozen=True)
class GazeboTruthSettings(NodeSettings):
    """gazebo_truth_node: the ground truth of a Gazebo world that was made from a seed."""

    seed: int = setting(9000, _SEED, low=0, high=2**31 - 1)
    agents: tuple[str, ...] = setting(("uav1", "uav2", "uav3", "uav4"), _AGENTS)
    start_s: float = setting(20.0, _START, low=0.0, high=3600.0)
    frames: int = setting(60, "frames of the mission, at 2 Hz of simulation time", low=1, high=120)
    stamp_tolerance_s: float = setting(
        0.02, "largest distance in time of an image and the frame that it belongs to, s", low=0.0, high=0.2
    )
    pose_wait_s: float = setting(
        0.3, "simulation time that a frame waits for the poses of all UAVs, s", low=0.0, high=10.0
    )
    max_gap_s: float = setting(
        0.2, "poses farther apart are not interpolated, s; those of gazebo_flight_node are exact", low=0.001,
        high=10.0,
    )  # fmt: skip
    input_reliability: str = setting(
        "reliable", "how camera_info and pose are subscribed to", choices=RELIABILITY
    )
