"""The lane graph: straight lanes between junctions and the turns that join them (right-hand traffic)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import EXTENT_M
from rsdfm_ros.sim.plan import Layout, Street

Node = tuple[int, int]


@dataclass
class Edge:
    """A lane (turn 0) or a movement through a junction.

    start (2,) m · heading rad at the start · length_m · turn: curvature in 1/m, positive to the left · node: the
    junction that a lane leads to, or a movement crosses, None at the edge of the world · source, target: lanes
    joined by a movement · outgoing: movements that leave a lane · whole: its street line crosses the whole world ·
    pace: of traffic, against a town's · street: identity of the street line and direction, the same for all lanes in a
    row.
    """

    index: int
    start: NDArray[np.float64]
    heading: float
    length_m: float
    turn: float = 0.0
    node: Node | None = None
    entry: bool = False
    source: int = -1
    target: int = -1
    outgoing: list[int] = field(default_factory=list)
    whole: bool = False
    pace: float = 1.0
    street: tuple[int, int, int] = (0, 0, 0)

    @property
    def is_movement(self) -> bool:
        return self.source >= 0

    @property
    def straight(self) -> bool:
        return abs(self.turn) < 1e-9

    def at(self, s_m: float) -> tuple[NDArray[np.float64], float]:
        """Point (2,) and heading at arc length s_m; straight on before the start."""
        if self.straight or s_m < 0:
            return self.start + s_m * np.array([math.cos(self.heading), math.sin(self.heading)]), self.heading
        h0, h1, r = self.heading, self.heading + s_m * self.turn, 1.0 / self.turn
        return self.start + r * np.array([math.sin(h1) - math.sin(h0), math.cos(h0) - math.cos(h1)]), h1


def lane_graph(layout: Layout) -> list[Edge]:
    """All lanes and movements of a layout. Raises ValueError if several lanes per direction lead to a junction."""
    edges: list[Edge] = []
    roads: list[Street] = []
    into: dict[Node, list[int]] = {}
    out_of: dict[Node, list[int]] = {}
    for s in layout.streets:
        crossings = len(layout.xs if s.axis == 0 else layout.ys)
        row = [o for o in layout.streets if o.axis == s.axis and o.line == s.line]
        whole = len(row) == crossings + 1
        ends: list[tuple[float, Node | None]] = []
        for n, cut, inward in ((s.nodes[0], s.start_m, 1.0), (s.nodes[1], s.end_m, -1.0)):
            if n is None:
                ends.append((math.copysign(EXTENT_M, cut), None))
            else:
                ends.append(
                    (cut + inward * s.road.junction_half_m, (n, s.line) if s.axis == 0 else (s.line, n))
                )
        for direction in (1, -1):
            (a, node_a), (b, node_b) = ends if direction > 0 else ends[::-1]
            for lane in range(s.road.lanes):
                half = s.road.lane_offset_m(lane)
                across = s.across_m - direction * half if s.axis == 0 else s.across_m + direction * half
                start = np.array([a, across] if s.axis == 0 else [across, a])
                heading = {(0, 1): 0.0, (0, -1): math.pi, (1, 1): math.pi / 2, (1, -1): -math.pi / 2}[
                    s.axis, direction
                ]
                e = Edge(
                    len(edges), start, heading, abs(b - a), node=node_b, entry=node_a is None, whole=whole
                )
                e.street, e.pace = (s.axis, s.line, direction), s.road.pace
                edges.append(e)
                roads.append(s)
                if node_b is not None:
                    into.setdefault(node_b, []).append(e.index)
                if node_a is not None:
                    out_of.setdefault(node_a, []).append(e.index)
    for node in sorted(into):
        for i in into[node]:
            for o in out_of.get(node, []):
                a_, b_, road = edges[i], edges[o], roads[i].road
                junction, half = road.junction_half_m, road.lane_offset_m(0)
                if road.lanes > 1:
                    raise ValueError("streets of several lanes per direction cannot have junctions")
                turn = (b_.heading - a_.heading + math.pi) % (2 * math.pi) - math.pi
                if abs(abs(turn) - math.pi) < 0.1:
                    continue
                m = Edge(
                    len(edges),
                    a_.at(a_.length_m)[0],
                    a_.heading,
                    2 * junction,
                    node=node,
                    source=i,
                    target=o,
                )
                m.pace = a_.pace
                if abs(turn) > 0.1:
                    radius = junction + (half if turn > 0 else -half)
                    m.turn, m.length_m = math.copysign(1.0 / radius, turn), 0.5 * math.pi * radius
                edges.append(m)
                a_.outgoing.append(m.index)
    return edges
