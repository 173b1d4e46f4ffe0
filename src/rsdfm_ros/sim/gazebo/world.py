"""The SDF world of a seed: the same plan, appearance, vehicles and traffic as the MuJoCo scene."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.sim.appearance import BARK, FACADES, ROOFS, TREES, Appearance, draw_appearance
from rsdfm_ros.sim.config import MAX_UAVS, PAINTED_EXTENT_M, SimConfig
from rsdfm_ros.sim.flight import Flight, make_flights
from rsdfm_ros.sim.gazebo.gimbal import planned
from rsdfm_ros.sim.gazebo.motion import trajectories
from rsdfm_ros.sim.gazebo.uav import uav_model
from rsdfm_ros.sim.gazebo.vehicles import moving_actor, parked_model
from rsdfm_ros.sim.gazebo.xml import SdfError, add, checked_name, colour, numbers, plugin, pose
from rsdfm_ros.sim.ground import Image, paint_ground
from rsdfm_ros.sim.layout import Layout, make_layout
from rsdfm_ros.sim.meshes import Mesh, building_meshes, tree_meshes
from rsdfm_ros.sim.population import Population, populate

SDF_VERSION = "1.9"
WORLD = "rsdfm_block"
STEP_S = 0.004
"""Physics step: images and odometry fall on whole steps."""
LAND_M = 1200.0


@dataclass(frozen=True)
class Scene:
    """All elements of the world of a seed.

    start_s: simulation time of frame 0; before it, vehicles and UAVs wait at their first poses · frames: of the
    mission · ground, land: painted ground (H, W, 3) and colour 0 to 255 around it · meshes by name ·
    real_time_factor: simulation seconds per second that Gazebo tries to reach.
    """

    seed: int
    agents: tuple[str, ...]
    frames: int
    start_s: float
    config: SimConfig
    layout: Layout
    appearance: Appearance
    population: Population
    flights: tuple[Flight, ...]
    ground: Image
    land: tuple[float, float, float]
    meshes: Mapping[str, Mesh]
    real_time_factor: float = 1.0


def make_scene(
    seed: int,
    agents: Sequence[str],
    frames: int,
    start_s: float,
    config: SimConfig | None = None,
    real_time_factor: float = 1.0,
) -> Scene:
    """Draw the scene of a seed. Raises: SdfError for names or elements that Gazebo does not support."""
    config = config or SimConfig()
    if not 1 <= len(agents) <= MAX_UAVS:
        raise SdfError(f"uavs: expected 1 to {MAX_UAVS} in this world, got {len(agents)}")
    if len(set(agents)) != len(agents):
        raise SdfError(f"uavs: expected names that differ, got {', '.join(agents)}")
    for agent in agents:
        checked_name(agent, "name of a UAV")
    if not 1 <= frames <= config.max_frames - FUTURE_STEPS:
        raise SdfError(f"frames: expected 1 to {config.max_frames - FUTURE_STEPS}, got {frames}")
    period_s = 1.0 / config.frame_rate_hz
    if start_s < 0 or abs(start_s / period_s - round(start_s / period_s)) > 1e-9:
        raise SdfError(f"start_s: expected a multiple of the frame period, {period_s} s, got {start_s}")
    layout = make_layout(seed)
    ground, land = paint_ground(layout, seed)
    walls, roofs = building_meshes(layout.buildings, FACADES, ROOFS, seed)
    trunks, crowns = tree_meshes(layout.trees, TREES, seed)
    meshes = {f"walls{n}": m for n, m in enumerate(walls)} | {f"roofs{n}": m for n, m in enumerate(roofs)}
    trees = [("trunks", trunks), *((f"crowns{n}", m) for n, m in enumerate(crowns))]
    meshes |= {name: next(iter(whole), Mesh()) for name, whole in trees}
    return Scene(
        seed, tuple(agents), frames, start_s, config, layout, draw_appearance(seed), populate(layout, seed, config),
        make_flights(seed, len(agents)), ground, land, meshes, real_time_factor,
    )  # fmt: skip


def world_sdf(scene: Scene) -> ET.Element:
    """The document's root; meshes and images are named relative to the file."""
    root = ET.Element("sdf", version=SDF_VERSION)
    world = add(root, "world", name=WORLD)
    _engine(world, scene.real_time_factor)
    _light(world, scene.appearance)
    _ground(world, scene)
    _static(world, scene)
    p = scene.population
    for index in range(p.parked):
        parked_model(world, index, p.specs[index], p.poses[0, index])
    shown = scene.frames + FUTURE_STEPS
    for index in range(p.parked, len(p.specs)):
        stays = trajectories(p, index, shown, 1.0 / scene.config.frame_rate_hz)
        moving_actor(world, index, p.specs[index], stays, scene.start_s)
    for agent, flight in zip(scene.agents, scene.flights, strict=True):
        uav_model(world, agent, scene.config, planned(flight, 0.0))
    return root


