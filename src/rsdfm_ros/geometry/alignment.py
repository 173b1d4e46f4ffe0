"""Object-level correction of the poses of several agents that see the same objects (after the idea of CoAlign).

Every agent gives its boxes and the pose, with covariance, of the camera that saw them. An error δ of that pose (shift
and rotation, 6) moves a box on the ground by J δ (geometry/ground.py): near the camera and far from it differently,
which no rigid motion of the map describes. The most probable errors of all agents together,

    min  Σ_a δ_aᵀ Σ_a⁻¹ δ_a  +  Σ_objects Σ_pairs ρ(|x_i + J_i δ_a − x_j − J_j δ_b|² / σ²) / n,

n being the number of agents that see the object, is a small robust least-squares problem. The covariances are the
prior: an agent with an exact pose stays, few or doubtful matches change little, and no agent is the reference, so that
the mean error of many agents, not that of one, remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.box_matching import AlignmentConfig, Array, Pairs, PlacedBoxes, associate_all, rematch
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.rotations import rotation_vector


@dataclass(frozen=True)
class Sighting:
    """The boxes that one agent reports, and its camera: centre (3,) m, z above the ground, and covariance (6, 6)
    of the pose (x y z, then rotation about the map axes)."""

    boxes: Detections
    camera: Array
    covariance: Array


@dataclass(frozen=True)
class Correction:
    """The corrected pose of one agent: delta (6,) to be applied to it, its covariance (6, 6), and how many of its
    boxes found a partner."""

    delta: Array
    covariance: Array
    matches: int = 0

    def pose(self, T_map_camera: Array) -> Array:
        """The corrected pose (4, 4)."""
        out = np.array(T_map_camera, dtype=np.float64)
        out[:3, :3] = rotation_vector(self.delta[3:]) @ out[:3, :3]
        out[:3, 3] += self.delta[:3]
        return out


DEFAULT = AlignmentConfig()


def align(sightings: Sequence[Sighting], config: AlignmentConfig = DEFAULT) -> list[Correction]:
    """The corrections of all agents, in their order; no change without matches."""
    agents, pairs, remaining = solve(sightings, config)
    return [_correction(agents, a, pairs, remaining) for a in range(len(agents))]


def solve(
    sightings: Sequence[Sighting], config: AlignmentConfig = DEFAULT
) -> tuple[list[PlacedBoxes], dict[tuple[int, int], Pairs], Array]:
    """The agents' boxes where the most probable poses put them, which of them are the same objects, and the covariance
    (6A, 6A) of what remains of the whitened errors."""
    agents = [_prepare(s, config) for s in sightings]
    pairs = associate_all(agents, config)
    remaining = _solve(agents, pairs, config)
    for _ in range(config.rounds - 1):
        pairs = rematch(agents, pairs, config)
        remaining = _solve(agents, pairs, config)
    return agents, pairs, remaining


def matched_boxes(sighting: Sighting, config: AlignmentConfig) -> NDArray[np.int64]:
    """Indices of the boxes that are matched, in the order of PlacedBoxes."""
    scores = np.asarray(sighting.boxes.scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] >= config.min_score][: config.max_boxes]


def _prepare(sighting: Sighting, config: AlignmentConfig) -> PlacedBoxes:
    order = matched_boxes(sighting, config)
    xy = np.asarray(sighting.boxes.centres, np.float64)[order, :2]
    lengths = np.asarray(sighting.boxes.sizes, np.float64)[order, 0]
    values, vectors = np.linalg.eigh(np.asarray(sighting.covariance, np.float64))
    L = vectors * np.sqrt(np.maximum(values, 0.0))
    return PlacedBoxes(xy, lengths, np.asarray(sighting.camera, np.float64), L)


def _solve(
    agents: Sequence[PlacedBoxes],
    pairs: dict[tuple[int, int], Pairs],
    config: AlignmentConfig,
    steps: int = 6,
) -> Array:
    """Sets every agent's u to the most probable value by iteratively reweighted least squares (Geman-McClure), and
    returns the covariance (6A, 6A) of what remains."""
    size = 6 * len(agents)
    share = _shares(agents, pairs)
    variance = config.box_sigma_m**2
    scale = (2.0 * config.box_sigma_m) ** 2 * 2.0
    A: Array = np.eye(size)
    for _ in range(steps):
        A, g = np.eye(size), np.zeros(size)
        at_zero = [n.placed - n.B @ n.u for n in agents]  # linearised at the present estimate
        for (a, b), found in pairs.items():
            i, j = found[:, 0], found[:, 1]
            residual = agents[a].placed[i] - agents[b].placed[j]
            robust = 1.0 / (1.0 + (residual**2).sum(-1) / scale) ** 2
            w = np.repeat(robust * share[a, b] / variance, 2)
            both = np.concatenate([agents[a].B[i], -agents[b].B[j]], axis=2).reshape(-1, 12)
            weighted = (both * w[:, None]).T
            normal, right = weighted @ both, weighted @ (at_zero[b][j] - at_zero[a][i]).ravel()
            sa, sb = slice(6 * a, 6 * a + 6), slice(6 * b, 6 * b + 6)
            for rows, own in ((sa, slice(0, 6)), (sb, slice(6, 12))):
                A[rows, sa] += normal[own, :6]
                A[rows, sb] += normal[own, 6:]
                g[rows] += right[own]
        u = np.asarray(np.linalg.solve(A, g), np.float64)
        for n, agent in enumerate(agents):
            agent.move(u[6 * n : 6 * n + 6])
    return np.asarray(np.linalg.inv(A), np.float64)


def _shares(
    agents: Sequence[PlacedBoxes], pairs: dict[tuple[int, int], Pairs]
) -> dict[tuple[int, int], Array]:
    """Weight of every pair: 1 / the number of agents that see the object, so that no sighting counts twice."""
    start = np.cumsum([0, *(len(a.placed) for a in agents)])
    partners = np.ones(start[-1])
    for (a, b), found in pairs.items():
        np.add.at(partners, start[a] + found[:, 0], 1.0)
        np.add.at(partners, start[b] + found[:, 1], 1.0)
    return {
        (a, b): 2.0 / (partners[start[a] + found[:, 0]] + partners[start[b] + found[:, 1]])
        for (a, b), found in pairs.items()
    }


def _correction(
    agents: Sequence[PlacedBoxes], a: int, pairs: dict[tuple[int, int], Pairs], remaining: Array
) -> Correction:
    seen: set[int] = set()
    for (first, second), found in pairs.items():
        if a in (first, second):
            seen.update(found[:, 0 if a == first else 1].tolist())
    L = agents[a].L
    part = slice(6 * a, 6 * a + 6)
    return Correction(L @ agents[a].u, L @ remaining[part, part] @ L.T, len(seen))
