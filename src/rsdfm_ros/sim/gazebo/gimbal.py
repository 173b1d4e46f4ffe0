"""The UAV of the Gazebo world as a mechanism: the pose of its camera, and the commands that make it fly as planned.

Frames: `base` is the UAV's body (x forward, y left, z up), level and turned by the yaw; the gimbal's pitch axis (y)
and, carried by it, its roll axis (x) meet in the camera's centre, GIMBAL_M from the base's origin. `flu` is the camera
link (x forward, y left, z up), `optical` the same place with z forward, x right, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.flight import Flight

GIMBAL_M = (0.18, 0.0, -0.09)
"""The camera's centre in the base frame, m."""
PITCH_LIMITS_RAD, ROLL_LIMITS_RAD = (-0.35, 1.6), (-0.6, 0.6)
R_FLU_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
POSITION_GAIN, ATTITUDE_GAIN = 1.5, 2.0
"""1/s: share of an error that is corrected per second."""
MAX_SPEED_MPS, MAX_TURN_RATE = 15.0, 1.5
NODE_S = 0.1
"""A flight is computed at instants so far apart; between them a cubic runs within a tenth of a millimetre of it."""
_KEPT = 16


@dataclass(frozen=True)
class Posture:
    """Pose of a UAV and its gimbal: base position (3,) m and yaw rad, gimbal pitch (down positive) and roll rad."""

    position: NDArray[np.float64]
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Command:
    """Velocities in the base frame, linear (3,) m/s and angular (3,) rad/s, and gimbal angles in rad."""

    linear: NDArray[np.float64]
    angular: NDArray[np.float64]
    pitch: float
    roll: float


def posture_of(T_map_optical: NDArray[np.float64]) -> Posture:
    """The posture whose camera has this pose (4, 4), with a level base."""
    R = T_map_optical[:3, :3] @ R_FLU_OPTICAL.T
    yaw, pitch = math.atan2(R[1, 0], R[0, 0]), math.asin(max(-1.0, min(1.0, -R[2, 0])))
    roll = math.atan2(R[2, 1], R[2, 2])
    position = T_map_optical[:3, 3] - _about_z(yaw) @ np.array(GIMBAL_M)
    return Posture(position, yaw, pitch, roll)


def camera_pose(T_map_base: NDArray[np.float64], pitch: float, roll: float) -> NDArray[np.float64]:
    """T_map_optical (4, 4) of a base pose (4, 4), level or not, and the gimbal's angles."""
    T = np.eye(4)
    T[:3, :3] = T_map_base[:3, :3] @ _about_y(pitch) @ _about_x(roll) @ R_FLU_OPTICAL
    T[:3, 3] = T_map_base[:3, :3] @ np.array(GIMBAL_M) + T_map_base[:3, 3]
    return T


def planned(flight: Flight, mission_s: float) -> Posture:
    """The posture of a flight at mission time; before the start it waits at the first one."""
    return posture_of(flight.T_map_camera(max(0.0, mission_s)))


class Track:
    """A planned flight for repeated queries: computed at multiples of NODE_S, a Catmull-Rom spline
    between them. Nothing moves before the start."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._node = lru_cache(_KEPT)(self._compute)
        self._segment = lru_cache(_KEPT)(self._cubic)

    def at(self, mission_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x y z m, yaw, pitch, roll rad (6,), the yaw not wrapped, and their rates per second (6,)."""
        k, t = divmod(max(0.0, mission_s) / NODE_S, 1.0)
        rate = 1.0 / NODE_S if mission_s >= 0 else 0.0
        powers = np.array([(1.0, t, t**2, t**3), (0.0, rate, 2 * rate * t, 3 * rate * t**2)])
        values, rates = powers @ self._segment(int(k))
        return values, rates

    def _compute(self, n: int) -> NDArray[np.float64]:
        p = planned(self._flight, n * NODE_S)
        return np.array([*p.position, p.yaw, p.pitch, p.roll])

    def _cubic(self, k: int) -> NDArray[np.float64]:
        """Coefficients (4, 6) of the powers 0 to 3 between the nodes k and k + 1."""
        nodes = np.stack([self._node(n) for n in range(k - 1, k + 3)])
        nodes[:, 3] = np.unwrap(nodes[:, 3])
        a, b, c, d = nodes
        return np.stack([b, 0.5 * (c - a), a - 2.5 * b + 2 * c - 0.5 * d, 1.5 * (b - c) + 0.5 * (d - a)])


def steer(track: Track, mission_s: float, T_map_base: NDArray[np.float64], lead_s: float = 0.0) -> Command:
    """Command at mission_s for a UAV whose base has the pose (4, 4), so that it follows its flight.

    The planned velocity at mission_s + lead_s (when the command takes effect) plus a share of the error; a tilted base
    is levelled. Speeds are limited: a UAV that is far away returns at a limited speed.
    """
    here, (ahead, rates) = track.at(mission_s)[0].tolist(), track.at(mission_s + lead_s)
    R = T_map_base[:3, :3]
    velocity = rates[:3] + POSITION_GAIN * (here[:3] - T_map_base[:3, 3])
    velocity *= min(1.0, MAX_SPEED_MPS / max(math.sqrt(velocity @ velocity), 1e-9))
    turn = float(rates[3]) + ATTITUDE_GAIN * _wrapped(here[3] - math.atan2(R[1, 0], R[0, 0]))
    turn = max(-MAX_TURN_RATE, min(MAX_TURN_RATE, turn))
    # the first two turn the base's z towards the map's
    turning = (ATTITUDE_GAIN * R[1, 2], -ATTITUDE_GAIN * R[0, 2], turn)
    pitch = max(PITCH_LIMITS_RAD[0], min(PITCH_LIMITS_RAD[1], float(ahead[4])))
    roll = max(ROLL_LIMITS_RAD[0], min(ROLL_LIMITS_RAD[1], float(ahead[5])))
    linear, angular = np.array([velocity, turning]) @ R
    return Command(linear, angular, pitch, roll)


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _about_x(a: float) -> NDArray[np.float64]:
    c, s = math.cos(a), math.sin(a)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _about_y(a: float) -> NDArray[np.float64]:
    c, s = math.cos(a), math.sin(a)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _about_z(a: float) -> NDArray[np.float64]:
    c, s = math.cos(a), math.sin(a)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
