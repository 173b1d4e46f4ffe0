"""Smooth UAV flights with a gimbal that holds a slowly drifting point near the origin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_ALTITUDE_M, MAX_ALTITUDE_M = 30.0, 80.0
MIN_PITCH_RAD, MAX_PITCH_RAD = math.radians(35.0), math.radians(60.0)


@dataclass(frozen=True)
class Flight:
    """One UAV's motion in closed form: it sweeps to and fro on an arc around its point of regard.

    Angles in rad, lengths in m, rates in rad/s; waves are (amplitude, rate, phase).
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

    def T_map_camera(self, t_s: float) -> NDArray[np.float64]:
        """Pose (4, 4) of the optical frame (z forward, x right, y down) at mission time t_s."""
        tx, ty = self.target[0] + _wave(self.drift_x, t_s), self.target[1] + _wave(self.drift_y, t_s)
        azimuth = self.azimuth_rad + _wave(self.sweep, t_s)
        pitch = self.pitch_rad + _wave(self.pitching, t_s)
        z = self.altitude_m + _wave(self.climb, t_s)
        r = z / math.tan(pitch)
        position = np.array([tx + r * math.cos(azimuth), ty + r * math.sin(azimuth), z])
        forward = np.array([tx, ty, 0.0]) - position
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


def make_flights(seed: int, uavs: int) -> tuple[Flight, ...]:
    """Flights of a mission; the azimuths are spread evenly, with jitter, around the origin."""
    rng = np.random.default_rng([seed, 3])
    start = rng.uniform(0, 2 * math.pi)

    def wave(amplitude: float, slow: float, fast: float) -> tuple[float, float, float]:
        return (amplitude, float(rng.uniform(slow, fast)), float(rng.uniform(0, 2 * math.pi)))

    flights = []
    for n in range(uavs):
        azimuth = start + 2 * math.pi * (n + float(rng.uniform(-0.25, 0.25))) / uavs
        climb = wave(float(rng.uniform(0.3, 1.5)), 0.1, 0.3)
        altitude = float(rng.uniform(MIN_ALTITUDE_M + 1.5, MAX_ALTITUDE_M - 1.5))
        pitching = wave(math.radians(1.0), 0.03, 0.1)
        # low flights look out flatter, so that one picture still covers a good part of the square
        steepest = 42.0 + 17.0 * min(1.0, max(0.0, (altitude - 32.0) / 25.0))
        pitch = math.radians(float(rng.uniform(36.0, steepest)))
        radius = altitude / math.tan(pitch)
        speed, amplitude = float(rng.uniform(2.5, 5.0)), float(rng.uniform(0.3, 0.7))
        sweep = (amplitude, speed / (radius * amplitude), float(rng.uniform(0, 2 * math.pi)))
        target = (float(rng.uniform(-12, 12)), float(rng.uniform(-12, 12)))
        flights.append(
            Flight(
                pitch_rad=pitch,
                azimuth_rad=azimuth - sweep[0] * math.sin(sweep[2]),
                altitude_m=altitude,
                target=target,
                sweep=sweep,
                climb=climb,
                drift_x=wave(2.0, 0.05, 0.15),
                drift_y=wave(2.0, 0.05, 0.15),
                pitching=pitching,
                roll=wave(math.radians(float(rng.uniform(0.5, 3))), 0.1, 0.5),
            )
        )
    return tuple(flights)
