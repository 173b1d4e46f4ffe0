"""A fleet of any number of UAVs: ros2 launch rsdfm_ros fleet.launch.py uavs:=3 composed:=false

The processes are those of `rsdfm fleet`, from the same description and options (docs/fleet.md, docs/ros.md); the end of
the mission ends the launch.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction

from rsdfm_ros.fleet.launching import declared_arguments, fleet_actions


def generate_launch_description() -> LaunchDescription:
    """Arguments and the fleet."""
    share = Path(get_package_share_directory("rsdfm_ros"))
    description = str(share / "config" / "fleet" / "demo.yaml")
    return LaunchDescription([*declared_arguments(description), OpaqueFunction(function=fleet_actions)])
