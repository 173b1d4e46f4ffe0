"""Object-level correction of the poses of several agents that see the same objects (after the idea of CoAlign).

Every agent gives its boxes and the pose, with covariance, of the camera that saw them. An error δ of that pose (shift
and rotation, 6) moves a box on the ground by J δ (geometry/ground.py): near the camera and far from it differently,
which no rigid motion of the map describes. The most probable errors of all agents together,

    min  Σ_a δ_aᵀ Σ_a⁻¹ δ_a  +  Σ_objects Σ_pairs ρ(|x_i + J_i δ_a − x_j − J_j δ_b|² / σ²) / n,

n being the number of agents that see the object, is a small robust least-squares problem. The covariances are the
prior: an agent with an exact pose stays, few or doubtful matches change little, and nobody is the reference, so that
the mean error of many agents, not that of one, remains.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.ground import ground_shift
from rsdfm_ros.geometry.rotations import rotation_vector

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Sighting:
    """Boxes that one agent reports: centres (N, ≥2) m, sizes (N, ≥2) m, scores (N,) in [0, 1], and its camera: centre
    (3,) m, z above the ground, and covariance (6, 6) of the pose (x y z, then rotation about the map axes)."""

    centres: Array
    sizes: Array
    scores: Array
    camera: Array
    covariance: Array


@dataclass(frozen=True)
class AlignmentConfig:
    """Settings of box matching. Lengths in m.

    box_sigma_m: error of a box's centre from the detector · gate: standard deviations within which boxes match ·
    size_ratio: boxes whose lengths differ by more are of different objects · min_score: boxes below it are not used ·
    max_boxes: of one agent, best first, which bounds memory ·
    min_matches, min_share: two agents are matched only with so many common objects, and if of the boxes around which
    the other agent has boxes too (within near_m) at least that share is common: chance finds a third, and truth nearly
    all · hypotheses: pairs of boxes that are tried as the first one · refined: the best of them that are followed up ·
    rounds: of matching and solving.
    """

    box_sigma_m: float = 0.35
    gate: float = 3.0
    size_ratio: float = 1.6
    min_score: float = 0.3
    max_boxes: int = 64
    min_matches: int = 3
    min_share: float = 0.5
    near_m: float = 8.0
    hypotheses: int = 200
    refined: int = 6
    rounds: int = 4


@dataclass(frozen=True)
class Correction:
    """The corrected pose of one agent: delta (6,) to be applied to it, its covariance (6, 6), how many of
    its boxes found a partner, and the root mean square distance (m) of those to their partners."""

    delta: Array
    covariance: Array
    matches: int = 0
    residual_m: float = 0.0

    def pose(self, T_map_camera: Array) -> Array:
        """The corrected pose (4, 4)."""
        out = np.array(T_map_camera, dtype=np.float64)
        out[:3, :3] = rotation_vector(self.delta[3:]) @ out[:3, :3]
        out[:3, 3] += self.delta[:3]
        return out


@dataclass
class _Agent:
    """A sighting prepared, and where it is put at the present estimate u (6,) of the whitened error.

    seen (N, 2) as it was said · lengths (N,) · camera (3,) · L (6, 6) from whitened to real errors · placed (N, 2) with
    the error removed · B (N, 2, 6): placed moves by B du.
    """

    seen: Array
    lengths: Array
    camera: Array
    L: Array
    u: Array = field(default_factory=lambda: np.zeros(6))
    placed: Array = field(init=False)
    B: Array = field(init=False)

    def __post_init__(self) -> None:
        self.move(self.u)

    def move(self, u: Array) -> None:
        """Take u as the estimate: every box goes where its ray, turned and shifted, meets the ground."""
        delta = self.L @ u
        ground = np.concatenate([self.seen, np.zeros((len(self.seen), 1))], axis=1)
        rays = (ground - self.camera) @ rotation_vector(delta[3:]).T
        centre = self.camera + delta[:3]
        down = np.minimum(rays[:, 2], -1e-3)  # a turn beyond the horizon: far away, but somewhere
        ground[:, :2] = centre[:2] - rays[:, :2] * (centre[2] / down)[:, None]
        self.u, self.placed, self.B = u, ground[:, :2], ground_shift(ground, centre) @ self.L


DEFAULT = AlignmentConfig()


def align(sightings: Sequence[Sighting], config: AlignmentConfig = DEFAULT) -> list[Correction]:
    """The corrections of all agents, in their order; no change where nothing can be said."""
    agents = [_prepare(s, config) for s in sightings]
    pairs: dict[tuple[int, int], Pairs] = {}
    for a, b in itertools.combinations(range(len(agents)), 2):
        found = _associate(agents[a], agents[b], config)
        if len(found):
            pairs[a, b] = found
    remaining = _solve(agents, pairs, config)
    for _ in range(config.rounds - 1):
        pairs = _rematch(agents, pairs, config)
        remaining = _solve(agents, pairs, config)
    return [_correction(agents, a, pairs, remaining) for a in range(len(agents))]


def _prepare(sighting: Sighting, config: AlignmentConfig) -> _Agent:
    scores = np.asarray(sighting.scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= config.min_score][: config.max_boxes]
    xy = np.asarray(sighting.centres, np.float64)[order, :2]
    lengths = np.asarray(sighting.sizes, np.float64)[order, 0]
    values, vectors = np.linalg.eigh(np.asarray(sighting.covariance, np.float64))
    L = vectors * np.sqrt(np.maximum(values, 0.0))
    return _Agent(xy, lengths, np.asarray(sighting.camera, np.float64), L)


def _similar(a: _Agent, b: _Agent, config: AlignmentConfig) -> NDArray[np.bool_]:
    """Mask (Na, Nb) of box pairs whose lengths allow the same object."""
    ratio = np.abs(np.log(a.lengths[:, None] / b.lengths[None]))
    return np.asarray(ratio <= np.log(config.size_ratio))


def _associate(a: _Agent, b: _Agent, config: AlignmentConfig) -> Pairs:
    """Common objects (M, 2) of two agents: each likely pair of boxes alone gives the most probable errors of both
    poses, with which all boxes are compared; the pair that brings most boxes together wins."""
    if not len(a.placed) or not len(b.placed):
        return np.zeros((0, 2), np.int64)
    variance = 2.0 * config.box_sigma_m**2
    similar = _similar(a, b, config)
    apart = b.placed[None] - a.placed[:, None]  # (Na, Nb, 2)
    Ca, Cb = a.B @ a.B.transpose(0, 2, 1), b.B @ b.B.transpose(0, 2, 1)
    S = Ca[:, None] + Cb[None] + variance * np.eye(2)
    squared = np.einsum("abi,abij,abj->ab", apart, np.linalg.inv(S), apart)
    likely = similar & (squared <= config.gate**2)
    ia, ib = np.nonzero(likely)
    if len(ia) == 0:
        return np.zeros((0, 2), np.int64)
    some = np.linspace(0, len(ia) - 1, min(config.hypotheses, len(ia))).astype(np.int64)
    ia, ib = ia[some], ib[some]
    # Most probable errors given that one pair: u = Bᵀ S⁻¹ d.
    weighted = np.linalg.solve(S[ia, ib], apart[ia, ib][..., None])  # (K, 2, 1)
    ua = (a.B[ia].transpose(0, 2, 1) @ weighted)[..., 0]
    ub = -(b.B[ib].transpose(0, 2, 1) @ weighted)[..., 0]
    pa = a.placed[None] + np.einsum("nij,kj->kni", a.B, ua)
    pb = b.placed[None] + np.einsum("nij,kj->kni", b.B, ub)
    distance = ((pa[:, :, None] - pb[:, None]) ** 2).sum(-1)  # (K, Na, Nb)
    distance[:, ~similar] = np.inf
    width = 2.0 * config.box_sigma_m
    support = np.exp(-0.5 * distance.min(axis=2) / width**2).sum(axis=1)
    score = support - 0.5 * (ua**2).sum(-1) - 0.5 * (ub**2).sum(-1)
    best = [_refined(a, b, distance[k], similar, config) for k in np.argsort(-score)[: config.refined]]
    return max(best, key=len)


def _refined(
    a: _Agent, b: _Agent, squared: Array, similar: NDArray[np.bool_], config: AlignmentConfig
) -> Pairs:
    """The pairs (M, 2) after solving for both errors with those that are near at first (squared (Na, Nb) distances),
    and matching anew, a few times; none if that does not end with enough of them."""
    v = 2.0 * config.box_sigma_m**2
    reach = config.gate * 2.0 * config.box_sigma_m
    pairs, apart = _mutual(squared, reach**2), squared
    for _ in range(config.rounds - 1):
        i, j = pairs[:, 0], pairs[:, 1]
        M = np.concatenate([a.B[i], -b.B[j]], axis=2)
        d = b.placed[j] - a.placed[i]
        u = np.linalg.solve(np.eye(12) + np.einsum("nik,nil->kl", M, M) / v, np.einsum("nik,ni->k", M, d) / v)
        apart = (((a.placed + a.B @ u[:6])[:, None] - (b.placed + b.B @ u[6:])[None]) ** 2).sum(-1)
        pairs = _mutual(np.where(similar, apart, np.inf), reach**2)
    return _credible(pairs, apart, config)


def _credible(pairs: Pairs, squared: Array, config: AlignmentConfig) -> Pairs:
    """The pairs (M, 2) if there are enough of them, else none; squared (Na, Nb): distances of all boxes."""
    near = squared <= config.near_m**2
    common = min(int(near.any(axis=1).sum()), int(near.any(axis=0).sum()))
    enough = len(pairs) >= max(config.min_matches, config.min_share * common)
    return pairs if enough else np.zeros((0, 2), np.int64)


def _mutual(squared: Array, limit: float) -> Pairs:
    """Pairs (M, 2) of which each is the other's nearest within the limit."""
    if squared.size == 0:
        return np.zeros((0, 2), np.int64)
    column = squared.argmin(axis=1)
    row = squared.argmin(axis=0)
    own = np.arange(len(column))
    ok = (row[column] == own) & (squared[own, column] <= limit)
    return np.stack([own[ok], column[ok]], axis=1)


