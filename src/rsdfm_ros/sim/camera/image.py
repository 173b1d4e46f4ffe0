"""Camera images from rendered ones: weather, motion blur, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.rotations import inverse
from rsdfm_ros.sim.camera.renderer import Raw
from rsdfm_ros.sim.camera.sensor import motion_blur, noise
from rsdfm_ros.sim.camera.weather import Car, RenderedImage, Weather
from rsdfm_ros.sim.draw import Draw
from rsdfm_ros.sim.plan import Layout
from rsdfm_ros.sim.population import Population
from rsdfm_ros.sim.scene import Scene
from rsdfm_ros.sim.terrain import Terrain


@dataclass(frozen=True)
class Lens:
    """Calibration and pose of a camera: K (3, 3), T_map_camera (4, 4), its pose at the end of the exposure in that at
    the start."""

    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    T_before_after: NDArray[np.float64]


class Images:
    """Makes the images of a mission; with clear weather, no exposure and no noise they stay as rendered."""

    def __init__(
        self,
        draw: Draw,
        layout: Layout,
        population: Population,
        scene: Scene,
        seed: int,
        terrain: Terrain | None = None,
    ) -> None:
        self._draw, self._population, self._scene, self._seed = draw, population, scene, seed
        self._terrain = terrain
        self._weather = Weather(draw.weather, layout, seed, None if terrain is None else terrain.height)
        c, s = math.cos(draw.turn_rad), math.sin(draw.turn_rad)
        self._T_plan_map = np.eye(4)
        self._T_plan_map[:2, :2] = [[c, s], [-s, c]]

    @property
    def needs_depth(self) -> bool:
        """Whether :meth:`take` uses depth; if not, it may be empty."""
        return self._weather.needs_depth or self._draw.blur_s > 0

    @property
    def exposure_s(self) -> float:
        return self._draw.blur_s

    def take(self, raw: Raw, lens: Lens, k: int, t_s: float, agent: int) -> NDArray[np.uint8]:
        """The image of one camera at frame k, mission time t_s."""
        image = raw.image
        if self._weather.needs_depth:
            image = self._weather.apply(
                self._rendered(raw, lens), self._cars(k), self._glow(k), self._scene.walls
            )
        if self._draw.blur_s > 0:
            image = motion_blur(image, raw.depth, lens.K, lens.T_before_after, self._moved(raw, lens, k))
        if self._draw.noise > 0:
            strength = self._draw.noise * (1.8 if self._draw.weather == "night" else 1.0)
            image = noise(image, strength, np.random.default_rng([self._seed, 24, round(1000 * t_s), agent]))
        return image

    def _rendered(self, raw: Raw, lens: Lens) -> RenderedImage:
        T = self._T_plan_map @ lens.T_map_camera
        h, w = raw.depth.shape
        f, cx, cy = (np.float32(v) for v in (lens.K[0, 0], lens.K[0, 2], lens.K[1, 2]))
        x = (np.arange(w, dtype=np.float32) + np.float32(0.5) - cx) / f * raw.depth
        y = (np.arange(h, dtype=np.float32)[:, None] + np.float32(0.5) - cy) / f * raw.depth
        points = np.stack([x, y, raw.depth], -1) @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(
            np.float32
        )
        height = (
            points[..., 2] if self._terrain is None else points[..., 2] - self._terrain.heights_of(points)
        )
        return RenderedImage(raw.image, raw.depth, points, height, raw.geom, lens.K, T)

    def _cars(self, k: int) -> list[Car]:
        p = self._population
        here = np.flatnonzero(p.ids[k] > 0)
        plan = p.poses[k, here, :2] @ self._T_plan_map[:2, :2].T
        yaws = p.poses[k, here, 2] - self._draw.turn_rad
        return [
            Car((float(x), float(y), float(yaw)), p.specs[n].size, bool(n >= p.parked))
            for n, (x, y), yaw in zip(here, plan, yaws, strict=True)
        ]

    def _glow(self, k: int) -> NDArray[np.int64]:
        vehicle = np.append(self._scene.geom_vehicle, -1)
        lit = (vehicle >= self._population.parked) & (vehicle >= 0)
        return np.where(lit, self._scene.glow, 0)

    def _moved(self, raw: Raw, lens: Lens, k: int) -> NDArray[np.float32]:
        """Motion of each pixel's surface point during the exposure, in camera axes (H, W, 3) m."""
        v = np.zeros((len(self._population.specs) + 1, 3))
        v[:-1, :2] = self._population.velocities[k] * (self._population.ids[k] > 0)[:, None]
        by_vehicle = (self._draw.blur_s * v @ lens.T_map_camera[:3, :3]).astype(np.float32)
        vehicle = np.append(self._scene.geom_vehicle, -1)[raw.geom]
        return np.asarray(by_vehicle[vehicle], np.float32)


def between(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pose `after` (4, 4) in the frame of the pose `before`."""
    return np.asarray(inverse(before) @ after)
