"""People on foot and on bicycles: they move to and fro on the ways of a plan and are not labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import CORE_M
from rsdfm_ros.sim.plan import Walk
from rsdfm_ros.sim.vehicles import Part, Rgb

CYCLISTS = 0.3
_STAND = 0.2
_CLOTHES: tuple[Rgb, ...] = (
    (0.15, 0.17, 0.25), (0.6, 0.12, 0.12), (0.85, 0.84, 0.8), (0.2, 0.35, 0.55), (0.1, 0.1, 0.1), (0.75, 0.6, 0.2),
)  # fmt: skip
_SKIN = (0.72, 0.53, 0.42)


@dataclass(frozen=True)
class Person:
    """A person on a way: starts phase_m along the path there and back; beside the middle by side_m."""

    walk: Walk
    cycles: bool
    speed: float
    phase_m: float
    side_m: float
    colours: tuple[Rgb, Rgb]

    def pose(self, t_s: float) -> tuple[float, float, float]:
        """x, y, yaw at mission time t_s in the plan."""
        (ax, ay), (bx, by) = self.walk.start, self.walk.end
        length = math.hypot(bx - ax, by - ay)
        s = (self.phase_m + self.speed * t_s) % (2 * length)
        back = s > length
        s = 2 * length - s if back else s
        yaw = math.atan2(by - ay, bx - ax) + (math.pi if back else 0.0)
        c, d = math.cos(yaw), math.sin(yaw)
        x, y = ax + s / length * (bx - ax), ay + s / length * (by - ay)
        return x + self.side_m * d, y - self.side_m * c, yaw


def draw_people(ways: tuple[Walk, ...], count: int, seed: int) -> tuple[Person, ...]:
    """People of a seed on the ways that come near the middle; none where there are no ways."""
    rng = np.random.default_rng([seed, 23])
    near = [w for w in ways if max(map(abs, (*_middle(w),))) < CORE_M + 20]
    if not near:
        return ()
    lengths = np.array([math.dist(w.start, w.end) for w in near])
    people = []
    for _ in range(count):
        n = int(rng.choice(len(near), p=lengths / lengths.sum()))
        cycles = bool(rng.random() < CYCLISTS)
        speed = float(rng.uniform(3, 6) if cycles else rng.uniform(0.8, 1.8))
        first, second = (_CLOTHES[int(rng.integers(len(_CLOTHES)))] for _ in range(2))
        stands = bool(rng.random() < _STAND) and not cycles
        people.append(
            Person(
                near[n],
                cycles,
                0.0 if stands else speed,
                float(rng.uniform(0, 2 * lengths[n])),
                float(rng.uniform(0.05, 0.35)),
                (first, second),
            )
        )
    return tuple(people)


def _middle(w: Walk) -> tuple[float, float]:
    return 0.5 * (w.start[0] + w.end[0]), 0.5 * (w.start[1] + w.end[1])


def poses(people: tuple[Person, ...], t_s: float) -> NDArray[np.float64]:
    """x, y, yaw (P, 3) at mission time t_s in the plan."""
    return np.array([p.pose(t_s) for p in people]).reshape(-1, 3)


def body(person: Person) -> list[Part]:
    """The boxes of a person, x forward and z up from the ground."""
    coat, legs = person.colours
    if not person.cycles:
        return [
            Part((-0.12, -0.18, 0.0), (0.12, 0.18, 0.85), legs),
            Part((-0.15, -0.24, 0.85), (0.15, 0.24, 1.45), coat),
            Part((-0.1, -0.1, 1.48), (0.1, 0.1, 1.73), _SKIN),
        ]
    return [
        Part((-0.9, -0.03, 0.1), (0.9, 0.03, 0.65), (0.12, 0.12, 0.13)),
        Part((-0.15, -0.12, 0.5), (0.15, 0.12, 0.95), legs),
        Part((-0.3, -0.22, 0.95), (0.25, 0.22, 1.45), coat),
        Part((0.05, -0.1, 1.45), (0.27, 0.1, 1.72), _SKIN),
    ]
