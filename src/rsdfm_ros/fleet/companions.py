"""Programs beside a fleet on request: a recorder, RViz and the page for browsers."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from pathlib import Path

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.options import FleetOptions
from rsdfm_ros.fleet.specification import NodeSpec, environment_of, namespace_of
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.activation import activated
from rsdfm_ros.view.web.live import web_environment, web_program
from rsdfm_ros.words import counted

COMPANION = "companion"
SHARED_TOPICS = ("/clock", "/ground_truth", "/fleet/status", "/diagnostics", "/rosout", "/tf", "/tf_static")


def companions(
    fleet: FleetDescription, options: FleetOptions, out: str | Path | None
) -> tuple[FleetDescription, list[NodeSpec], list[str]]:
    """The fleet (with another setting if its evaluator records), further processes, and messages for the user.

    out: folder for the bag and for RViz's configuration. Raises: FleetDescriptionError if something is not installed.
    """
    specs, notes = [], []
    if (options.record or options.rviz) and not out:
        raise FleetDescriptionError("record and rviz need a folder for their files: name one with `out`")
    if options.record:
        bag = Path(out or "") / "bag"
        if rosbag2_installed():
            specs.append(recorder(fleet, bag))
            notes.append(f"ros2 bag record writes {bag}")
        elif fleet.evaluator.enabled:
            fleet = dataclasses.replace(
                fleet, evaluator=dataclasses.replace(fleet.evaluator, record_bag=True)
            )
            notes.append(f"ros2 bag is not installed here: the evaluator writes {bag}")
        else:
            specs.append(record_node(fleet, bag))
            notes.append(f"ros2 bag is not installed here: record_node writes {bag}")
    if options.rviz:
        specs.append(rviz(fleet, Path(out or "") / "fleet.rviz"))
    return fleet, specs, notes


def recorder(fleet: FleetDescription, bag: Path) -> NodeSpec:
    """`ros2 bag record` of everything that belongs to the fleet."""
    command = ["ros2", "bag", "record", "--storage", "mcap", "--output", str(bag)]
    command += ["--regex", f"^({topics_of(fleet)})$"]
    if fleet.follows_clock:
        command.append("--use-sim-time")
    return NodeSpec("recorder", COMPANION, "", environment=environment_of(fleet), command=tuple(command))


def record_node(fleet: FleetDescription, bag: Path) -> NodeSpec:
    """The same with this package's recorder."""
    parameters = {
        "out": str(bag.absolute()),
        "topics": topics_of(fleet),
        "use_sim_time": fleet.follows_clock,
    }
    return NodeSpec("recorder", COMPANION, "record_node", "", parameters, environment_of(fleet))


def web_page(fleet: FleetDescription, address: Address, out: Path | None) -> NodeSpec:
    """The page for browsers: a process that sleeps until the first one comes. out: folder of the run, if any."""
    title = f"{counted(fleet.uavs, 'UAV')}, live"
    run = "" if out is None else str(out.absolute())
    program = web_program(address, title=title, run=run, lockstep=fleet.in_lockstep)
    command = activated(address.host, address.port, program)
    environment = {**environment_of(fleet), **web_environment(address)}
    return NodeSpec("web", COMPANION, "", environment=environment, command=tuple(command))


def topics_of(fleet: FleetDescription) -> str:
    """A regular expression of the whole names of all topics of a fleet."""
    below = "|".join(re.escape(namespace_of(fleet, agent)) + "/.*" for agent in fleet.agents)
    return f"{below}|{'|'.join(SHARED_TOPICS)}"


def rviz(fleet: FleetDescription, config: Path) -> NodeSpec:
    """RViz with a configuration made for these UAVs, written to `config`. Raises: FleetDescriptionError."""
    from rsdfm_ros.view.rviz import rviz_config

    program = rviz_program()
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(rviz_config([namespace_of(fleet, agent).lstrip("/") for agent in fleet.agents]))
    command = [str(program), "-d", str(config)]
    if fleet.follows_clock:
        command += ["--ros-args", "-p", "use_sim_time:=true"]
    return NodeSpec("rviz", COMPANION, "", environment=environment_of(fleet), command=tuple(command))


def rviz_program() -> Path:
    """rviz2. Raises: FleetDescriptionError if it is not installed."""
    program = next((p for p in (x / "lib/rviz2/rviz2" for x in _prefixes()) if p.exists()), None)
    if program is None:
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        raise FleetDescriptionError(f"rviz2 is not installed here: apt install ros-{distribution}-rviz2")
    return program


def rosbag2_installed() -> bool:
    """Whether `ros2 bag` can be run here."""
    return shutil.which("ros2") is not None and any((p / "share" / "ros2bag").is_dir() for p in _prefixes())


def _prefixes() -> list[Path]:
    return [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
