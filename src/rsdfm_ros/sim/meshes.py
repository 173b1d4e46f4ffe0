"""Static geometry as a few merged meshes: walls, roofs, tree trunks and crowns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.facades import FACADE_M
from rsdfm_ros.sim.plan import Building, Clutter, Tree

Point = tuple[float, float, float]


@dataclass
class Mesh:
    """Triangles with flat normals and texture coordinates; every face has vertices of its own."""

    vertices: list[Point] = field(default_factory=list)
    normals: list[Point] = field(default_factory=list)
    uvs: list[tuple[float, float]] = field(default_factory=list)
    faces: list[tuple[int, int, int]] = field(default_factory=list)

    def polygon(self, points: list[Point], uvs: list[tuple[float, float]] | None = None) -> None:
        """A flat convex polygon, counter-clockwise seen from outside."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = points[:3]
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
        first = len(self.vertices)
        self.vertices += points
        self.normals += [(nx / length, ny / length, nz / length)] * len(points)
        self.uvs += uvs or [(0.0, 0.0)] * len(points)
        self.faces += [(first, first + i, first + i + 1) for i in range(1, len(points) - 1)]

    def lift(self, first: int, by_m: float) -> None:
        """Raises all vertices from number `first` on."""
        if by_m:
            self.vertices[first:] = [(x, y, z + by_m) for x, y, z in self.vertices[first:]]

    def box(self, x0: float, y0: float, z0: float, x1: float, y1: float, z1: float) -> None:
        """Walls and top of an upright box."""
        self.walls(x0, y0, z0, x1, y1, z1)
        self.polygon([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)])

    def walls(self, x0: float, y0: float, z0: float, x1: float, y1: float, z1: float) -> None:
        """The four walls of an upright box, textured in metres."""
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        for i in range(4):
            (ax, ay), (bx, by) = corners[i], corners[(i + 1) % 4]
            repeats = max(1.0, round(4 * math.hypot(bx - ax, by - ay) / FACADE_M) / 4)
            v0, v1 = z0 / FACADE_M, z1 / FACADE_M
            self.polygon(
                [(ax, ay, z0), (bx, by, z0), (bx, by, z1), (ax, ay, z1)],
                [(0.0, v0), (repeats, v0), (repeats, v1), (0.0, v1)],
            )


