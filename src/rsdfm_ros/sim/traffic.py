"""Traffic on the lane graph: car following, junctions taken in turn, entry and exit at the edge of the world.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E 62, 2000). A junction
is held by one movement at a time (or by two that do not cross), and is entered only when there is room behind
it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.lanes import Edge, Node
from rsdfm_ros.sim.vehicles import VehicleSpec

STEP_S = 0.1
WARM_UP_S = 12.0
MAX_ACCELERATION, COMFORTABLE_BRAKING, HARDEST_BRAKING = 1.8, 2.2, 6.0
STANDSTILL_GAP_M, HEADWAY_S = 2.0, 1.2
TURN_SPEEDS = (5.5, 4.2)
"""Speeds in m/s in left and right turns."""
LOOK_AHEAD_M = 45.0


@dataclass
class Mover:
    """State of one moving vehicle: its centre is at arc length s_m of edge, previous lies behind it."""

    index: int
    spec: VehicleSpec
    wish: float
    edge: int = -1
    previous: int = -1
    next: int = -1
    s_m: float = 0.0
    speed: float = 0.0
    granted: bool = False
    trip: int = 0

    @property
    def half(self) -> float:
        return 0.5 * self.spec.size[0]


@dataclass(frozen=True)
class Track:
    """Motion of M vehicles over K frames.

    poses (K, M, 3) x y yaw · velocities (K, M, 2) m/s · trips (K, M) counts from 1, 0 while away.
    """

    poses: NDArray[np.float64]
    velocities: NDArray[np.float64]
    trips: NDArray[np.int64]


class Traffic:
    """Steps movers along the lanes; deterministic in the generator passed in."""

    def __init__(self, edges: list[Edge], movers: list[VehicleSpec], rng: np.random.Generator) -> None:
        self.edges, self.rng = edges, rng
        self.on: dict[int, list[Mover]] = {e.index: [] for e in edges}
        self._apart: dict[tuple[int, int], bool] = {}
        self.holders: dict[Node, list[Mover]] = {e.node: [] for e in edges if e.node is not None}
        self.movers = [
            Mover(n, v, float(rng.uniform(6.5, 12) if v.kind < 2 else rng.uniform(5, 9)))
            for n, v in enumerate(movers)
        ]
        self._scatter()

    def _suits(self, m: Mover, e: Edge) -> bool:
        return m.spec.kind < 2 or e.whole

    def _scatter(self) -> None:
        """First places: at random along the lanes, clear of each other; a vehicle without room starts away."""
        lanes = [e for e in self.edges if not e.is_movement and e.length_m > 8]
        for m in self.movers:
            for _ in range(60):
                e = lanes[int(self.rng.integers(len(lanes)))]
                low, high = m.half + 1, e.length_m - m.half - 1
                if not self._suits(m, e) or high <= low:
                    continue
                s = float(self.rng.uniform(low, high))
                if all(abs(o.s_m - s) > o.half + m.half + 3 for o in self.on[e.index]):
                    self._place(m, e.index, s, float(self.rng.uniform(0, 4)) * e.pace)
                    break

    def _place(self, m: Mover, edge: int, s: float, speed: float) -> None:
        m.edge, m.previous, m.s_m, m.speed, m.granted = edge, -1, s, speed, False
        m.trip += 1
        self._choose(m)
        self.on[edge].append(m)

    def _choose(self, m: Mover) -> None:
        """The movement at the end of the lane: straight on more often than not, always for long vehicles."""
        options = [self.edges[i] for i in self.edges[m.edge].outgoing]
        if m.spec.kind >= 2:
            options = [e for e in options if e.straight]
        if not options:
            m.next = -1
            return
        odds = np.array([2.0 if e.straight else 1.0 for e in options])
        m.next = options[int(self.rng.choice(len(options), p=odds / odds.sum()))].index

    def step(self) -> None:
        """Advances everything by STEP_S."""
        self._grant()
        moves = [(m, self._acceleration(m)) for m in self.movers if m.edge >= 0]
        for m, (a, room) in moves:
            old = m.speed
            m.speed = max(0.0, old + a * STEP_S)
            advance = 0.5 * (old + m.speed) * STEP_S
            if advance > room:  # a last resort that the following law should never need
                advance, m.speed = max(0.0, room), 0.0
            m.s_m += advance
        for m, _ in moves:
            self._hand_over(m)
        self._enter()

    def _tail(self, edge: int) -> float:
        """Free arc length at the start of a lane."""
        return min((o.s_m - o.half for o in self.on[edge]), default=math.inf)

    def _grant(self) -> None:
        """Gives junctions to vehicles near their stop lines, nearest first."""
        waiting = []
        for m in self.movers:
            if m.edge < 0 or m.granted or m.next < 0 or self.edges[m.edge].is_movement:
                continue
            e = self.edges[m.edge]
            gap = e.length_m - m.s_m - m.half
            first = all(o is m or o.s_m < m.s_m for o in self.on[m.edge])
            if first and gap < 10.0 + m.speed**2 / (2 * COMFORTABLE_BRAKING):
                waiting.append((gap, m.index, m))
        for _, _, m in sorted(waiting, key=lambda w: w[:2]):
            move = self.edges[m.next]
            assert move.node is not None
            holders = self.holders[move.node]
            if not all(self._compatible(move, self.edges[self._movement(o)]) for o in holders):
                continue
            bound = sum(
                2 * o.half + 3 for o in holders if self.edges[self._movement(o)].target == move.target
            )
            if self._tail(move.target) - bound > 2 * m.half + 4:
                m.granted = True
                holders.append(m)

    def _movement(self, m: Mover) -> int:
        """The movement that a holder of a junction is about to make, is making, or has just made."""
        if self.edges[m.edge].is_movement:
            return m.edge
        return m.next if m.granted else m.previous

    def _compatible(self, a: Edge, b: Edge) -> bool:
        """Whether two movements may share a junction: the same, or paths a lane's width apart."""
        if a.index == b.index:
            return True
        key = (min(a.index, b.index), max(a.index, b.index))
        if key not in self._apart:
            p, q = (np.array([e.at(s)[0] for s in np.linspace(0, e.length_m, 12)]) for e in (a, b))
            self._apart[key] = float(np.linalg.norm(p[:, None] - q[None], axis=-1).min()) > 3.2
        return self._apart[key]

    def _acceleration(self, m: Mover) -> tuple[float, float]:
        """IDM acceleration (m/s²) and the room in m before the bumper would touch something."""
        e = self.edges[m.edge]
        gap, lead_speed = math.inf, 0.0
        wish = m.wish * e.pace

        def see(distance: float, speed: float) -> None:
            nonlocal gap, lead_speed
            if distance < gap:
                gap, lead_speed = distance, speed

        for o in self.on[m.edge]:
            if o is not m and o.s_m > m.s_m:
                see(o.s_m - m.s_m - o.half - m.half, o.speed)
        if e.is_movement:
            wish = self._turn_speed(e, wish)
            ahead = e.length_m - m.s_m
            for o in self.on[e.target]:
                see(ahead + o.s_m - o.half - m.half, o.speed)
        elif e.node is not None and m.next >= 0:
            ahead = e.length_m - m.s_m
            for k in e.outgoing:  # a vehicle that has just left this lane still has its rear in it
                for o in self.on[k]:
                    see(ahead + o.s_m - o.half - m.half, o.speed)
            move = self.edges[m.next]
            turn_speed = self._turn_speed(move, m.wish * move.pace)
            wish = min(wish, math.sqrt(turn_speed**2 + 2 * 1.3 * max(0.0, ahead - 1.0)))
            if not m.granted:
                see(max(0.01, ahead - m.half + STANDSTILL_GAP_M - 0.5), 0.0)
            elif ahead < LOOK_AHEAD_M:
                for o in self.on[move.target]:
                    see(ahead + move.length_m + o.s_m - o.half - m.half, o.speed)
        a = MAX_ACCELERATION * (1.0 - (m.speed / wish) ** 4)
        if gap < LOOK_AHEAD_M + 30:
            closing = (
                m.speed * (m.speed - lead_speed) / (2 * math.sqrt(MAX_ACCELERATION * COMFORTABLE_BRAKING))
            )
            desired = STANDSTILL_GAP_M + max(0.0, m.speed * HEADWAY_S + closing)
            a -= MAX_ACCELERATION * (desired / max(gap, 0.1)) ** 2
        return max(-HARDEST_BRAKING, min(MAX_ACCELERATION, a)), gap - 0.5

    def _turn_speed(self, e: Edge, wish: float) -> float:
        return wish if e.straight else min(wish, TURN_SPEEDS[0] if e.turn > 0 else TURN_SPEEDS[1])

    def _hand_over(self, m: Mover) -> None:
        """Moves a vehicle on to the next edge, releases junctions left behind, takes vehicles off the map."""
        e = self.edges[m.edge]
        if not e.is_movement and m.previous >= 0 and m.s_m > m.half:
            node = self.edges[m.previous].node
            if node is not None and m in self.holders[node] and not (m.granted and node == e.node):
                self.holders[node].remove(m)
        if m.s_m < e.length_m:
            return
        if e.node is None:
            if m.s_m > e.length_m + m.half:
                self.on[m.edge].remove(m)
                m.edge = -1
            return
        m.s_m -= e.length_m
        self.on[m.edge].remove(m)
        m.previous = m.edge
        if e.is_movement:
            m.edge, m.granted = e.target, False
            self._choose(m)
        else:
            m.edge, m.next = m.next, -1
        self.on[m.edge].append(m)

    def _enter(self) -> None:
        """Lets one vehicle that is away enter where there is room."""
        away = [m for m in self.movers if m.edge < 0]
        if not away or self.rng.random() > 0.25:
            return
        m = away[int(self.rng.integers(len(away)))]
        doors = [
            e
            for e in self.edges
            if e.entry and self._suits(m, e) and self._tail(e.index) > m.half + 12 * e.pace
        ]
        if doors:
            door = doors[int(self.rng.integers(len(doors)))]
            self._place(m, door.index, 0.0, min(m.wish, 7.0) * door.pace)

    def pose(self, m: Mover) -> tuple[float, float, float, float, float]:
        """x, y, yaw, vx, vy of a vehicle whose axles, 0.6 lengths apart, both follow the path."""
        reach = 0.3 * m.spec.size[0]
        front, hf = self._along(m, m.s_m + reach)
        rear, hr = self._along(m, m.s_m - reach)
        c, d = 0.5 * (front + rear), front - rear
        v = 0.5 * m.speed
        yaw = math.atan2(d[1], d[0])
        return (
            float(c[0]),
            float(c[1]),
            yaw,
            v * (math.cos(hf) + math.cos(hr)),
            v * (math.sin(hf) + math.sin(hr)),
        )

    def _along(self, m: Mover, s: float) -> tuple[NDArray[np.float64], float]:
        e = self.edges[m.edge]
        if s < 0 and m.previous >= 0:
            before = self.edges[m.previous]
            return before.at(before.length_m + s)
        if s > e.length_m and (e.is_movement or m.next >= 0):
            return self.edges[e.target if e.is_movement else m.next].at(s - e.length_m)
        return e.at(s)


def drive(edges: list[Edge], specs: list[VehicleSpec], seed: int, frames: int, period_s: float) -> Track:
    """Simulates traffic and samples it every period_s, a multiple of STEP_S (else ValueError)."""
    if period_s <= 0 or abs(period_s / STEP_S - round(period_s / STEP_S)) > 1e-6:
        raise ValueError(f"the frame period must be a multiple of {STEP_S} s, not {period_s} s")
    traffic = Traffic(edges, specs, np.random.default_rng([seed, 4]))
    for _ in range(round(WARM_UP_S / STEP_S)):
        traffic.step()
    per_frame, n = round(period_s / STEP_S), len(specs)
    poses, velocities = np.zeros((frames, n, 3)), np.zeros((frames, n, 2))
    trips = np.zeros((frames, n), np.int64)
    for k in range(frames):
        for m in traffic.movers:
            if m.edge >= 0:
                x, y, yaw, vx, vy = traffic.pose(m)
                poses[k, m.index], velocities[k, m.index], trips[k, m.index] = (x, y, yaw), (vx, vy), m.trip
        for _ in range(per_frame if k + 1 < frames else 0):
            traffic.step()
    return Track(poses, velocities, trips)