def _solve(
    agents: Sequence[_Agent], pairs: dict[tuple[int, int], Pairs], config: AlignmentConfig, steps: int = 6
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
            w = robust * share[a, b] / variance
            Ba, Bb = agents[a].B[i], agents[b].B[j]
            sa, sb = slice(6 * a, 6 * a + 6), slice(6 * b, 6 * b + 6)
            A[sa, sa] += np.einsum("n,nik,nil->kl", w, Ba, Ba)
            A[sb, sb] += np.einsum("n,nik,nil->kl", w, Bb, Bb)
            cross = np.einsum("n,nik,nil->kl", w, Ba, Bb)
            A[sa, sb] -= cross
            A[sb, sa] -= cross.T
            apart = at_zero[b][j] - at_zero[a][i]
            g[sa] += np.einsum("n,nik,ni->k", w, Ba, apart)
            g[sb] -= np.einsum("n,nik,ni->k", w, Bb, apart)
        u = np.asarray(np.linalg.solve(A, g), np.float64)
        for n, agent in enumerate(agents):
            agent.move(u[6 * n : 6 * n + 6])
    return np.asarray(np.linalg.inv(A), np.float64)


def _shares(agents: Sequence[_Agent], pairs: dict[tuple[int, int], Pairs]) -> dict[tuple[int, int], Array]:
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


def _rematch(
    agents: Sequence[_Agent], pairs: dict[tuple[int, int], Pairs], config: AlignmentConfig
) -> dict[tuple[int, int], Pairs]:
    """Common objects of all pairs of agents that matches link, under the present estimate."""
    out: dict[tuple[int, int], Pairs] = {}
    linked = _groups(len(agents), list(pairs))
    for a, b in itertools.combinations(range(len(agents)), 2):
        if linked[a] != linked[b] or not len(agents[a].seen) or not len(agents[b].seen):
            continue
        apart = agents[b].placed[None] - agents[a].placed[:, None]
        squared = (apart**2).sum(-1)
        alike = np.where(_similar(agents[a], agents[b], config), squared, np.inf)
        found = _mutual(alike, (config.gate * 1.5 * config.box_sigma_m) ** 2)
        found = _credible(found, squared, config)
        if len(found):
            out[a, b] = found
    return out


def _groups(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """A label per agent, the same for agents that are linked by matches."""
    label = list(range(count))
    for a, b in edges:
        old, new = label[b], label[a]
        label = [new if v == old else v for v in label]
    return label


def _correction(
    agents: Sequence[_Agent], a: int, pairs: dict[tuple[int, int], Pairs], remaining: Array
) -> Correction:
    seen: set[int] = set()
    squares: list[Array] = []
    for (first, second), found in pairs.items():
        if a in (first, second):
            seen.update(found[:, 0 if a == first else 1].tolist())
            apart = agents[first].placed[found[:, 0]] - agents[second].placed[found[:, 1]]
            squares.append((apart**2).sum(-1))
    residual = float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0
    L = agents[a].L
    part = slice(6 * a, 6 * a + 6)
    return Correction(L @ agents[a].u, L @ remaining[part, part] @ L.T, len(seen), residual)
