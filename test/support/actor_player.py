"""Actor scripts of an SDF world, played as gz-sim's rendering plays them (SceneManager, common::PoseAnimation,
versions 6 to 10): what a camera of the real Gazebo sees is where this puts the actors. Written from the behaviour of
those sources; it knows nothing of how the world was made.

Sequencing: the delay and every trajectory's length, in whole ms, follow each other. A script that does not loop gets
one more entry as a mark of its end, which starts and ends with the delay: the times of the trajectories were summed up
in a copy. The length of the whole script is counted to the end of the last entry, so that it is 0 there.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME = 1e-6
"""Tolerance of gz::math::equal."""


class ServerHangs(Exception):
    """gz-sim would never return: it takes a length of 0 off the time until the time is within it."""


@dataclass(frozen=True)
class Entry:
    """A trajectory in the sequence: start and end in ms of simulation time, waypoints after its start in ms, poses
    (x, y, z, roll, pitch, yaw). The mark of the end has none."""

    start_ms: int
    end_ms: int
    times_ms: NDArray[np.int64]
    poses: NDArray[np.float64]

    def at(self, since_ms: float) -> NDArray[np.float64]:
        """x, y, z, yaw: positions on a Catmull-Rom spline, headings by squad."""
        since_ms = min(max(0.0, since_ms), float(self.times_ms[-1]))
        after = int(np.searchsorted(self.times_ms, since_ms))
        k = after if self.times_ms[after] == since_ms else after - 1
        length = self.times_ms[after] - self.times_ms[k]
        t = 0.0 if length == 0 else float((since_ms - self.times_ms[k]) / length)
        if abs(t) <= _SAME:
            return np.array([*self.poses[k, :3], self.poses[k, 5]])
        return np.array([*_hermite(self.poses[:, :3], k, t), _squad(self.poses[:, 5], k, t)])


def _hermite(points: NDArray[np.float64], k: int, t: float) -> NDArray[np.float64]:
    """Tension 0. Ends that coincide close the curve; others have half the difference to their only neighbour."""
    closed = bool((points[0] == points[-1]).all())

    def slope(i: int) -> NDArray[np.float64]:
        if i in (0, len(points) - 1) and closed:
            return np.asarray(0.5 * (points[1] - points[-2]))
        return np.asarray(0.5 * (points[min(i + 1, len(points) - 1)] - points[max(i - 1, 0)]))

    a, b, c = 2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, t**3 - t**2
    return np.asarray(a * points[k] + (1 - a) * points[k + 1] + b * slope(k) + c * slope(k + 1))


def _squad(yaws: NDArray[np.float64], k: int, t: float) -> float:
    """Shoemake's spline of quaternions about one axis, which are numbers on the unit circle of half the angle: two
    headings a whole turn apart are opposite quaternions, and the way between them is a turn."""
    q = np.exp(0.5j * yaws)
    closed = bool(yaws[0] == yaws[-1])

    def log(a: complex, b: complex) -> float:
        return float(np.angle(np.conj(a) * b))

    def tangent(i: int) -> complex:
        last = len(q) - 1
        ahead = q[i + 1] if i < last else q[1] if closed else q[i]
        behind = q[i - 1] if i > 0 else q[last - 1] if closed else q[i]
        return complex(q[i] * np.exp(-0.25j * (log(q[i], ahead) + log(q[i], behind))))

    def slerp(a: complex, b: complex, share: float) -> complex:
        return complex(a * np.exp(1j * share * log(a, b)))

    along, beside = slerp(q[k], q[k + 1], t), slerp(tangent(k), tangent(k + 1), t)
    turned = 2 * float(np.angle(slerp(along, beside, 2 * t * (1 - t))))
    return float(yaws[k]) + (turned - float(yaws[k]) + math.pi) % (2 * math.pi) - math.pi


class Actor:
    """One <actor>, anywhere in simulation time."""

    def __init__(self, actor: ET.Element) -> None:
        script = actor.find("script")
        assert script is not None and (script.findtext("auto_start") or "true") == "true"
        self.name = str(actor.get("name"))
        self.loop = (script.findtext("loop") or "true") in ("true", "1")
        self.delay_ms = _milliseconds(script.findtext("delay_start") or "0")
        entries, now = [], self.delay_ms
        for trajectory in script.findall("trajectory"):
            stops = {_milliseconds(w.findtext("time") or ""): w.findtext("pose") or "" for w in trajectory}
            times = np.array(sorted(stops))
            poses = np.array([[float(v) for v in stops[int(t)].split()] for t in times])
            length = int(times[-1] - times[0])
            entries.append(Entry(now, now + length, times - times[0], poses))
            now += length
        self.trajectories = tuple(entries)
        if not self.loop:
            entries.append(Entry(self.delay_ms, self.delay_ms, np.zeros(0, np.int64), np.zeros((0, 6))))
        self._entries = tuple(entries)

    def at(self, sim_ms: int) -> NDArray[np.float64]:
        """x, y, z, yaw at a simulation time. Raises: ServerHangs."""
        first, last = self._entries[0], self._entries[-1]
        total = last.end_ms - first.start_ms
        t = max(0, sim_ms - first.start_ms)
        once = last.start_ms != 0 and last.start_ms == last.end_ms
        if once:
            t = min(t, total)
        elif t > total:
            if total <= 0:
                raise ServerHangs(f"{self.name}: {t} ms of a script of {total} ms")
            t -= total * -(-(t - total) // total)
        for entry in self._entries:
            since = entry.start_ms - first.start_ms
            if since <= t <= entry.end_ms - first.start_ms:
                assert len(entry.times_ms), f"{self.name}: the mark of the end is played"
                return entry.at(t - since)
        raise AssertionError(f"{self.name}: no trajectory at {sim_ms} ms")


def _milliseconds(seconds: str) -> int:
    """A time as gz-sim reads it: times 1000, cut to whole milliseconds."""
    return int(float(seconds) * 1000)
