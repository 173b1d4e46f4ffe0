"""The fleet of a description as launch_ros actions: ros2 launch rsdfm_ros fleet.launch.py description:=…/demo.yaml

The same specifications that `rsdfm fleet` starts as plain processes: nothing is described twice.
"""

import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rsdfm_ros.fleet.description import load_fleet, parse_override
from rsdfm_ros.fleet.specification import PACKAGE, NodeSpec, node_specifications


def action_of(spec: NodeSpec, folder: Path) -> Node:
    """One process. Its parameters go through a file, as for `rsdfm fleet`: uav_node holds several nodes."""
    parameters = folder / f"{spec.name}.yaml"
    parameters.write_text(
        yaml.safe_dump({"/**": {"ros__parameters": dict(spec.parameters)}}, sort_keys=False)
    )
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        namespace=spec.namespace,
        parameters=[str(parameters)],
        additional_env=dict(spec.environment),
        output="screen",
        emulate_tty=True,
    )


def actions(context: LaunchContext) -> list:
    """Read the description and start what it asks for; the mission's end ends the launch."""
    text = {
        name: LaunchConfiguration(name).perform(context)
        for name in ("description", "overrides", "model", "out")
    }
    overrides = dict(parse_override(item) for item in text["overrides"].split())
    if text["model"]:
        overrides["model"] = text["model"]
    fleet = load_fleet(text["description"], overrides)
    if not fleet.model.startswith(("random:", "/")) and not Path(fleet.model).is_dir():
        share = Path(get_package_share_directory(PACKAGE))
        fleet = load_fleet(text["description"], {**overrides, "model": str(share / fleet.model)})
    folder = Path(tempfile.mkdtemp(prefix="rsdfm_fleet_"))
    specs = node_specifications(fleet, text["out"] or None)
    started = {spec.name: action_of(spec, folder) for spec in specs}
    last = next((spec.name for role in ("evaluator", "world") for spec in specs if spec.role == role), None)
    end = []
    if last is not None:
        done = EmitEvent(event=Shutdown(reason=f"{last} has ended"))
        end.append(RegisterEventHandler(OnProcessExit(target_action=started[last], on_exit=[done])))
    return [*end, *started.values()]


def generate_launch_description() -> LaunchDescription:
    """Arguments and the fleet."""
    share = Path(get_package_share_directory(PACKAGE))
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "description",
                default_value=str(share / "config" / "fleet" / "demo.yaml"),
                description="fleet description (YAML)",
            ),
            DeclareLaunchArgument(
                "model", default_value="", description="model folder instead of the described one"
            ),
            DeclareLaunchArgument(
                "out", default_value="", description="folder for what the evaluator writes"
            ),
            DeclareLaunchArgument(
                "overrides",
                default_value="",
                description="settings to override, e.g. 'uavs=2 world.frames=10'",
            ),
            OpaqueFunction(function=actions),
        ]
    )
