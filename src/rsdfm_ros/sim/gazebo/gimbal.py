"""The UAV of the Gazebo world as a mechanism: where its camera is, and what to command so that it flies as planned.

Frames: `base` is the UAV's body (x forward, y left, z up), level and turned by the yaw; the gimbal's pitch axis (y)
and, carried by it, its roll axis (x) meet in the camera's centre, GIMBAL_M from the base's origin. `flu` is the camera
link (x forward, y left, z up), `optical` the same place with z forward, x right, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
_DIFFERENCE_S = 0.05


@dataclass(frozen=True)
class Posture:
    """Where a UAV and its gimbal are: base position (3,) m and yaw rad, gimbal pitch (down positive) and roll rad."""

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


def steer(flight: Flight, mission_s: float, T_map_base: NDArray[np.float64], lead_s: float = 0.0) -> Command:
    """What to command at mission_s to a UAV whose base has the pose (4, 4), so that it follows its flight.

    The planned velocity at mission_s + lead_s (when the command takes effect) plus a share of the error; a tilted base
    is levelled. Speeds are limited: a UAV that is far away comes in a bounded time and not at once.
    """
    here = planned(flight, mission_s)
    then = mission_s + lead_s
    before, after = planned(flight, then - _DIFFERENCE_S), planned(flight, then + _DIFFERENCE_S)
    ahead = planned(flight, then)
    R = T_map_base[:3, :3]
    velocity = (after.position - before.position) / (2 * _DIFFERENCE_S)
    velocity = velocity + POSITION_GAIN * (here.position - T_map_base[:3, 3])
    speed = float(np.linalg.norm(velocity))
    velocity *= min(1.0, MAX_SPEED_MPS / max(speed, 1e-9))
    turn = _wrapped(after.yaw - before.yaw) / (2 * _DIFFERENCE_S)
    turn += ATTITUDE_GAIN * _wrapped(here.yaw - math.atan2(R[1, 0], R[0, 0]))
    tilt = np.cross(R[:, 2], [0.0, 0.0, 1.0])  # turns the base's z towards the map's
    angular = ATTITUDE_GAIN * tilt + np.array([0.0, 0.0, max(-MAX_TURN_RATE, min(MAX_TURN_RATE, turn))])
    pitch = max(PITCH_LIMITS_RAD[0], min(PITCH_LIMITS_RAD[1], ahead.pitch))
    roll = max(ROLL_LIMITS_RAD[0], min(ROLL_LIMITS_RAD[1], ahead.roll))
    return Command(R.T @ velocity, R.T @ angular, pitch, roll)


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
