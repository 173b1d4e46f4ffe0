"""A described fleet in Gazebo: the files of its world, and the programs that run beside its nodes."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.fleet.description import FleetDescription
from rsdfm_ros.fleet.specification import namespace_of
from rsdfm_ros.sim.gazebo.world import Scene, make_scene
from rsdfm_ros.sim.gazebo.write import WORLD_FILE, write_world
from rsdfm_ros.sim.ground import GROUND_PX

VERBOSITY = 2


def scene_of(fleet: FleetDescription) -> Scene:
    """The scene of a description: its seed, UAVs, frames and start. Raises: SdfError."""
    w = fleet.world
    return make_scene(w.seed, fleet.agents, w.frames, w.start_s, real_time_factor=w.real_time_factor)


def write_gazebo(fleet: FleetDescription, folder: Path, ground_px: int = GROUND_PX) -> list[Path]:
    """Write world.sdf, bridge.yaml and what belongs to them into a folder; the files. Raises: SdfError."""
    namespaces = {agent: namespace_of(fleet, agent) for agent in fleet.agents}
    return write_world(folder, scene_of(fleet), namespaces, ground_px)


def gazebo_arguments(folder: Path, *, headless: bool, paused: bool = False) -> list[str]:
    """The arguments of `gz sim` for a written world. headless: no window, pictures without a display."""
    run = [] if paused else ["-r"]
    window = ["-s", "--headless-rendering"] if headless else []
    return [*run, *window, "-v", str(VERBOSITY), str(folder / WORLD_FILE)]