Ground = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Heights (...) m of the ground at points (..., 2)."""


def _stand(ground: Ground | None, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    """Height of the ground in the middle of a rectangle, and how far below that its lowest corner is (with 0.3 m)."""
    if ground is None:
        return 0.0, 0.0
    at = ground(np.array([[0.5 * (x0 + x1), 0.5 * (y0 + y1)], [x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    return float(at[0]), float(at[0] - at.min()) + 0.3


def building_meshes(
    buildings: tuple[Building, ...], appearance: int, roofs: int, seed: int, ground: Ground | None = None
) -> tuple[list[Mesh], list[Mesh]]:
    """Walls by facade look and roofs (with parapets and roof-top boxes) by roof look; ground: None where it is flat."""
    rng = np.random.default_rng([seed, 6])
    walls, tops = [Mesh() for _ in range(appearance)], [Mesh() for _ in range(roofs)]
    for b in buildings:
        x0, y0, x1, y1 = b.footprint
        z = b.height_m
        lift, sunk = _stand(ground, *b.footprint)
        starts = [len(m.vertices) for m in (*walls, *tops)]
        walls[b.facade].walls(x0, y0, -sunk, x1, y1, z)
        top = tops[b.roof]
        if b.form == "gable":
            _gable(b, walls[b.facade], top)
        else:
            _flat_roof(rng, b, top, tops)
        for mesh, first in zip((*walls, *tops), starts, strict=True):
            mesh.lift(first, lift)
    return walls, tops


def _flat_roof(rng: np.random.Generator, b: Building, top: Mesh, tops: list[Mesh]) -> None:
    """A roof with a parapet, and boxes on it in the colours of any roof."""
    x0, y0, x1, y1 = b.footprint
    z = b.height_m
    t = 0.35
    top.polygon([(x0, y0, z - 0.5), (x1, y0, z - 0.5), (x1, y1, z - 0.5), (x0, y1, z - 0.5)])
    for r in (
        (x0, y0, x1, y0 + t),
        (x0, y1 - t, x1, y1),
        (x0, y0 + t, x0 + t, y1 - t),
        (x1 - t, y0 + t, x1, y1 - t),
    ):
        top.box(r[0], r[1], z - 0.5, r[2], r[3], z)
    roomy = min(x1 - x0, y1 - y0) > 5.0
    for _ in range(int(rng.integers(0, 4)) if roomy else 0):
        w, d, h = rng.uniform(1.0, 3.5), rng.uniform(1.0, 3.0), rng.uniform(0.6, 1.6)
        cx, cy = rng.uniform(x0 + 2.2, x1 - 2.2), rng.uniform(y0 + 2.2, y1 - 2.2)
        other = tops[int(rng.integers(len(tops)))]
        other.box(
            float(cx - w / 2),
            float(cy - d / 2),
            z - 0.5,
            float(cx + w / 2),
            float(cy + d / 2),
            z - 0.5 + float(h),
        )


def _gable(b: Building, wall: Mesh, roof: Mesh) -> None:
    """Two slopes with eaves that hang over by 0.4 m, and the triangles of wall at the ends of the ridge."""
    x0, y0, x1, y1 = b.footprint
    along_x = x1 - x0 >= y1 - y0
    over, z, top = 0.4, b.height_m, b.top_m
    half = 0.5 * (y1 - y0 if along_x else x1 - x0)
    low = z - over * b.rise_m / half
    u0, u1, v0, v1 = (x0, x1, y0, y1) if along_x else (y0, y1, x0, x1)
    mid = 0.5 * (v0 + v1)

    def at(u: float, v: float, height: float) -> Point:
        return (u, v, height) if along_x else (v, u, height)

    def face(mesh: Mesh, points: list[Point], uvs: list[tuple[float, float]] | None = None) -> None:
        mesh.polygon(points if along_x else points[::-1], uvs if along_x or uvs is None else uvs[::-1])

    a, c = u0 - over, u1 + over
    face(roof, [at(a, v0 - over, low), at(c, v0 - over, low), at(c, mid, top), at(a, mid, top)])
    face(roof, [at(c, v1 + over, low), at(a, v1 + over, low), at(a, mid, top), at(c, mid, top)])
    face(
        roof,
        [
            at(a, mid, top - 0.06),
            at(c, mid, top - 0.06),
            at(c, v0 - over, low - 0.06),
            at(a, v0 - over, low - 0.06),
        ],
    )
    face(
        roof,
        [
            at(c, mid, top - 0.06),
            at(a, mid, top - 0.06),
            at(a, v1 + over, low - 0.06),
            at(c, v1 + over, low - 0.06),
        ],
    )
    uvs = [(0.0, z / FACADE_M), (2 * half / FACADE_M, z / FACADE_M), (half / FACADE_M, top / FACADE_M)]
    face(wall, [at(u0, v1, z), at(u0, v0, z), at(u0, mid, top)], uvs)
    face(wall, [at(u1, v0, z), at(u1, v1, z), at(u1, mid, top)], uvs)


def _pieces(c: Clutter) -> list[Clutter]:
    """Something long that stands on the ground in pieces of up to 4 m, which can follow it."""
    count = 1 if c.drum or c.z_m > 0 else math.ceil(c.length_m / 4.0)
    step = c.length_m / count
    shifts = [(n + 0.5) * step - 0.5 * c.length_m for n in range(count)]
    cos, sin = math.cos(c.yaw), math.sin(c.yaw)
    return [replace(c, x=c.x + t * cos, y=c.y + t * sin, length_m=step) for t in shifts]


def clutter_meshes(clutter: tuple[Clutter, ...], ground: Ground | None = None) -> dict[str, Mesh]:
    """Boxes and drums by colour; ground: None where it is flat."""
    out: dict[str, Mesh] = {}
    pieces = clutter if ground is None else [piece for thing in clutter for piece in _pieces(thing)]
    for c in pieces:
        mesh = out.setdefault(c.colour, Mesh())
        cos, sin = math.cos(c.yaw), math.sin(c.yaw)
        if c.drum:
            ring = [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 12, endpoint=False)]
            flat_ring = [(0.5 * c.width_m * u, 0.5 * c.width_m * v) for u, v in ring]
        else:
            half, w = 0.5 * c.length_m, 0.5 * c.width_m
            flat_ring = [(-half, -w), (half, -w), (half, w), (-half, w)]
        base = [(c.x + u * cos - v * sin, c.y + u * sin + v * cos) for u, v in flat_ring]
        reach, first = 0.5 * (c.width_m if c.drum else c.length_m), len(mesh.vertices)
        lift, sunk = _stand(ground, c.x - reach, c.y - reach, c.x + reach, c.y + reach)
        low, high = (-sunk if c.z_m == 0 else c.z_m), c.z_m + c.height_m
        for p, q in pairwise([*base, base[0]]):
            mesh.polygon([(*p, low), (*q, low), (*q, high), (*p, high)])
        mesh.polygon([(*p, high) for p in base])
        if low > 0:
            mesh.polygon([(*p, low) for p in base[::-1]])
        mesh.lift(first, lift)
    return out


def tree_meshes(
    trees: tuple[Tree, ...],
    appearance: int,
    seed: int,
    ground: Ground | None = None,
    tile_m: float = math.inf,
) -> tuple[list[Mesh], list[list[Mesh]]]:
    """Trunks, and crowns by look, each as one mesh per square of tile_m that has trees: a renderer can leave out those
    that a camera does not see. Crowns are rings of jittered points; ground: None where it is flat."""
    rng = np.random.default_rng([seed, 7])
    trunks_of: dict[tuple[int, int], Mesh] = {}
    crowns_of: list[dict[tuple[int, int], Mesh]] = [{} for _ in range(appearance)]
    for t in trees:
        tile = (math.floor(t.x / tile_m), math.floor(t.y / tile_m)) if math.isfinite(tile_m) else (0, 0)
        trunks, mesh = trunks_of.setdefault(tile, Mesh()), crowns_of[t.look].setdefault(tile, Mesh())
        base = 0.3 * t.height_m
        lift, sunk = _stand(ground, t.x - 0.3, t.y - 0.3, t.x + 0.3, t.y + 0.3)
        first_trunk, first_crown = len(trunks.vertices), len(mesh.vertices)
        trunks.box(t.x - 0.15, t.y - 0.15, -sunk, t.x + 0.15, t.y + 0.15, base + 0.6)
        sides, rings = 7, ((0.0, 0.45), (0.3, 0.95), (0.62, 0.85), (0.88, 0.42))
        if t.form == "conifer":
            base, rings = 0.12 * t.height_m, ((0.0, 1.0), (0.35, 0.7), (0.7, 0.35), (0.95, 0.06))
        tall = t.height_m - base
        levels: list[list[Point]] = []
        turn = float(rng.uniform(0, 2 * math.pi))
        for f, r in rings:
            ring = []
            for k in range(sides):
                a = turn + 2 * math.pi * k / sides + float(rng.normal(0, 0.1))
                q = r * t.crown_radius_m * float(rng.uniform(0.85, 1.05))
                ring.append(
                    (
                        t.x + q * math.cos(a),
                        t.y + q * math.sin(a),
                        base + f * tall + float(rng.normal(0, 0.04)) * tall,
                    )
                )
            levels.append(ring)
        apex = (t.x, t.y, t.height_m)
        for low, high in pairwise(levels):
            for k in range(sides):
                n = (k + 1) % sides
                mesh.polygon([low[k], low[n], high[n]])
                mesh.polygon([low[k], high[n], high[k]])
        for k in range(sides):
            mesh.polygon([levels[-1][k], levels[-1][(k + 1) % sides], apex])
        mesh.polygon(levels[0][::-1])
        trunks.lift(first_trunk, lift)
        mesh.lift(first_crown, lift)
    return list(trunks_of.values()), [list(meshes.values()) for meshes in crowns_of]


def flat(values: list[Point] | list[tuple[float, float]] | list[tuple[int, int, int]]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(-1)
