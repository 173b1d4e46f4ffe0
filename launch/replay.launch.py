"""A recorded bag through the live nodes: ros2 launch rsdfm_ros replay.launch.py bag:=/data/flight rate:=max

The processes are those of `rsdfm replay` (docs/bags.md), from the same description and options as fleet.launch.py; the
bag says which UAVs there are. The end of the bag ends the launch.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from rsdfm_ros.fleet.launching import declared_arguments, replay_actions

ARGUMENTS: dict[str, tuple[str | None, str]] = {
    "bag": (None, "folder of the bag, or one of its files"),
    "topic_map": ("", "topic map (YAML) for bags with other topics than ours; empty: our own"),
    "rate": (
        "max",
        "recorded seconds per second, e.g. 0.5 or 10; max: as fast as the UAVs answer, in lockstep",
    ),
    "run": ("", "UAVs that are run, as uav1,uav2; recorded packets of the others are played; empty: all"),
    "start_s": ("0.0", "recorded time that is left out at the beginning, s"),
    "duration_s": ("0.0", "recorded time that is played, s; 0: to the end"),
    "loops": ("1", "how often the bag is played; more than once, nothing is scored"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments and the fleet."""
    share = Path(get_package_share_directory("rsdfm_ros"))
    description = str(share / "config" / "fleet" / "demo.yaml")
    own = [DeclareLaunchArgument(n, default_value=d, description=t) for n, (d, t) in ARGUMENTS.items()]
    fleet = declared_arguments(description, skip=("uavs", "world", "seed", "frames"))
    return LaunchDescription([*own, *fleet, OpaqueFunction(function=replay_actions)])
