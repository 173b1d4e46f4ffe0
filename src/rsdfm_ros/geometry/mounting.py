"""Constant errors of how cameras are mounted, from objects that several UAVs see at many instants.

The correction of poses (geometry/alignment.py) finds which boxes of an instant are the same object. A camera that is
mounted wrongly by a rotation ε about its own axes turns every pose by the same ε, whereas errors of the poses
themselves differ from instant to instant. Over all instants k, agents a and common objects,

    min  Σ |ε_a|² / σ_ε² + Σ_k Σ_a δ_kaᵀ Σ_ka⁻¹ δ_ka
         + Σ_k Σ_pairs ρ(|x_i + J_i (δ_ka + M_ka ε_a) − x_j − J_j (δ_kb + M_kb ε_b)|² / σ²),

with M = (0, R_map_camera). The δ of an instant are eliminated before the next one is added (Schur complement), so that
the system has three unknowns per agent however long the flight was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsdfm_ros.geometry.alignment import DEFAULT, Sighting, matched_boxes, solve
from rsdfm_ros.geometry.box_matching import AlignmentConfig, Array, Pairs
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.ground import ground_shift
from rsdfm_ros.geometry.rotations import rotation_vector

PRIOR_RAD = np.deg2rad(3.0)
"""Standard deviation of mounting errors before anything is known."""
ROUNDS = 3


@dataclass(frozen=True)
class MountSighting:
    """What one agent saw at an instant. boxes, camera, covariance: as in Sighting · R_map_camera (3, 3)."""

    boxes: Detections
    camera: Array
    covariance: Array
    R_map_camera: Array


@dataclass(frozen=True)
class Mount:
    """rotation (3,): rad about the camera's axes (right, down, forward), by which T_body_camera is to be turned: T ·
    exp(rotation) · sigma (3,): its standard deviations · matches: common objects over all instants."""

    rotation: Array
    sigma: Array
    matches: int


def solve_mounts(
    instants: Sequence[Mapping[str, MountSighting]],
    config: AlignmentConfig = DEFAULT,
    *,
    alike: float = 1.0,
) -> dict[str, Mount]:
    """The mounting errors of all agents by name. Instants with one agent tell nothing. alike: so many instants in a row
    have the same errors of boxes, and count as one in the uncertainty."""
    names = sorted({name for instant in instants for name in instant})
    index = {name: 3 * n for n, name in enumerate(names)}
    eps = np.zeros(3 * len(names))
    prior = np.eye(len(eps)) / PRIOR_RAD**2
    system, matches, squared, rows = prior.copy(), dict.fromkeys(names, 0), 0.0, 0
    for _ in range(ROUNDS):
        system, right = prior.copy(), -prior @ eps
        matches, squared, rows = dict.fromkeys(names, 0), 0.0, 0
        for instant in instants:
            part = _instant(instant, {n: eps[i : i + 3] for n, i in index.items()}, config)
            if part is None:
                continue
            where = np.concatenate([np.arange(index[n], index[n] + 3) for n in instant])
            system[np.ix_(where, where)] += part.system
            right[where] += part.right
            squared += part.squared
            rows += part.rows
            for name, number in part.matches.items():
                matches[name] += number
        eps = eps + np.linalg.solve(system, right)
    # The errors of boxes are those that were found, not those that were supposed.
    free = max(rows - len(eps), 1)
    scale = alike * max(squared / free, 1e-6) if rows else 1.0
    covariance = np.linalg.inv((system - prior) / scale + prior)
    sigma = np.sqrt(np.diag(covariance))
    return {n: Mount(eps[i : i + 3], sigma[i : i + 3], matches[n]) for n, i in index.items()}


@dataclass(frozen=True)
class _Part:
    """What one instant says: the reduced normal equations, the weighted sum of squared errors of its rows."""

    system: Array
    right: Array
    squared: float
    rows: int
    matches: dict[str, int]


def _instant(
    instant: Mapping[str, MountSighting], eps: Mapping[str, Array], config: AlignmentConfig
) -> _Part | None:
    names = list(instant)
    if len(names) < 2:
        return None
    turned = [_turned(instant[n], eps[n]) for n in names]
    # Boxes are matched with room for the mounting error; its own prior is that of ε.
    wide = np.diag([0.0, 0.0, 0.0, *[PRIOR_RAD**2] * 3])
    loose = [replace(s, covariance=s.covariance + wide) for s in turned]
    agents, pairs, _ = solve(loose, config)
    if not any(len(found) for found in pairs.values()):
        return None
    order = [matched_boxes(s, config) for s in turned]
    points = [np.asarray(s.boxes.centres, np.float64)[o, :2] for s, o in zip(turned, order, strict=True)]
    assert all(len(p) == len(a.seen) for p, a in zip(points, agents, strict=True))
    J = [
        ground_shift(np.column_stack([p, np.zeros(len(p))]), s.camera)
        for p, s in zip(points, turned, strict=True)
    ]
    roots = [_root(s.covariance) for s in turned]
    axes = [instant[n].R_map_camera for n in names]
    n = len(names)
    A = np.zeros((9 * n, 9 * n))  # errors of poses (6n, whitened), then mounts (3n)
    A[: 6 * n, : 6 * n] = np.eye(6 * n)
    g = np.zeros(9 * n)
    seen: list[set[int]] = [set() for _ in names]
    all_rows: list[tuple[Array, Array, Array]] = []
    for (a, b), found in pairs.items():
        H, r, w = _rows(a, b, found, points, J, roots, axes, config)
        A += (H * w[:, None]).T @ H
        g -= (H * w[:, None]).T @ r
        all_rows.append((H, r, w))
        seen[a].update(found[:, 0].tolist())
        seen[b].update(found[:, 1].tolist())
    k = 6 * n
    reduced = np.linalg.solve(A[:k, :k], np.column_stack([A[:k, k:], g[:k]]))
    u = reduced[:, -1]
    squared = sum(float((w * (r + H[:, :k] @ u) ** 2).sum()) for H, r, w in all_rows)
    return _Part(
        A[k:, k:] - A[k:, :k] @ reduced[:, :-1],
        g[k:] - A[k:, :k] @ u,
        squared + float(u @ u),
        sum(len(r) for _, r, _ in all_rows),
        {name: len(s) for name, s in zip(names, seen, strict=True)},
    )


def _rows(
    a: int,
    b: int,
    found: Pairs,
    points: Sequence[Array],
    J: Sequence[Array],
    roots: Sequence[Array],
    axes: Sequence[Array],
    config: AlignmentConfig,
) -> tuple[Array, Array, Array]:
    """Rows (2M, 9n) of the common objects of two agents, their errors (2M,) and weights (2M,)."""
    n, m = len(points), len(found)
    residual = points[a][found[:, 0]] - points[b][found[:, 1]]
    H = np.zeros((m, 2, 9 * n))
    for agent, sign, column in ((a, 1.0, 0), (b, -1.0, 1)):
        of = J[agent][found[:, column]]
        H[:, :, 6 * agent : 6 * agent + 6] = sign * of @ roots[agent]
        H[:, :, 6 * n + 3 * agent : 6 * n + 3 * agent + 3] = sign * of[..., 3:] @ axes[agent]
    # As far as the pose and mount explain it, an error is none: the rest is weighed robustly.
    spread = np.einsum("mik,mik->m", H[:, :, : 6 * n], H[:, :, : 6 * n])
    variance = 2.0 * config.box_sigma_m**2
    room = variance + spread + PRIOR_RAD**2 * np.einsum("mik,mik->m", H[:, :, 6 * n :], H[:, :, 6 * n :])
    robust = 1.0 / (1.0 + (residual**2).sum(-1) / (8.0 * room)) ** 2
    return H.reshape(2 * m, -1), residual.ravel(), np.repeat(robust / variance, 2)


def _turned(sighting: MountSighting, eps: Array) -> Sighting:
    """The sighting as from a camera turned by eps about its own axes."""
    R = sighting.R_map_camera
    turn = R @ rotation_vector(eps) @ R.T
    centres = np.array(sighting.boxes.centres, np.float64)
    ground = centres.copy()
    ground[:, 2] = 0.0
    rays = (ground - sighting.camera) @ turn.T
    down = np.minimum(rays[:, 2], -1e-3)
    centres[:, :2] = sighting.camera[:2] - rays[:, :2] * (sighting.camera[2] / down)[:, None]
    return Sighting(replace(sighting.boxes, centres=centres), sighting.camera, sighting.covariance)


def _root(covariance: Array) -> Array:
    """(6, 6) from whitened to real errors."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
