"""Builds the MuJoCo model of a mission: ground, buildings, trees, vehicles, light and cameras."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.appearance import (
    BARK,
    FACADES,
    ROOFS,
    TREES,
    Appearance,
    draw_appearance,
    light_of,
)
from rsdfm_ros.sim.config import PAINTED_EXTENT_M, SimConfig
from rsdfm_ros.sim.facades import FACADE_PX
from rsdfm_ros.sim.ground import GROUND_PX, Image, paint_ground
from rsdfm_ros.sim.meshes import Ground, Mesh, building_meshes, clutter_meshes, flat, tree_meshes
from rsdfm_ros.sim.people import Person, body
from rsdfm_ros.sim.plan import Layout
from rsdfm_ros.sim.terrain import Terrain
from rsdfm_ros.sim.variety.bodies import vehicle_parts
from rsdfm_ros.sim.variety.seasons import clutter_colours, season_ground, season_of
from rsdfm_ros.sim.variety.textures import ROOF_M, natural_ground, natural_roof, natural_wall
from rsdfm_ros.sim.vehicles import HEADLIGHT, REAR_LIGHT, Part, VehicleSpec

Z_NEAR_M, Z_FAR_M = 5.0, 700.0
_EXTENT_M = 100.0
LAND_M = -0.3
"""Height of the land around flat painted ground."""
TREE_TILE_M = 40.0
"""Trees are drawn in squares of this size, most of which a camera does not see."""


@dataclass(frozen=True)
class Scene:
    """A compiled model with the addresses that a frame needs.

    vehicle_mocap (V,), camera_mocap (A,): rows of mocap_pos · camera_ids (A,) · geom_vehicle (G,) vehicle
    index of every geom, -1 for the rest · people_mocap (P,): rows of mocap_pos · glow (G + 1,): 1 for headlights, 2 for
    rear lights · walls (G + 1,): facades; the last entries are for pixels without a geom · lowest_m: height of the
    lowest ground.
    """

    model: mujoco.MjModel
    vehicle_mocap: NDArray[np.int64]
    camera_mocap: NDArray[np.int64]
    camera_ids: NDArray[np.int64]
    geom_vehicle: NDArray[np.int64]
    people_mocap: NDArray[np.int64]
    glow: NDArray[np.int64]
    walls: NDArray[np.bool_]
    lowest_m: float

    @property
    def geom_vehicle_or_none(self) -> NDArray[np.int64]:
        """`geom_vehicle` with a last entry of -1, for pixels without a geom."""
        return np.append(self.geom_vehicle, -1)


@dataclass(frozen=True)
class Look:
    """A name of config.SEASONS, and whether ground, roofs and walls have natural textures."""

    season: str
    natural: bool


def build_scene(
    layout: Layout,
    vehicles: tuple[VehicleSpec, ...],
    vertical_fovs_rad: Mapping[str, float],
    seed: int,
    config: SimConfig,
    *,
    weather: str = "clear",
    people: tuple[Person, ...] = (),
    turn_rad: float = 0.0,
    sky: bool = False,
    terrain: Terrain | None = None,
    season: str = "summer",
    textures: str = "plain",
) -> Scene:
    """Compiles the world of a seed, with a camera for every agent that vertical_fovs_rad names.

    turn_rad: of everything static, about the vertical · sky: whether a camera may see above the horizon.
    """
    appearance = season_of(light_of(draw_appearance(seed, layout.palette), weather, seed), season, seed)
    look = Look(season, textures == "natural")
    spec = mujoco.MjSpec()
    spec.visual.map.znear, spec.visual.map.zfar = Z_NEAR_M / _EXTENT_M, Z_FAR_M / _EXTENT_M
    spec.stat.extent, spec.stat.center = _EXTENT_M, [0.0, 0.0, 0.0]
    spec.visual.map.shadowclip = 1.15
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 1280, config.samples
    spec.visual.quality.numquads = 1  # boxes are flat: nothing to subdivide
    spec.visual.global_.offwidth, spec.visual.global_.offheight = config.width_px, config.height_px
    if turn_rad:
        spec.worldbody.add_body(name="plan", quat=[math.cos(0.5 * turn_rad), 0, 0, math.sin(0.5 * turn_rad)])
    if sky:
        _sky(spec)
    _light(spec, appearance)
    _ground(spec, layout, seed, terrain, look)
    _static(spec, layout, seed, appearance, None if terrain is None else terrain.height, look)
    names = _vehicles(spec, vehicles)
    walkers = _people(spec, people)
    for agent, fov in vertical_fovs_rad.items():
        body = spec.worldbody.add_body(name=agent, mocap=True, pos=[0, 0, 50])
        body.add_camera(name=agent, fovy=math.degrees(fov))
    model = spec.compile()
    bodies = np.array([model.body(n).id for n in names], np.int64)
    owner = np.full(model.nbody, -1, np.int64)
    owner[bodies] = np.arange(len(bodies))
    return Scene(
        model,
        model.body_mocapid[bodies].astype(np.int64),
        np.array([model.body(a).mocapid[0] for a in vertical_fovs_rad], np.int64),
        np.array([model.camera(a).id for a in vertical_fovs_rad], np.int64),
        owner[model.geom_bodyid],
        np.array([model.body(n).mocapid[0] for n in walkers], np.int64),
        _glowing(model, owner[model.geom_bodyid]),
        np.array([*(_material_of(model, g).startswith("facade") for g in range(model.ngeom)), False]),
        LAND_M if terrain is None else float(terrain.grid.heights.min()),
    )


def _glowing(model: mujoco.MjModel, vehicle: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 for headlights, 2 for rear lights, 0 for every other geom and, at the end, for no geom."""
    rgb = model.geom_rgba[:, :3]
    kinds = [np.isclose(rgb, colour, atol=1e-4).all(1) & (vehicle >= 0) for colour in (HEADLIGHT, REAR_LIGHT)]
    return np.append(kinds[0] + 2 * kinds[1], 0).astype(np.int64)


