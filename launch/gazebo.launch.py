"""A fleet in Gazebo: ros2 launch rsdfm_ros gazebo.launch.py uavs:=2 seed:=9001 headless:=true

Makes the world of the described fleet, starts Gazebo, the bridge (ros_gz_bridge), what flies the UAVs and
knows the truth, and the fleet itself, with the options of fleet.launch.py. The end of the mission ends everything
(docs/gazebo.md).
"""

import os
import shlex
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, LogInfo, OpaqueFunction, Shutdown
from launch_ros.actions import Node

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.gazebo import check_world, gazebo_arguments, write_gazebo
from rsdfm_ros.fleet.gazebo_installed import AUTO, installed
from rsdfm_ros.fleet.launching import (
    TRUE_OR_FALSE,
    argument,
    declared_arguments,
    fleet_of,
    hold,
    is_true,
    started,
)
from rsdfm_ros.fleet.specification import environment_of, outside_remaps
from rsdfm_ros.sim.gazebo.versions import GAZEBOS
from rsdfm_ros.sim.gazebo.write import BRIDGE_FILE

PLUGIN_PATHS = ("GZ_SIM_SYSTEM_PLUGIN_PATH", "IGN_GAZEBO_SYSTEM_PLUGIN_PATH")
"""Search path of Gazebo's plugins; the second is Fortress's own name."""


def actions(context: LaunchContext) -> list:
    """Everything, in the order of its start."""
    fleet, options = fleet_of(context, world="gazebo")
    distribution = os.environ.get("ROS_DISTRO", "<distribution>")
    there = installed(argument(context, "gazebo"), distribution)
    try:
        get_package_share_directory("ros_gz_bridge")
    except PackageNotFoundError as error:
        raise RsdfmError(f"ros_gz_bridge is missing: apt install ros-{distribution}-ros-gz") from error
    if given := argument(context, "world_folder"):
        check_world(fleet, Path(given).absolute(), there.gazebo)
    held = hold(context, fleet, options)
    fleet, run = held.claim.fleet, held.folder
    folder = Path(
        given or (run.work / "gazebo" if run else tempfile.mkdtemp(prefix="rsdfm_gazebo_"))
    ).absolute()
    if not given:
        write_gazebo(fleet, folder, gazebo=there.gazebo)
    arguments = gazebo_arguments(folder, headless=is_true(context, "headless"))
    # Not through ros_gz_sim's gz_sim.launch.py: that starts a shell, which keeps the SIGINT of a shutdown to itself,
    # and Gazebo would outlive the mission. Gazebo may take 5 s each to end its window and its server.
    libraries = [os.environ.get(name, "") for name in (*PLUGIN_PATHS, "LD_LIBRARY_PATH")]
    gazebo = ExecuteProcess(
        cmd=[*there.gazebo.command, *there.choosing, *arguments, *shlex.split(argument(context, "gz_args"))],
        name="gazebo",
        output="screen",
        additional_env=dict.fromkeys(PLUGIN_PATHS, os.pathsep.join(filter(None, libraries))),
        sigterm_timeout="12",
        on_exit=Shutdown(reason="Gazebo has ended"),
    )
    bridge = Node(
        package="ros_gz_bridge",
        executable="parameter_bridge",
        name="gazebo_bridge",
        parameters=[{"config_file": str(folder / BRIDGE_FILE), "use_sim_time": True}],
        remappings=list(outside_remaps(fleet).items()),
        additional_env=environment_of(fleet),
        output="screen",
    )
    notes = [
        f"Gazebo {there.gazebo.name}; the world of seed {fleet.world.seed} is in {folder}",
        *there.notes,
    ]
    said = [LogInfo(msg=note) for note in notes]
    return [*said, gazebo, bridge, *started(held)]


def generate_launch_description() -> LaunchDescription:
    """Arguments, Gazebo, and the fleet."""
    share = Path(get_package_share_directory("rsdfm_ros"))
    description = str(share / "config" / "fleet" / "gazebo.yaml")
    return LaunchDescription(
        [
            *declared_arguments(description, skip=("world",)),
            DeclareLaunchArgument(
                "world_folder",
                default_value="",
                description="folder that `rsdfm gazebo` wrote for this fleet; empty: a new one, in <out>/gazebo or a "
                "temporary folder",
            ),
            DeclareLaunchArgument(
                "gazebo",
                default_value=AUTO,
                choices=[AUTO, *GAZEBOS],
                description="version of Gazebo to start and to write the world for; "
                f"{AUTO}: the newest that is installed",
            ),
            DeclareLaunchArgument(
                "headless",
                default_value="false",
                choices=TRUE_OR_FALSE,
                description="no window; images are rendered without a display",
            ),
            DeclareLaunchArgument("gz_args", default_value="", description="further arguments of `gz sim`"),
            OpaqueFunction(function=actions),
        ]
    )
