"""A fleet as actions of launch and launch_ros, for launch files only: these packages come with a ROS installation."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rsdfm_ros.fleet.about import about_mission
from rsdfm_ros.fleet.checks import check_apart, check_fleet, check_replay
from rsdfm_ros.fleet.companions import companions, web_page
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.options import (
    LISTS,
    NAV2_NAMES,
    SETTINGS,
    SWITCHES,
    FleetOptions,
    checked_setting,
    choices,
    options_from,
    sentence,
    setting_value,
)
from rsdfm_ros.fleet.description.parts import END, RESPAWN, ReplayDescription
from rsdfm_ros.fleet.domain import Claim, claim_domain
from rsdfm_ros.fleet.mission import REFUSED
from rsdfm_ros.fleet.paths import found
from rsdfm_ros.fleet.processes import parameter_file_of
from rsdfm_ros.fleet.replay import parse_rate, replay_fleet
from rsdfm_ros.fleet.run_folder import RunFolder, held_run_folder
from rsdfm_ros.fleet.specification import EVALUATOR, UAV, WORLD, NodeSpec, node_specifications
from rsdfm_ros.fleet.surroundings import write_surroundings
from rsdfm_ros.shipped import PACKAGE
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.options import LAUNCH_ARGUMENTS, SAYS, launched_address

OPTIONS = (*SETTINGS, *LISTS, *SWITCHES)
TRUE_OR_FALSE = ["true", "false", "True", "False"]
"""Both spellings, as launch files of ROS 2 take them."""


def declared_arguments(description: str, skip: Sequence[str] = ()) -> list[Action]:
    """The launch arguments of a fleet: `description` with this default, `out`, the page, and the options of
    `rsdfm fleet`."""
    arguments: list[Action] = [
        DeclareLaunchArgument(
            "description", default_value=description, description="fleet description (docs/fleet.md)"
        ),
        DeclareLaunchArgument(
            "out", default_value="", description="folder for what is recorded; empty: nothing is written"
        ),
        DeclareLaunchArgument(
            "force",
            default_value="false",
            choices=TRUE_OR_FALSE,
            description="replace a finished run in `out`; it stays until the new one is complete",
        ),
        *(
            DeclareLaunchArgument(
                name,
                default_value=default,
                description=text,
                **({"choices": TRUE_OR_FALSE} if default == "true" else {}),
            )
            for name, (default, text) in LAUNCH_ARGUMENTS.items()
        ),
    ]
    for name in OPTIONS:
        if name in skip:
            continue
        allowed = () if name in LISTS else choices(name)
        text = sentence(name)
        if name not in LISTS:
            text += "; empty: as described" if name in SETTINGS else "; empty: false"
            allowed = ("", *allowed) if allowed else ()
        if name in LISTS:
            text = text.replace("several: ", "several with blanks between: ").replace(
                "several at will", "several with blanks between"
            )
        if "true" in allowed:
            allowed = (*(a for a in allowed if a not in TRUE_OR_FALSE), *TRUE_OR_FALSE)
        limits = {"choices": list(allowed)} if allowed else {}
        arguments.append(DeclareLaunchArgument(name, default_value="", description=text, **limits))
        arguments += [
            DeclareLaunchArgument(theirs, default_value="", description=f"Nav2's name of `{name}`")
            for theirs, ours in NAV2_NAMES.items()
            if ours == name
        ]
    return arguments


@dataclass(frozen=True)
class Held:
    """A fleet before its first process, with a claim on its ROS domain and its folder.

    claim: the fleet in its domain · folder: None without `out` · address: of the page for browsers, None for none ·
    give_back: frees the domain.
    """

    claim: Claim
    options: FleetOptions
    folder: RunFolder | None
    address: Address | None
    give_back: Callable[[], None]


def fleet_actions(context: LaunchContext, **fixed: str) -> list[Action]:
    """Launch actions for the fleet of these launch arguments; the end of the mission ends the launch.

    fixed: options that the launch file decides, such as world="none". Raises: RsdfmError.
    """
    fleet, options = fleet_of(context, **fixed)
    check_replay(fleet)
    return started(hold(context, fleet, options))


def replay_actions(context: LaunchContext) -> list[Action]:
    """Launch actions that play a bag to the fleet of these arguments (replay.launch.py); the end of the bag ends the
    launch.

    Raises: RsdfmError.
    """
    fleet, options = fleet_of(context)
    replay = ReplayDescription(
        bag=os.path.expanduser(argument(context, "bag")),
        topic_map=os.path.expanduser(argument(context, "topic_map")),
        start_s=_replay_setting(context, "start_s"),
        duration_s=_replay_setting(context, "duration_s"),
        loops=_replay_setting(context, "loops"),
    )
    uavs = [name for name in argument(context, "run").split(",") if name]
    fleet, notes = replay_fleet(fleet, replay, rate=parse_rate(argument(context, "rate")), uavs=uavs)
    return [*(LogInfo(msg=note) for note in notes), *started(hold(context, fleet, options))]


def _replay_setting(context: LaunchContext, name: str) -> Any:
    setting = f"replay.{name}"
    return checked_setting(name, setting, setting_value(setting, argument(context, name)))


def hold(context: LaunchContext, fleet: FleetDescription, options: FleetOptions) -> Held:
    """Check a fleet, and take the ROS domain and the folder of these launch arguments. Raises: RsdfmError."""
    check_fleet(fleet, options)
    address = launched_address(argument(context, "web") or "false", argument(context, "web_port"))
    if out := argument(context, "out"):
        check_apart(fleet, Path(os.path.expanduser(out)))
    stack = contextlib.ExitStack()
    claim = stack.enter_context(claim_domain(fleet, out or None, free=False, option="domain:="))
    return Held(claim, options, folder_of(context), address, stack.close)


def started(held: Held) -> list[Action]:
    """Launch actions that start a fleet; the end of its mission ends the launch. Raises: RsdfmError."""
    folder = held.folder
    fleet, more, notes = companions(held.claim.fleet, held.options, folder.work if folder else None)
    specs = node_specifications(fleet, folder.work if folder else None, about_mission(fleet))
    if held.address is not None:
        more = [*more, web_page(fleet, held.address, folder.work if folder else None)]
        # Not into the log of the launch: it may carry a token.
        print(SAYS.format(held.address.url), flush=True)
    if folder is not None:
        write_surroundings(fleet, folder.work)
        folder.begin(fleet.world.kind)
    # Released as the processes begin to end: a later fleet still discovers those that run.
    give_back = RegisterEventHandler(OnShutdown(on_shutdown=lambda event, context: held.give_back()))
    return [
        give_back,
        *(LogInfo(msg=note) for note in (held.claim.sentence, *notes)),
        *process_actions(fleet, [*more, *specs], folder),
    ]


def fleet_of(context: LaunchContext, **fixed: str) -> tuple[FleetDescription, FleetOptions]:
    """The fleet of these launch arguments. Raises: FleetDescriptionError."""
    options = options_from({**{name: argument(context, name) for name in (*OPTIONS, *NAV2_NAMES)}, **fixed})
    path = argument(context, "description")
    return options.load(found(path) or path), options


def folder_of(context: LaunchContext) -> RunFolder | None:
    """The folder for what is written, held until this process ends; None without `out`. Raises: OutputError."""
    out = os.path.expanduser(argument(context, "out"))
    if not out:
        return None
    force = is_true(context, "force")
    return held_run_folder(Path(out).absolute(), force=force, option="out", force_option="force:=true")


def argument(context: LaunchContext, name: str) -> str:
    """The value of a launch argument, "" where it is not declared."""
    return LaunchConfiguration(name, default="").perform(context)


def is_true(context: LaunchContext, name: str) -> bool:
    """Whether a launch argument of TRUE_OR_FALSE is true."""
    return argument(context, name).lower() == "true"


def process_actions(
    fleet: FleetDescription, specs: Sequence[NodeSpec], run: RunFolder | None = None
) -> list[Action]:
    """One process per specification, with handlers of its end: the same as for `rsdfm fleet`."""
    folder = Path(tempfile.mkdtemp(prefix="rsdfm_fleet_"))
    judge = next((spec.name for role in (EVALUATOR, WORLD) for spec in specs if spec.role == role), "")
    actions: list[Action] = []
    for spec in specs:
        process = process_of(fleet, spec, folder)
        on_exit = _ends(spec, spec.name == judge, fleet, run)
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


def _ends(
    spec: NodeSpec, judge: bool, fleet: FleetDescription, run: RunFolder | None
) -> Callable[[Any, Any], list[Action] | None]:
    """Make the handler of a process's end in the launch."""

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
        if judge and not failed and run is not None:
            run.end()
        how = f"ended with status {event.returncode}" if failed or spec.role == UAV else "has finished"
        return [EmitEvent(event=Shutdown(reason=f"{spec.name} {how}"))]

    return react
