"""A simulated mission: any frame of it, rendered, with exact ground truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim.camera.culling import OPTICAL_TO_GL
from rsdfm_ros.sim.camera.image import Images, Lens, between
from rsdfm_ros.sim.camera.renderer import Raw, Renderer
from rsdfm_ros.sim.camera.truth import silhouette_areas, visibility
from rsdfm_ros.sim.config import DEFAULT_UAVS, MAX_UAVS, Camera, FlightConfig, SimConfig, draw_cameras
from rsdfm_ros.sim.draw import Draw, draw_world
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.layout_map import layout_map
from rsdfm_ros.sim.people import draw_people, poses
from rsdfm_ros.sim.plan import Clutter, Layout
from rsdfm_ros.sim.population import populate
from rsdfm_ros.sim.scene import build_scene
from rsdfm_ros.sim.styles import make_plan
from rsdfm_ros.sim.styles.kit import lit, walks
from rsdfm_ros.sim.terrain import Terrain, make_terrain
from rsdfm_ros.sim.variety.distractors import with_distractors

CLEARANCE_M = 6.0
"""Least distance of a UAV from buildings, so that the near plane of its camera cuts none."""
_AWAY = np.array([0.0, 0.0, -100.0])


class World:
    """The mission of a seed: layout, traffic and flights are pure functions of the seed, the configuration and the
    time.

    Frames may be asked for in any order; the same seed and frame give the same pixels. Close it (or use it as
    a context manager) to free the renderer.
    """

    def __init__(self, seed: int, uavs: int = DEFAULT_UAVS, config: SimConfig | None = None) -> None:
        if not 1 <= uavs <= MAX_UAVS:
            raise ValueError(f"uavs must be between 1 and {MAX_UAVS}, not {uavs}")
        self.seed = seed
        self.config = config or SimConfig()
        self.agents: tuple[str, ...] = tuple(f"uav{n + 1}" for n in range(uavs))
        self.draw: Draw = draw_world(seed, self.config.world)
        turn = self.draw.turn_rad
        self._layout = make_plan(seed, self.draw.style)
        self._layout, tall = with_distractors(self._layout, self.draw.distractors, seed)
        self._terrain = make_terrain(seed, self.draw.terrain)
        if self.draw.weather == "night":
            self._layout = lit(self._layout)
        self._population = populate(self._layout, seed, self.config, self.draw.vehicles).turned(turn)
        ways = self._layout.walks or walks(self._layout.streets)
        self._people = draw_people(ways, self.draw.people, seed)
        self.cameras: tuple[Camera, ...] = draw_cameras(seed, uavs, self.config)
        flight, standard = self.config.flight, self.config.flight == FlightConfig()
        free = None if standard else partial(_clear_of_buildings, self._layout, turn, self._terrain, tall)
        self._flights = make_flights(
            seed, uavs, flight, free, None if self._terrain is None else self._ground
        )
        fovs = dict(zip(self.agents, (c.vertical_fov_rad for c in self.cameras), strict=True))
        self._scene = build_scene(
            self._layout, self._population.specs, fovs, seed, self.config, weather=self.draw.weather,
            people=self._people, turn_rad=turn, sky=_sees_horizon(self.config, fovs.values()),
            terrain=self._terrain, season=self.draw.season, textures=self.draw.textures,
        )  # fmt: skip
        self._images = Images(self.draw, self._layout, self._population, self._scene, seed, self._terrain)
        self._data = mujoco.MjData(self._scene.model)
        self._renderer: Renderer | None = None
        self._sizes = np.array([v.size for v in self._population.specs]).reshape(-1, 3)
        self._kinds = np.array([v.kind for v in self._population.specs], np.int64)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def about(self) -> dict[str, str]:
        """Style, weather and terrain of this world, by these names."""
        return self.draw.words

    def dem(self) -> HeightGrid | None:
        """The ground in the map frame; None where it is flat at z = 0."""
        return None if self._terrain is None else self._terrain.dem(self.draw.turn_rad)

    def layout(self) -> Layout:
        """Streets, buildings, trees and parking places, in the frame of the plan (draw.turn_rad)."""
        return self._layout

    def layout_map(self) -> LayoutMap:
        """Roads and buildings as a raster."""
        return layout_map(self._layout, self.draw.turn_rad)

    def poses(self, k: int) -> list[NDArray[np.float64]]:
        """T_map_camera (4, 4) of every agent at frame k."""
        return [f.T_map_camera(k / self.config.frame_rate_hz) for f in self._flights]

    def objects(self, k: int) -> Objects:
        """All objects at frame k without rendering; visibility is zero."""
        return self._objects(k)[0]

    def frame(
        self,
        k: int,
        *,
        poses: Sequence[NDArray[np.float64]] | None = None,
        depth: bool = False,
        ids: bool = False,
    ) -> WorldFrame:
        """Renders frame k for all agents, from their flights or from `poses`; depth and id images on request.

        0 <= k < config.max_frames, else ValueError. Depth is float32 metres along the optical axis, 0 where
        nothing was hit; ids are object ids, also of
        vehicles too far away to be reported, 0 for everything else.
        """
        objects, index = self._objects(k)
        poses = self.poses(k) if poses is None else poses
        self._move(k, poses)
        number = np.zeros(len(self._population.specs) + 1, np.int32)
        number[:-1] = self._population.ids[k]
        views, shares = [], np.zeros((len(objects), len(self.agents)))
        for a, (agent, T) in enumerate(zip(self.agents, poses, strict=True)):
            camera = int(self._scene.camera_ids[a])
            raw = self._render(camera, image=True, depth=depth or self._images.needs_depth)
            vehicle = self._scene.geom_vehicle_or_none[raw.geom]
            shares[:, a] = self._shares(objects, index, vehicle, a, T)
            lens = self._lens(k, a, T)
            image = self._images.take(raw, lens, k, k / self.config.frame_rate_hz, a)
            distance = raw.depth if depth else None
            views.append(
                CameraView(agent, image, lens.K, T, depth=distance, ids=number[vehicle] if ids else None)
            )
        stamp_ns = round(k * 1e9 / self.config.frame_rate_hz)
        return WorldFrame(k, stamp_ns, tuple(views), replace(objects, visibility=shares))

    def seen(self, k: int, poses: Mapping[str, NDArray[np.float64]]) -> Objects:
        """All objects at frame k with the visibility from cameras at `poses` (T_map_camera by agent), independent of
        the agents' own flights; zero for agents without a pose. Raises: ValueError as `frame`.
        """
        objects, index = self._objects(k)
        flights = self.poses(k)
        self._move(k, [poses.get(agent, T) for agent, T in zip(self.agents, flights, strict=True)])
        shares = np.zeros((len(objects), len(self.agents)))
        for a, agent in enumerate(self.agents):
            if agent in poses:
                raw = self._render(int(self._scene.camera_ids[a]), image=False, depth=False)
                vehicle = self._scene.geom_vehicle_or_none[raw.geom]
                shares[:, a] = self._shares(objects, index, vehicle, a, poses[agent])
        return replace(objects, visibility=shares)

    def _shares(
        self,
        objects: Objects,
        index: NDArray[np.int64],
        vehicle: NDArray[np.int64],
        agent: int,
        T: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Share (N,) of every object's silhouette among the pixels that show the vehicles of `index`."""
        camera = self.cameras[agent]
        count = len(self._population.specs) + 1
        pixels = np.bincount(vehicle.ravel() + 1, minlength=count)[1:][index].astype(np.float64)
        corners = box_corners(objects.centres, objects.sizes, objects.yaws)
        areas = silhouette_areas(corners, camera.K, T, camera.width_px, camera.height_px)
        return visibility(pixels, areas, objects.classes)

    def _objects(self, k: int) -> tuple[Objects, NDArray[np.int64]]:
        """Objects inside the labelled square and their vehicle indices."""
        if not 0 <= k < self.config.max_frames:
            raise ValueError(
                f"frame {k} is outside the mission of {self.config.max_frames} frames (config.max_frames)"
            )
        p = self._population
        near = np.abs(p.poses[k, :, :2]).max(1) <= self.config.label_extent_m
        index = np.flatnonzero((p.ids[k] > 0) & near)
        sizes, pose = self._sizes[index], p.poses[k, index]
        centres = np.column_stack([pose[:, :2], self._underside(k)[index] + 0.5 * sizes[:, 2]])
        yaws = (pose[:, 2] + math.pi) % (2 * math.pi) - math.pi
        shares = np.zeros((len(index), len(self.agents)))
        return Objects(
            p.ids[k, index], self._kinds[index], centres, sizes, yaws, p.velocities[k, index], shares
        ), index

    def _move(self, k: int, poses: Sequence[NDArray[np.float64]]) -> None:
        """Puts vehicles and cameras where they are at frame k."""
        p, d, s = self._population, self._data, self._scene
        here = p.ids[k] > 0
        xyz = np.column_stack([p.poses[k, :, :2], self._underside(k)])
        d.mocap_pos[s.vehicle_mocap] = np.where(here[:, None], xyz, _AWAY)
        half = 0.5 * p.poses[k, :, 2]
        d.mocap_quat[s.vehicle_mocap] = np.column_stack([np.cos(half), 0 * half, 0 * half, np.sin(half)])
        if len(self._people):
            self._move_people(k)
        quat = np.empty(4)
        for m, T in zip(s.camera_mocap, poses, strict=True):
            mujoco.mju_mat2Quat(quat, (T[:3, :3] @ OPTICAL_TO_GL).ravel())
            d.mocap_pos[m], d.mocap_quat[m] = T[:3, 3], quat
        mujoco.mj_kinematics(s.model, d)
        mujoco.mj_comPos(s.model, d)
        mujoco.mj_camlight(s.model, d)

    def _ground(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height (...) m of the ground at points (..., 2) of the map."""
        if self._terrain is None:
            return np.zeros(np.shape(xy)[:-1])
        c, s = math.cos(self.draw.turn_rad), math.sin(self.draw.turn_rad)
        return self._terrain.height(xy @ np.array([[c, -s], [s, c]]))

    def _underside(self, k: int) -> NDArray[np.float64]:
        """Height (V,) m at which every vehicle stands upright: the mean of the ground below its axles."""
        if self._terrain is None:
            return np.zeros(len(self._population.specs))
        pose = self._population.poses[k]
        reach = 0.3 * self._sizes[:, :1] * np.column_stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])])
        return 0.5 * (self._ground(pose[:, :2] + reach) + self._ground(pose[:, :2] - reach))

    def _move_people(self, k: int) -> None:
        at = poses(self._people, k / self.config.frame_rate_hz)
        c, s = math.cos(self.draw.turn_rad), math.sin(self.draw.turn_rad)
        xy = at[:, :2] @ np.array([[c, s], [-s, c]])
        self._data.mocap_pos[self._scene.people_mocap] = np.column_stack([xy, self._ground(xy)])
        half = 0.5 * (at[:, 2] + self.draw.turn_rad)
        quats = np.column_stack([np.cos(half), 0 * half, 0 * half, np.sin(half)])
        self._data.mocap_quat[self._scene.people_mocap] = quats

    def _lens(self, k: int, agent: int, T: NDArray[np.float64]) -> Lens:
        """A camera at frame k at pose T, that moves as its flight would."""
        moves = np.eye(4)
        if self._images.exposure_s > 0:
            t, half = k / self.config.frame_rate_hz, 0.5 * self._images.exposure_s
            flight = self._flights[agent]
            moves = between(flight.T_map_camera(t - half), flight.T_map_camera(t + half))
        return Lens(self.cameras[agent].K, T, moves)

    def _render(self, camera: int, *, image: bool, depth: bool) -> Raw:
        """Render a camera; image and depth are empty unless asked for."""
        if self._renderer is None:
            self._renderer = Renderer(self._scene, self.config.width_px, self.config.height_px)
        return self._renderer.render(self._data, camera, image=image, depth=depth)


def _sees_horizon(config: SimConfig, vertical_fovs_rad: Iterable[float]) -> bool:
    """Whether a camera may look above the horizon, with some degrees to spare for rolling."""
    flattest = (config.flight.pitch_deg or (35.0, 60.0))[0]
    return math.degrees(max(vertical_fovs_rad)) / 2 + 8.0 > flattest


def _clear_of_buildings(
    layout: Layout,
    turn_rad: float,
    terrain: Terrain | None,
    tall: tuple[Clutter, ...],
    positions: NDArray[np.float64],
) -> bool:
    """Whether positions (N, 3) m keep some metres from every building, tree and tall distractor of a plan that is
    turned."""
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    x, y, z = positions.T
    x, y = c * x + s * y, c * y - s * x
    z = z if terrain is None else z - terrain.height(np.column_stack([x, y]))
    for b in layout.buildings:
        x0, y0, x1, y1 = b.footprint
        near = (
            (x > x0 - CLEARANCE_M) & (x < x1 + CLEARANCE_M) & (y > y0 - CLEARANCE_M) & (y < y1 + CLEARANCE_M)
        )
        if np.any(near & (z < b.top_m + CLEARANCE_M)):
            return False
    for thing in tall:
        reach = 0.5 * math.hypot(thing.length_m, thing.width_m) + CLEARANCE_M
        top = thing.z_m + thing.height_m + CLEARANCE_M
        if np.any((np.hypot(x - thing.x, y - thing.y) < reach) & (z < top)):
            return False
    return all(
        not np.any(
            (np.hypot(x - t.x, y - t.y) < t.crown_radius_m + CLEARANCE_M) & (z < t.height_m + CLEARANCE_M)
        )
        for t in layout.trees
    )
