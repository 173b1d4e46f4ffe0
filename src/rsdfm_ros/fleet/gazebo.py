"""A described fleet in Gazebo: the files of its world, and the programs that run beside its nodes."""

from __future__ import annotations

import re
from pathlib import Path

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.specification import namespace_of
from rsdfm_ros.sim.gazebo.versions import GAZEBOS, HARMONIC, Gazebo
from rsdfm_ros.sim.gazebo.world import Scene, make_scene
from rsdfm_ros.sim.gazebo.write import WORLD_FILE, write_world
from rsdfm_ros.sim.ground import GROUND_PX

VERBOSITY = 2
_MADE = re.compile(r"`rsdfm gazebo` for seed=(\d+) uavs=(\d+) frames=(\d+) start_s=([\d.]+) gazebo=(\w+):")
_STILL = re.compile(r"`rsdfm gazebo` for seed=\d+ uavs=\d+ frames=\d+ start_s=[\d.]+:")
"""Versions of worlds in which moving vehicles stand still."""


def scene_of(fleet: FleetDescription) -> Scene:
    """The scene of a description: its seed, UAVs, frames and start. Raises: SdfError."""
    w = fleet.world
    return make_scene(w.seed, fleet.agents, w.frames, w.start_s, real_time_factor=w.real_time_factor)


def write_gazebo(
    fleet: FleetDescription, folder: Path, ground_px: int = GROUND_PX, gazebo: Gazebo = HARMONIC
) -> list[Path]:
    """Write world.sdf, bridge.yaml and the files that they need into a folder; returns the files. Raises: SdfError."""
    namespaces = {agent: namespace_of(fleet, agent) for agent in fleet.agents}
    return write_world(folder, scene_of(fleet), namespaces, ground_px, gazebo)


def check_world(fleet: FleetDescription, folder: Path, gazebo: Gazebo = HARMONIC) -> None:
    """FleetDescriptionError unless the world in a folder was made for this fleet, because the truth of another would
    not match, and with names of this Gazebo version."""
    try:
        with (folder / WORLD_FILE).open() as file:
            head = file.read(400)
    except (OSError, UnicodeDecodeError) as error:
        raise FleetDescriptionError(f"there is no world in {folder}: {error}") from error
    if _STILL.search(head):
        raise FleetDescriptionError(
            f"the world in {folder} was made by an earlier version, and its vehicles would never move: "
            "make it anew with `rsdfm gazebo`"
        )
    made = _MADE.search(head)
    if made is None or made[5] not in GAZEBOS:
        raise FleetDescriptionError(f"{folder / WORLD_FILE} was not made by `rsdfm gazebo`")
    if not gazebo.reads(GAZEBOS[made[5]]):
        raise FleetDescriptionError(
            f"the world in {folder} was made for Gazebo {made[5]}, whose names {gazebo.name} does not know: "
            f"make it anew with `rsdfm gazebo --gazebo {gazebo.name}`"
        )
    w = fleet.world
    there = (int(made[1]), int(made[2]), int(made[3]), float(made[4]))
    asked = (w.seed, fleet.uavs, w.frames, w.start_s)
    for what, a, b in zip(("seed", "uavs", "frames", "start_s"), there, asked, strict=True):
        # a world for a longer mission fits a shorter one
        if a < b if what == "frames" else a != b:
            raise FleetDescriptionError(f"the world in {folder} was made for {what} {a}, the fleet has {b}")


def gazebo_arguments(folder: Path, *, headless: bool, paused: bool = False) -> list[str]:
    """The arguments of `gz sim` or `ign gazebo` for a written world. headless: no window, images without a
    display."""
    run = [] if paused else ["-r"]
    window = ["-s", "--headless-rendering"] if headless else []
    return [*run, *window, "-v", str(VERBOSITY), str(folder / WORLD_FILE)]