def _engine(world: ET.Element, real_time_factor: float) -> None:
    physics = add(world, "physics", name="steps", type="ignored")
    add(physics, "max_step_size", STEP_S)
    add(physics, "real_time_factor", real_time_factor)
    plugin(world, "physics", "Physics")
    plugin(world, "user-commands", "UserCommands")
    plugin(world, "scene-broadcaster", "SceneBroadcaster")
    plugin(world, "sensors", "Sensors", render_engine="ogre2")
    plugin(world, "imu", "Imu")
    add(world, "gravity", "0 0 -9.80665")


def _light(world: ET.Element, appearance: Appearance) -> None:
    scene = add(world, "scene")
    colour(scene, "ambient", appearance.sky)
    colour(scene, "background", (0.55, 0.68, 0.82))
    add(scene, "sky")
    add(scene, "shadows", True)
    add(scene, "grid", False)
    add(scene, "origin_visual", False)
    sun = add(world, "light", name="sun", type="directional")
    pose(sun, 150 * appearance.towards_sun)
    add(sun, "cast_shadows", True)
    colour(sun, "diffuse", appearance.sun)
    colour(sun, "specular", (0.15, 0.15, 0.15))
    add(sun, "direction", numbers(-appearance.towards_sun, 6))


def _ground(world: ET.Element, scene: Scene) -> None:
    """The painted square, the land around it, and a plane to stand on."""
    model = add(world, "model", name="ground")
    add(model, "static", True)
    link = add(model, "link", name="link")
    plane = add(add(add(link, "collision", name="plane"), "geometry"), "plane")
    add(plane, "normal", "0 0 1")
    add(plane, "size", numbers((2 * PAINTED_EXTENT_M, 2 * PAINTED_EXTENT_M)))
    _mesh_visual(link, "ground", albedo="textures/ground.jpg", shadows=False)
    land = add(link, "visual", name="land")
    pose(land, (0.0, 0.0, -0.3))
    add(add(add(land, "geometry"), "plane"), "size", numbers((LAND_M, LAND_M)))
    add(land, "cast_shadows", False)
    _matt(land, np.array(scene.land) / 255)


def _static(world: ET.Element, scene: Scene) -> None:
    """Buildings, each with its block to collide with, and trees."""
    buildings = add(world, "model", name="buildings")
    add(buildings, "static", True)
    link = add(buildings, "link", name="link")
    for n, b in enumerate(scene.layout.buildings):
        x0, y0, x1, y1 = b.footprint
        collision = add(link, "collision", name=f"building{n}")
        pose(collision, (0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.5 * b.height_m))
        size = numbers((x1 - x0, y1 - y0, b.height_m), 3)
        add(add(add(collision, "geometry"), "box"), "size", size)
    trees = add(world, "model", name="trees")
    add(trees, "static", True)
    green = add(trees, "link", name="link")
    appearance: list[tuple[ET.Element, str, str, NDArray[np.float64]]] = []
    appearance += [(link, f"walls{n}", f"textures/facade{n}.jpg", np.ones(3)) for n in range(FACADES)]
    appearance += [(link, f"roofs{n}", "", tone) for n, tone in enumerate(scene.appearance.roofs)]
    appearance += [(green, "trunks", "", np.array(BARK))]
    appearance += [(green, f"crowns{n}", "", tone) for n, tone in enumerate(scene.appearance.leaves)]
    for parent, name, albedo, rgb in appearance:
        if scene.meshes[name].faces:
            _mesh_visual(parent, name, albedo=albedo, rgb=rgb)


def _mesh_visual(
    link: ET.Element,
    name: str,
    *,
    albedo: str = "",
    rgb: NDArray[np.float64] | None = None,
    shadows: bool = True,
) -> None:
    visual = add(link, "visual", name=name)
    add(add(add(visual, "geometry"), "mesh"), "uri", f"meshes/{name}.obj")
    if not shadows:
        add(visual, "cast_shadows", False)
    _matt(visual, np.ones(3) if rgb is None else rgb, albedo)


def _matt(visual: ET.Element, rgb: NDArray[np.float64], albedo: str = "") -> None:
    """A rough surface of one colour or with an image."""
    material = add(visual, "material")
    colour(material, "ambient", rgb)
    colour(material, "diffuse", rgb)
    colour(material, "specular", (0.0, 0.0, 0.0))
    metal = add(add(material, "pbr"), "metal")
    if albedo:
        add(metal, "albedo_map", albedo)
    add(metal, "roughness", 1.0)
    add(metal, "metalness", 0.0)
