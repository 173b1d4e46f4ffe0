"""A fleet as actions of launch and launch_ros, for launch files only: these packages come with a ROS installation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launch import LaunchContext
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rsdfm_ros.fleet.companions import companions
from rsdfm_ros.fleet.description import END, RESPAWN, FleetDescription, ReplayDescription
from rsdfm_ros.fleet.mission import REFUSED
from rsdfm_ros.fleet.options import (
    LISTS,
    SETTINGS,
    SWITCHES,
    FleetOptions,
    choices,
    options_from,
    sentence,
    setting_value,
)
from rsdfm_ros.fleet.paths import found
from rsdfm_ros.fleet.processes import parameter_file_of
from rsdfm_ros.fleet.replay import parse_rate, replay_fleet
from rsdfm_ros.fleet.specification import EVALUATOR, UAV, WORLD, NodeSpec, node_specifications
from rsdfm_ros.shipped import PACKAGE

OPTIONS = (*SETTINGS, *LISTS, *SWITCHES)


def declared_arguments(description: str, skip: Sequence[str] = ()) -> list[Action]:
    """The launch arguments of a fleet: `description` with this default, `out`, and the options of `rsdfm fleet`."""
    arguments: list[Action] = [
        DeclareLaunchArgument(
            "description", default_value=description, description="fleet description (docs/fleet.md)"
        ),
        DeclareLaunchArgument(
            "out", default_value="", description="folder for what is recorded; empty: nothing is written"
        ),
    ]
    for name in OPTIONS:
        if name in skip:
            continue
        allowed = () if name in LISTS else choices(name)
        default = "false" if name in SWITCHES else ""
        text = sentence(name)
        if name in SETTINGS:
            text += "; empty: as described"
            allowed = ("", *allowed) if allowed else ()
        if name in LISTS:
            text = text.replace("several: ", "several with blanks between: ").replace(
                "several at will", "several with blanks between"
            )
        limits = {"choices": list(allowed)} if allowed else {}
        arguments.append(DeclareLaunchArgument(name, default_value=default, description=text, **limits))
    return arguments


def fleet_actions(context: LaunchContext, **fixed: str) -> list[Action]:
    """What starts the fleet of these launch arguments; the end of the mission ends the launch.

    fixed: options that the launch file decides, such as world="gazebo". Raises: FleetDescriptionError.
    """
    return _started(context, *fleet_of(context, **fixed))


def replay_actions(context: LaunchContext) -> list[Action]:
    """What plays a bag to the fleet of these launch arguments (replay.launch.py); the end of the bag ends the launch.

    Raises: FleetDescriptionError, BagError, TopicMapError.
    """
    fleet, options = fleet_of(context)
    replay = ReplayDescription(
        bag=os.path.expanduser(argument(context, "bag")),
        topic_map=os.path.expanduser(argument(context, "topic_map")),
        start_s=float(setting_value("replay.start_s", argument(context, "start_s"))),
        duration_s=float(setting_value("replay.duration_s", argument(context, "duration_s"))),
        loops=int(setting_value("replay.loops", argument(context, "loops"))),
    )
    fleet, notes = replay_fleet(fleet, replay, rate=parse_rate(argument(context, "rate")))
    return [*(LogInfo(msg=note) for note in notes), *_started(context, fleet, options)]


def _started(context: LaunchContext, fleet: FleetDescription, options: FleetOptions) -> list[Action]:
    out = out_of(context)
    fleet, more, notes = companions(fleet, options, out or None)
    if out:
        Path(out).mkdir(parents=True, exist_ok=True)
    specs = node_specifications(fleet, Path(out).absolute() if out else None)
    return [*(LogInfo(msg=note) for note in notes), *process_actions(fleet, [*more, *specs])]


def fleet_of(context: LaunchContext, **fixed: str) -> tuple[FleetDescription, FleetOptions]:
    """The fleet of these launch arguments. Raises: FleetDescriptionError."""
    options = options_from({**{name: argument(context, name) for name in OPTIONS}, **fixed})
    path = argument(context, "description")
    return options.load(found(path) or path), options


def out_of(context: LaunchContext) -> str:
    """The folder for what is written, "" for none."""
    return os.path.expanduser(argument(context, "out"))


def argument(context: LaunchContext, name: str) -> str:
    """The value of a launch argument, "" where it is not declared."""
    return LaunchConfiguration(name, default="").perform(context)


def process_actions(fleet: FleetDescription, specs: Sequence[NodeSpec]) -> list[Action]:
    """One process per specification, and what the end of each means: the same as for `rsdfm fleet`."""
    folder = Path(tempfile.mkdtemp(prefix="rsdfm_fleet_"))
    judge = next((spec.name for role in (EVALUATOR, WORLD) for spec in specs if spec.role == role), "")
    actions: list[Action] = []
    for spec in specs:
        process = process_of(fleet, spec, folder)
        on_exit = _ends(spec, spec.name == judge, fleet)
        handler = OnProcessExit(target_action=process, on_exit=on_exit)
        actions += [RegisterEventHandler(handler), process]
    return actions


def process_of(fleet: FleetDescription, spec: NodeSpec, folder: Path) -> ExecuteProcess:
    """The process of a specification. Its parameters go through a file, because uav_node holds several nodes."""
    shared: dict[str, Any] = {
        "output": "screen",
        "additional_env": dict(spec.environment),
        "sigterm_timeout": str(fleet.processes.sigterm_timeout_s),
        "sigkill_timeout": str(fleet.processes.sigkill_timeout_s),
        "name" if spec.command else "exec_name": spec.name,
    }
    if spec.command:
        return ExecuteProcess(cmd=list(spec.command), **shared)
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        namespace=spec.namespace,
        parameters=[str(path) for path in (parameter_file_of(spec, folder), *spec.params_files)],
        remappings=list(spec.remaps.items()),
        ros_arguments=["--log-level", spec.log_level] if spec.log_level else None,
        respawn=spec.role == UAV and fleet.when_lost == RESPAWN,
        respawn_delay=fleet.processes.respawn_delay_s,
        **shared,
    )


def _ends(spec: NodeSpec, judge: bool, fleet: FleetDescription) -> Callable[[Any, Any], list[Action] | None]:
    """What the end of a process does to the launch."""

    def react(event: Any, context: LaunchContext) -> list[Action] | None:
        failed = event.returncode != 0
        if context.is_shutdown:
            return None
        if spec.role == UAV:
            ends = fleet.when_lost == END or event.returncode == REFUSED
        else:
            ends = judge or (failed and spec.role in (WORLD, EVALUATOR))
        if not ends:
            return None
        how = f"ended with status {event.returncode}" if failed or spec.role == UAV else "has finished"
        return [EmitEvent(event=Shutdown(reason=f"{spec.name} {how}"))]

    return react
