"""Motion of vehicles in Gazebo: trajectories of SDF actors that pass every frame's pose.

An actor plays its trajectories one after the other; within one, gz-sim interpolates waypoints with a Catmull-Rom spline
over positions and over quaternions. A vehicle that leaves the map and comes back as another object gets a trajectory
per stay: in one spline the jump would bend the way before and after it. The last trajectory holds the final pose,
because scripts have to loop (vehicles.moving_actor).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.population import Population

AWAY_M = -100.0
"""Height of an absent vehicle: far below the ground."""
MARGIN_MS = 20
"""Time between the last frame without a vehicle and its arrival, and between its departure and the next such frame."""
HOLD_MS = 3_600_000
"""Time that a vehicle stands at its final pose before its script begins anew."""


@dataclass(frozen=True)
class Waypoint:
    """Pose of an actor at a time: ms since the trajectory's start, x y z m, yaw rad (not wrapped)."""

    time_ms: int
    xyz: tuple[float, float, float]
    yaw: float


@dataclass(frozen=True)
class Trajectory:
    """A stay (or an absence: waypoints at AWAY_M) of `duration_ms`; start_ms counts from frame 0."""

    start_ms: int
    waypoints: tuple[Waypoint, ...]

    @property
    def duration_ms(self) -> int:
        return self.waypoints[-1].time_ms


def trajectories(population: Population, vehicle: int, frames: int, period_s: float) -> list[Trajectory]:
    """All trajectories of one moving vehicle over `frames` frames, from frame 0 to the last, without gaps; then one
    that holds the final pose for HOLD_MS.

    Every frame at which the vehicle is there is a waypoint with its exact pose; standing still needs no more of them.
    """
    ids = population.ids[:frames, vehicle]
    poses, velocities = population.poses[:frames, vehicle], population.velocities[:frames, vehicle]
    period_ms = round(1000 * period_s)
    end_ms = (frames - 1) * period_ms
    out: list[Trajectory] = []
    for first, last in _runs(ids):
        start = 0 if first == 0 else _switch(first, ids, period_ms)
        end = end_ms if last == frames - 1 else _switch(last + 1, ids, period_ms)
        if end == start:  # a stay that consists of the last frame alone: nothing after it is shown
            end += period_ms
        if ids[first] == 0:
            hidden = (float(poses[first, 0]), float(poses[first, 1]), AWAY_M)
            points = [Waypoint(0, hidden, 0.0), Waypoint(end - start, hidden, 0.0)]
        else:
            points = _stay(poses, velocities, first, last, start, end, period_ms)
        out.append(Trajectory(start, tuple(points)))
    last_point = out[-1].waypoints[-1]
    held = (replace(last_point, time_ms=0), replace(last_point, time_ms=HOLD_MS))
    out.append(Trajectory(out[-1].start_ms + out[-1].duration_ms, held))
    return out


def _runs(ids: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last frame of every stretch with the same object."""
    cuts = [0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)]
    for a, b in pairwise(cuts):
        yield a, b - 1


def _switch(frame: int, ids: NDArray[np.int64], period_ms: int) -> int:
    """Time at which the object of `frame` replaces the one of the frame before it."""
    if ids[frame] == 0:
        return frame * period_ms - MARGIN_MS
    if ids[frame - 1] == 0:
        return (frame - 1) * period_ms + MARGIN_MS
    return frame * period_ms - period_ms // 2


def _stay(
    poses: NDArray[np.float64],
    velocities: NDArray[np.float64],
    first: int,
    last: int,
    start: int,
    end: int,
    period_ms: int,
) -> list[Waypoint]:
    yaws = np.unwrap(poses[first : last + 1, 2])
    points: list[Waypoint] = []

    def add(time_ms: int, k: int) -> None:
        """The pose of frame k, moved on with its velocity to a time that is no frame's."""
        x, y = poses[k, :2] + velocities[k] * (time_ms - k * period_ms) / 1000
        points.append(Waypoint(time_ms - start, (float(x), float(y), 0.0), float(yaws[k - first])))

    if start < first * period_ms:
        add(start, first)
    for k in range(first, last + 1):
        add(k * period_ms, k)
    if end > last * period_ms:
        add(end, last)
    return _without_standing(points)


def _without_standing(points: list[Waypoint]) -> list[Waypoint]:
    """Without the points in the middle of five or more in the same place: the spline is constant there anyway."""

    def same(a: Waypoint, b: Waypoint) -> bool:
        near = max(abs(u - v) for u, v in zip(a.xyz, b.xyz, strict=True)) < 5e-4
        return near and abs(a.yaw - b.yaw) < 5e-5

    keep = [
        not (2 <= n < len(points) - 2 and all(same(points[n], points[n + d]) for d in (-2, -1, 1, 2)))
        for n in range(len(points))
    ]
    return [p for p, kept in zip(points, keep, strict=True) if kept]
