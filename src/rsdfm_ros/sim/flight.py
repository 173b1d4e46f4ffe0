"""Smooth UAV flights with a gimbal that holds a slowly drifting point near the origin."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import FlightConfig, Range

MIN_ALTITUDE_M, MAX_ALTITUDE_M = 30.0, 80.0


@dataclass(frozen=True)
class Flight:
    """One UAV's motion in closed form: it sweeps to and fro on an arc around its point of regard.

    Angles in rad, lengths in m, rates in rad/s; waves are (amplitude, rate, phase). Altitude counts from ground_m, the
    height of the ground at the point of regard.
    """

    pitch_rad: float
    azimuth_rad: float
    altitude_m: float
    target: tuple[float, float]
    sweep: tuple[float, float, float]
    climb: tuple[float, float, float]
    drift_x: tuple[float, float, float]
    drift_y: tuple[float, float, float]
    pitching: tuple[float, float, float]
    roll: tuple[float, float, float]
    ground_m: float = 0.0

    def T_map_camera(self, t_s: float) -> NDArray[np.float64]:
        """Pose (4, 4) of the optical frame (z forward, x right, y down) at mission time t_s."""
        tx, ty = self.target[0] + _wave(self.drift_x, t_s), self.target[1] + _wave(self.drift_y, t_s)
        azimuth = self.azimuth_rad + _wave(self.sweep, t_s)
        pitch = self.pitch_rad + _wave(self.pitching, t_s)
        z = self.altitude_m + _wave(self.climb, t_s)
        r = z / math.tan(pitch)
        position = np.array([tx + r * math.cos(azimuth), ty + r * math.sin(azimuth), z + self.ground_m])
        forward = np.array([tx, ty, self.ground_m]) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = math.cos(_wave(self.roll, t_s)), math.sin(_wave(self.roll, t_s))
        T = np.eye(4)
        T[:3, 0], T[:3, 1], T[:3, 2], T[:3, 3] = c * right + s * down, c * down - s * right, forward, position
        return T


def _wave(w: tuple[float, float, float], t: float) -> float:
    return w[0] * math.sin(w[1] * t + w[2])


@dataclass(frozen=True)
class _Manner:
    """Limits of the random values for a kind of motion: m, m/s, degrees, rad (sweep), rad/s (rates)."""

    speed_mps: Range
    sweep_rad: Range
    climb_m: Range
    climb_rate: Range
    drift_m: float
    drift_rate: Range
    pitching_deg: float
    pitching_rate: Range
    roll_deg: Range


_MANNERS = {
    "calm": _Manner(
        (2.5, 5.0), (0.3, 0.7), (0.3, 1.5), (0.1, 0.3), 2.0, (0.05, 0.15), 1.0, (0.03, 0.1), (0.5, 3)
    ),
    "lively": _Manner(
        (6.0, 14.0), (0.5, 1.5), (1.0, 5.0), (0.1, 0.4), 6.0, (0.1, 0.4), 3.0, (0.1, 0.4), (2, 8)
    ),
}
_ARCS = (*[1.0] * 20, *[0.3] * 40, *[0.05] * 140)
"""Share of its arc that a flight sweeps in each attempt to find one that is free: in the end it nearly hovers."""


def make_flights(
    seed: int,
    uavs: int,
    config: FlightConfig | None = None,
    free: Callable[[NDArray[np.float64]], bool] | None = None,
    ground: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
) -> tuple[Flight, ...]:
    """Flights of a mission; the azimuths are spread evenly, with jitter, around the origin.

    free: returns whether a UAV may be at all positions (N, 3) m; a flight that it refuses is drawn again, on
    shorter arcs in the end; the last of 200 is taken as it is · ground: its height (...) m at points (..., 2) of the
    map; None: 0.
    """
    config = config or FlightConfig()
    rng = np.random.default_rng([seed, 3])
    start = rng.uniform(0, 2 * math.pi)
    flights = []
    for n in range(uavs):
        for arc in _ARCS:
            flight = _draw(rng, start + 2 * math.pi * (n + float(rng.uniform(-0.25, 0.25))) / uavs, config)
            flight = replace(flight, sweep=(arc * flight.sweep[0], *flight.sweep[1:]))
            if ground is not None:
                flight = replace(flight, ground_m=float(ground(np.array(flight.target))))
            if free is None or free(_places(flight)):
                break
        flights.append(flight)
    return tuple(flights)


def _places(flight: Flight) -> NDArray[np.float64]:
    """Positions (N, 3) every half second of the longest mission."""
    return np.array([flight.T_map_camera(t)[:3, 3] for t in np.arange(0.0, 64.0, 0.5)])


def _draw(rng: np.random.Generator, azimuth: float, config: FlightConfig) -> Flight:
    manner = _MANNERS[config.motion]
    low, high = config.altitude_m or (MIN_ALTITUDE_M, MAX_ALTITUDE_M)

    def wave(amplitude: float, rates: Range) -> tuple[float, float, float]:
        return (amplitude, float(rng.uniform(*rates)), float(rng.uniform(0, 2 * math.pi)))

    climb = wave(min(float(rng.uniform(*manner.climb_m)), 0.5 * (high - low)), manner.climb_rate)
    margin = min(manner.climb_m[1], 0.5 * (high - low))
    altitude = float(rng.uniform(low + margin, high - margin))
    pitching = wave(math.radians(manner.pitching_deg), manner.pitching_rate)
    # cameras of low flights look flatter, so that one image still covers a good part of the square
    steepest = 42.0 + 17.0 * min(1.0, max(0.0, (altitude - 32.0) / 25.0))
    flattest = 36.0
    if config.pitch_deg is not None:
        a, b = config.pitch_deg
        swing = min(manner.pitching_deg, 0.5 * (b - a))
        pitching = (math.radians(swing), *pitching[1:])
        flattest, steepest = a + swing, b - swing
    pitch = math.radians(float(rng.uniform(flattest, steepest)))
    radius = altitude / math.tan(pitch)
    speed, amplitude = float(rng.uniform(*manner.speed_mps)), float(rng.uniform(*manner.sweep_rad))
    sweep = (amplitude, speed / (radius * amplitude), float(rng.uniform(0, 2 * math.pi)))
    reach = config.spread_m
    target = (float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach)))
    return Flight(
        pitch_rad=pitch,
        azimuth_rad=azimuth - sweep[0] * math.sin(sweep[2]),
        altitude_m=altitude,
        target=target,
        sweep=sweep,
        climb=climb,
        drift_x=wave(manner.drift_m, manner.drift_rate),
        drift_y=wave(manner.drift_m, manner.drift_rate),
        pitching=pitching,
        roll=wave(math.radians(float(rng.uniform(*manner.roll_deg))), (0.1, 0.5)),
    )
