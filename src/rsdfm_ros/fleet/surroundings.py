"""scene.json of a mission: roads, buildings and cameras of the world that a fleet flies in, for maps."""

from __future__ import annotations

import math
from pathlib import Path

from rsdfm_ros.evaluation.report.recording import SCENE_FILE, Surroundings
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import GAZEBO, REPLAY, SIMULATION
from rsdfm_ros.sim.config import SimConfig, WorldConfig
from rsdfm_ros.sim.draw import draw_world
from rsdfm_ros.sim.styles import make_plan

Rectangle = tuple[float, float, float, float]


def write_surroundings(fleet: FleetDescription, out: Path) -> None:
    """Write <out>/scene.json if the world of the fleet is known, and remove an older one if it is not."""
    known = surroundings_of(fleet)
    if known is None:
        (out / SCENE_FILE).unlink(missing_ok=True)
    else:
        known.write(out)


def surroundings_of(fleet: FleetDescription) -> Surroundings | None:
    """Roads, buildings and cameras; None for an unknown world.

    The world of a bag is known if the mission that recorded it left scene.json beside it.
    """
    if fleet.world.kind in (SIMULATION, GAZEBO):
        world = WorldConfig(style=fleet.world.style, weather=fleet.world.weather)
        return surroundings_of_seed(fleet.world.seed, SimConfig(world=world))
    if fleet.world.kind == REPLAY:
        bag = Path(fleet.replay.bag)
        folder = (bag if bag.is_dir() else bag.parent).parent
        return Surroundings.read(folder) if (folder / SCENE_FILE).is_file() else None
    return None


def surroundings_of_seed(seed: int, config: SimConfig) -> Surroundings:
    """Roads, buildings and cameras of a simulated world, in its style and turned as it is."""
    draw = draw_world(seed, config.world)
    layout = make_plan(seed, draw.style)
    return Surroundings(
        [_corners(r, draw.turn_rad) for r in layout.road_rectangles()],
        [_corners(b.footprint, draw.turn_rad) for b in layout.buildings],
        config.K if config.fov_deg is None else None,
    )


def _corners(rectangle: Rectangle, turn_rad: float) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = rectangle
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    return [(c * x - s * y, s * x + c * y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