def _material_of(model: mujoco.MjModel, geom: int) -> str:
    number = int(model.geom_matid[geom])
    return model.material(number).name if number >= 0 else ""


def _light(spec: mujoco.MjSpec, appearance: Appearance) -> None:
    """The sun, and light from the sky."""
    towards = appearance.towards_sun
    spec.worldbody.add_light(
        name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=150 * towards, dir=-towards,
        diffuse=appearance.sun, ambient=[0, 0, 0], specular=appearance.shine * np.ones(3),
        castshadow=appearance.shadows,
    )  # fmt: skip
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = appearance.sky, 0.10 * np.ones(3)
    spec.visual.headlight.specular = np.zeros(3)


def _texture(spec: mujoco.MjSpec, name: str, image: Image) -> None:
    texture = spec.add_texture(
        name=name,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        width=image.shape[1],
        height=image.shape[0],
        nchannel=3,
    )
    texture.data = np.ascontiguousarray(image).tobytes()
    textures = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name
    material = spec.add_material(name=name, specular=0.0, shininess=0.0, texrepeat=[1, 1])
    material.textures = textures


def _sky(spec: mujoco.MjSpec) -> None:
    """Blue above, pale at the horizon."""
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.36, 0.53, 0.78], rgb2=[0.82, 0.86, 0.90], width=256, height=256,
    )  # fmt: skip


