"""Test scenes in which all UAVs fly at one altitude; everything else is as in the scene of that seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import UAVS
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.evaluation.scenes import CACHE
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim.config import TEST_SEEDS_FROM, SimConfig
from rsdfm_ros.sim.dataset.simulate import progress_bar, say_simulated, simulate_dataset
from rsdfm_ros.sim.flight import Flight, make_flights

ALTITUDES_M = (30, 50, 80)


def flights_at(altitude_m: float, seed: int, uavs: int) -> tuple[Flight, ...]:
    """The flights of a seed at another altitude: the same directions and points of regard, and the same pitch unless
    that is too steep to see much from there."""
    return tuple(_at(flight, altitude_m) for flight in make_flights(seed, uavs))


def _at(flight: Flight, altitude_m: float) -> Flight:
    amplitude, rate, phase = flight.sweep
    nearer = flight.altitude_m / altitude_m  # the same speed on a larger or smaller arc
    steepest = math.radians(
        42.0 + 17.0 * min(1.0, max(0.0, (altitude_m - 32.0) / 25.0))
    )  # as in sim/flight.py
    return dataclasses.replace(
        flight,
        altitude_m=float(altitude_m),
        pitch_rad=min(flight.pitch_rad, steepest),
        sweep=(amplitude, rate * nearer, phase),
    )


class WorldAt:
    """The world of a seed, seen from flights at one altitude."""

    def __init__(self, altitude_m: float, seed: int, uavs: int) -> None:
        from rsdfm_ros.sim.world import World

        self._world = World(seed, uavs=uavs)
        self._flights = flights_at(altitude_m, seed, uavs)

    def poses(self, k: int) -> Sequence[NDArray[np.float64]]:
        """T_map_camera (4, 4) of every UAV at frame k."""
        return [f.T_map_camera(k / self._world.config.frame_rate_hz) for f in self._flights]

    def frame(self, k: int, *, depth: bool = False, ids: bool = False) -> WorldFrame:
        """The k-th frame."""
        return self._world.frame(k, poses=self.poses(k), depth=depth, ids=ids)

    def layout_map(self) -> LayoutMap:
        """Roads and buildings."""
        return self._world.layout_map()

    def about(self) -> Mapping[str, str]:
        """Style, weather and terrain."""
        return self._world.about()

    def dem(self) -> HeightGrid | None:
        """None: the ground is flat."""
        return self._world.dem()

    def close(self) -> None:
        """Free the renderer."""
        self._world.close()


def simulated_at(altitude_m: int, scenes: int, frames: int) -> Path:
    """The folder of test scenes at an altitude; missing ones are made now."""
    folder = CACHE / f"eval-seed{TEST_SEEDS_FROM}-uavs{UAVS}-frames{frames}-altitude{altitude_m}"
    with progress_bar(scenes, frames) as progress:
        done = simulate_dataset(
            SimConfig(),
            folder,
            seed=TEST_SEEDS_FROM,
            scenes=scenes,
            uavs=UAVS,
            frames=frames,
            make_world=partial(WorldAt, altitude_m),
            progress=progress,
        )
    say_simulated(folder, done, scenes=scenes, frames=frames, uavs=UAVS)
    return folder
