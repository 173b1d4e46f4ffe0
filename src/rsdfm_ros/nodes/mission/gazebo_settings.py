"""The parameters of the nodes that go with a Gazebo world."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.nodes.core.qos import RELIABILITY
from rsdfm_ros.nodes.core.settings import NodeSettings
from rsdfm_ros.settings import setting


@dataclass(frozen=True)
class GazeboMissionSettings(NodeSettings):
    """The mission of a Gazebo world that was made from a seed, as in that world."""

    seed: int = shared.SEED(text="seed that the Gazebo world was made from")
    agents: tuple[str, ...] = setting(
        ("uav1", "uav2", "uav3", "uav4"), "names of the UAVs, as in the Gazebo world"
    )
    start_s: float = shared.GAZEBO_START_S()


@dataclass(frozen=True)
class GazeboFlightSettings(GazeboMissionSettings):
    """gazebo_flight_node: flies the UAVs of a Gazebo world and reports the poses of their cameras."""

    fly: bool = setting(True, "command the planned flights; otherwise another program flies the UAVs")
    lead_s: float = setting(
        0.04, "time from the odometry to the effect of a command that answers it, s", low=0.0, high=1.0
    )
    max_gap_s: float = setting(
        0.2, "odometry farther apart, and joint states five times as far, are not interpolated, s", low=0.001,
        high=10.0,
    )  # fmt: skip
    input_reliability: str = setting(
        "reliable", "how the topics of the bridge are subscribed to", choices=RELIABILITY
    )


@dataclass(frozen=True)
class GazeboTruthSettings(GazeboMissionSettings):
    """gazebo_truth_node: the ground truth of a Gazebo world that was made from a seed."""

    frames: int = shared.FRAMES(text="frames of the mission, at 2 Hz of simulation time")
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
