"""Vehicles of a mission: the places of the parked ones and the routes of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import CORE_M, SimConfig
from rsdfm_ros.sim.lanes import lane_graph
from rsdfm_ros.sim.plan import Crowd, Layout
from rsdfm_ros.sim.traffic import drive
from rsdfm_ros.sim.variety.bodies import varied
from rsdfm_ros.sim.vehicles import VehicleSpec, draw_kind, make_vehicle

_TRIP_IDS = 1000


@dataclass(frozen=True)
class Population:
    """V vehicles over K frames; the parked ones come first.

    poses (K, V, 3) x y yaw · velocities (K, V, 2) m/s · ids (K, V) int64, 0 while a vehicle is away; a
    vehicle that comes back is a new object.
    """

    specs: tuple[VehicleSpec, ...]
    poses: NDArray[np.float64]
    velocities: NDArray[np.float64]
    ids: NDArray[np.int64]
    parked: int

    def turned(self, angle_rad: float) -> Population:
        """The same in a frame in which everything is turned about the origin."""
        if not angle_rad:
            return self
        c, s = math.cos(angle_rad), math.sin(angle_rad)
        R = np.array([[c, s], [-s, c]])
        poses = np.concatenate([self.poses[..., :2] @ R, self.poses[..., 2:] + angle_rad], -1)
        return replace(self, poses=poses, velocities=self.velocities @ R)


def populate(layout: Layout, seed: int, config: SimConfig, vehicles: int | None = None) -> Population:
    """Draws the vehicles of a seed and runs the traffic for config.max_frames frames.

    vehicles: intended number within CORE_M of the middle, as far as lanes and places have room; None: that of the
    layout's crowd.
    """
    rng = np.random.default_rng([seed, 2])
    crowd = layout.crowd if vehicles is None else _crowd_of(layout, vehicles)
    bodies = np.random.default_rng([seed, 27]) if config.world.bodies == "varied" else None
    parked, standing = _park(layout, rng, crowd, bodies)
    road = sum(_inside(s.start_m, s.end_m, s.across_m, 100.0) for s in layout.streets)
    core = sum(_inside(s.start_m, s.end_m, s.across_m, CORE_M) for s in layout.streets)
    moving_count = round(float(rng.uniform(*crowd.moving)) * road / max(core, 1.0))
    moving = [make_vehicle(rng, draw_kind(rng, crowd.shares)) for _ in range(moving_count)]
    if bodies is not None:
        moving = [varied(v, bodies) for v in moving]
    track = drive(lane_graph(layout), moving, seed, config.max_frames, 1.0 / config.frame_rate_hz)
    k = config.max_frames
    poses = np.concatenate([np.broadcast_to(standing, (k, len(parked), 3)), track.poses], axis=1)
    velocities = np.concatenate([np.zeros((k, len(parked), 2)), track.velocities], axis=1)
    number = np.arange(1, len(parked) + len(moving) + 1)
    still = np.broadcast_to(number[: len(parked)], (k, len(parked)))
    going = np.where(track.trips > 0, number[len(parked) :] + _TRIP_IDS * (track.trips - 1), 0)
    ids = np.concatenate([still, going], axis=1).astype(np.int64)
    return Population(tuple(parked + moving), poses, velocities, ids, len(parked))


def _crowd_of(layout: Layout, vehicles: int) -> Crowd:
    """As many vehicles as asked, in the proportions of the layout; vehicles beyond the room of lanes or places go
    elsewhere."""
    usual = [0.5 * sum(r) for r in (layout.crowd.kerb, layout.crowd.bays, layout.crowd.moving)]
    near = [p for p in layout.places if max(abs(p.x), abs(p.y)) < CORE_M]
    lanes = sum(2 * s.road.lanes * _inside(s.start_m, s.end_m, s.across_m, CORE_M) for s in layout.streets)
    room = [0.95 * sum(p.kerb for p in near), 0.95 * sum(not p.kerb for p in near), lanes / 14.0]
    numbers = [0.0, 0.0, 0.0]
    for _ in range(4):
        left = vehicles - sum(numbers)
        open_ = [n for n in range(3) if numbers[n] < room[n]]
        weight = sum(usual[n] + 0.5 for n in open_)
        for n in open_:
            numbers[n] = min(room[n], numbers[n] + left * (usual[n] + 0.5) / weight)
    kerb, bays, moving = ((n, n) for n in numbers)
    return replace(layout.crowd, kerb=kerb, bays=bays, moving=moving)


def _inside(start: float, end: float, across: float, extent: float) -> float:
    """Length of a street within the square of +-extent."""
    return max(0.0, min(end, extent) - max(start, -extent)) if abs(across) < extent else 0.0


def _park(
    layout: Layout, rng: np.random.Generator, crowd: Crowd, bodies: np.random.Generator | None
) -> tuple[list[VehicleSpec], NDArray[np.float64]]:
    """Fills a random part of the parking places; bodies: draws other bodies than the basic ones."""
    wanted = {True: float(rng.uniform(*crowd.kerb)), False: float(rng.uniform(*crowd.bays))}
    core = {
        kerb: sum(p.kerb == kerb and max(abs(p.x), abs(p.y)) < CORE_M for p in layout.places)
        for kerb in wanted
    }
    specs: list[VehicleSpec] = []
    poses: list[tuple[float, float, float]] = []
    for p in layout.places:
        fill = min(0.95 if crowd is not layout.crowd else 0.85, wanted[p.kerb] / max(core[p.kerb], 1))
        if max(abs(p.x), abs(p.y)) > 98 or rng.random() > fill:
            continue
        if p.length_m > 13:
            kind = int(rng.choice(4, p=[0.1, 0.1, 0.3, 0.5]))
        elif p.length_m > 9:
            kind = int(rng.choice(3, p=[0.1, 0.2, 0.7]))
        else:
            kind = int(rng.choice(2, p=[0.77, 0.23]))
        v = make_vehicle(rng, kind)
        if bodies is not None:
            v = varied(v, bodies, p.length_m - 0.4)
        yaw = p.yaw + float(rng.normal(0, 0.015))
        if not p.kerb and p.length_m < 9 and rng.random() < 0.35:
            yaw += math.pi
        slack = max(0.0, 0.5 * (p.length_m - v.size[0]) - 0.25)
        shift = float(rng.uniform(-slack, slack))
        poses.append((p.x + shift * math.cos(yaw), p.y + shift * math.sin(yaw), yaw))
        specs.append(v)
    return specs, np.array(poses).reshape(-1, 3)