def _plan(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Body that carries everything static."""
    return spec.body("plan") or spec.worldbody


def _geom(parent: mujoco.MjsBody, kind: mujoco.mjtGeom, **more: object) -> None:
    parent.add_geom(type=kind, contype=0, conaffinity=0, **more)


def _ground(spec: mujoco.MjSpec, layout: Layout, seed: int, terrain: Terrain | None, look: Look) -> None:
    image, land = paint_ground(layout, seed)
    if look.natural:
        image = natural_ground(image, layout, seed)
    image, land = season_ground(image, land, layout, look.season, seed)
    assert image.shape == (GROUND_PX, GROUND_PX, 3)
    _texture(spec, "ground", image)  # row 0 of a plane's texture is its north edge
    rgba = [c / 255 for c in land] + [1.0]
    spec.add_material(name="land", specular=0.0, shininess=0.0, rgba=rgba)
    if terrain is not None:
        for name, mesh in zip(("ground", "land"), terrain.meshes(), strict=True):
            _mesh(spec, name, mesh, name)
        return
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    e = PAINTED_EXTENT_M
    _geom(_plan(spec), plane, size=[e, e, 10], material="ground")
    _geom(spec.worldbody, plane, size=[600, 600, 50], pos=[0, 0, LAND_M], material="land")


def _mesh(spec: mujoco.MjSpec, name: str, mesh: Mesh, material: str) -> None:
    if not mesh.faces:
        return
    m = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    m.uservert, m.usernormal, m.usertexcoord = flat(mesh.vertices), flat(mesh.normals), flat(mesh.uvs)
    m.userface = np.asarray(mesh.faces, np.int32).reshape(-1)
    _geom(_plan(spec), mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=material)


def _static(
    spec: mujoco.MjSpec,
    layout: Layout,
    seed: int,
    appearance: Appearance,
    ground: Ground | None,
    look: Look,
) -> None:
    """Buildings and trees."""
    rng = np.random.default_rng([seed, 44])
    walls, roofs = building_meshes(layout.buildings, FACADES, ROOFS, seed, ground)
    for n, (mesh, facade) in enumerate(zip(walls, appearance.facades, strict=True)):
        assert facade.shape[0] == FACADE_PX
        _texture(spec, f"facade{n}", natural_wall(facade, rng) if look.natural else facade)
        _mesh(spec, f"walls{n}", mesh, f"facade{n}")
    for n, (mesh, tone) in enumerate(zip(roofs, appearance.roofs, strict=True)):
        if look.natural:
            _texture(spec, f"roof{n}", natural_roof(tone, rng))
            mesh.uvs = [(x / ROOF_M, y / ROOF_M) for x, y, _ in mesh.vertices]
        else:
            spec.add_material(name=f"roof{n}", specular=0.0, shininess=0.0, rgba=[*tone, 1.0])
        _mesh(spec, f"roofs{n}", mesh, f"roof{n}")
    trunks, crowns = tree_meshes(layout.trees, TREES, seed, ground, TREE_TILE_M)
    spec.add_material(name="bark", specular=0.0, shininess=0.0, rgba=[*BARK, 1])
    for tile, mesh in enumerate(trunks):
        _mesh(spec, f"trunks{tile}", mesh, "bark")
    for n, (meshes, green) in enumerate(zip(crowns, appearance.leaves, strict=True)):
        spec.add_material(name=f"leaves{n}", specular=0.0, shininess=0.0, rgba=[*green, 1.0])
        for tile, mesh in enumerate(meshes):
            _mesh(spec, f"crowns{n}-{tile}", mesh, f"leaves{n}")
    for name, mesh in clutter_meshes(layout.clutter, ground).items():
        rgba = [*clutter_colours(look.season)[name], 1.0]
        spec.add_material(name=f"clutter-{name}", specular=0.0, shininess=0.0, rgba=rgba)
        _mesh(spec, f"clutter-{name}", mesh, f"clutter-{name}")


def _vehicles(spec: mujoco.MjSpec, vehicles: tuple[VehicleSpec, ...]) -> list[str]:
    spec.add_material(name="paint", specular=0.4, shininess=0.5, rgba=[1, 1, 1, 1])
    names = []
    for n, v in enumerate(vehicles):
        names.append(f"vehicle{n}")
        body = spec.worldbody.add_body(name=names[-1], mocap=True, pos=[0, 0, -100])
        _boxes(body, vehicle_parts(v), "paint")
    return names


def _boxes(body: mujoco.MjsBody, boxes: list[Part], material: str) -> None:
    for p in boxes:
        low, high = np.array(p.low), np.array(p.high)
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        _geom(body, mujoco.mjtGeom.mjGEOM_BOX, pos=middle, size=half, rgba=[*p.rgb, 1.0], material=material)


def _people(spec: mujoco.MjSpec, people: tuple[Person, ...]) -> list[str]:
    names = []
    if people:
        spec.add_material(name="cloth", specular=0.0, shininess=0.0, rgba=[1, 1, 1, 1])
    for n, person in enumerate(people):
        names.append(f"person{n}")
        _boxes(spec.worldbody.add_body(name=names[-1], mocap=True, pos=[0, 0, -100]), body(person), "cloth")
    return names
