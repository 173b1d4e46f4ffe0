"""Matches boxes of several agents whose poses are uncertain: which of them are the same object."""

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


MOST_MOVED_M = 1e4
"""Largest move of a box by one standard deviation of its pose that is told apart: beyond it the box may be anywhere.
The bound keeps every matrix that is inverted well-conditioned, whatever pose and covariance an agent reports."""


@dataclass(frozen=True)
class AlignmentConfig:
    """Settings of box matching. Lengths in m.

    box_sigma_m: error of a box's centre from the detector · gate: standard deviations within which boxes match ·
    size_ratio: boxes whose lengths differ by more are of different objects · min_score: boxes below it are not used ·
    max_boxes: of one agent, best first, which bounds memory ·
    min_matches, min_share: two agents are matched only with so many common objects, and if of the boxes around which
    the other agent has boxes too (within near_m) at least that share is common: chance finds a third, and truth nearly
    all · partners: agents that each is matched with beside the first one, so that the time is proportional to the
    number of agents · hypotheses: pairs of boxes that are tried as the first one · refined: the best of them that are
    followed up · rounds: of matching and solving.
    """

    box_sigma_m: float = 0.35
    gate: float = 3.0
    size_ratio: float = 1.6
    min_score: float = 0.3
    max_boxes: int = 64
    min_matches: int = 3
    min_share: float = 0.5
    near_m: float = 8.0
    partners: int = 3
    hypotheses: int = 200
    refined: int = 6
    rounds: int = 4


@dataclass
class PlacedBoxes:
    """A sighting prepared, and where it is put at the present estimate u (6,) of the whitened error.

    seen (N, 2) as reported · lengths (N,) · camera (3,) · L (6, 6) from whitened to real errors · placed (N, 2) with
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
        down = np.minimum(rays[:, 2], -1e-3)  # a rotation beyond the horizon: far away, but finite
        ground[:, :2] = centre[:2] - rays[:, :2] * (centre[2] / down)[:, None]
        B = ground_shift(ground, centre) @ self.L
        self.u, self.placed, self.B = u, ground[:, :2], B.clip(-MOST_MOVED_M, MOST_MOVED_M)


def associate_all(agents: Sequence[PlacedBoxes], config: AlignmentConfig) -> dict[tuple[int, int], Pairs]:
    """Common objects of pairs of agents (see AlignmentConfig.partners) that have enough of them."""
    out: dict[tuple[int, int], Pairs] = {}
    for a, b in candidates(agents, config):
        found = _associate(agents[a], agents[b], config)
        if len(found):
            out[a, b] = found
    return out


def rematch(
    agents: Sequence[PlacedBoxes], pairs: dict[tuple[int, int], Pairs], config: AlignmentConfig
) -> dict[tuple[int, int], Pairs]:
    """Common objects of pairs of agents that matches link, under the present estimate."""
    out: dict[tuple[int, int], Pairs] = {}
    linked = _groups(len(agents), list(pairs))
    for a, b in candidates(agents, config):
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


def candidates(agents: Sequence[PlacedBoxes], config: AlignmentConfig) -> list[tuple[int, int]]:
    """Pairs of agents to be matched: the first one with all, and every one with those whose boxes lie nearest."""
    if len(agents) <= config.partners + 1:
        return list(itertools.combinations(range(len(agents)), 2))
    middle = np.array([a.seen.mean(axis=0) if len(a.seen) else (np.nan, np.nan) for a in agents])
    apart = np.linalg.norm(middle[:, None] - middle[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1, kind="stable")[:, : config.partners]
    pairs = {(0, n) for n in range(1, len(agents))}
    for n, row in enumerate(nearest.tolist()):
        pairs |= {(min(n, m), max(n, m)) for m in row if np.isfinite(apart[n, m])}
    return sorted(pairs)


def _groups(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """A label per agent, the same for agents that are linked by matches."""
    label = list(range(count))
    for a, b in edges:
        old, new = label[b], label[a]
        label = [new if v == old else v for v in label]
    return label


def _similar(a: PlacedBoxes, b: PlacedBoxes, config: AlignmentConfig) -> NDArray[np.bool_]:
    """Mask (Na, Nb) of box pairs whose lengths allow the same object."""
    ratio = np.abs(np.log(a.lengths[:, None] / b.lengths[None]))
    return np.asarray(ratio <= np.log(config.size_ratio))


def _associate(a: PlacedBoxes, b: PlacedBoxes, config: AlignmentConfig) -> Pairs:
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
    dx = pa[:, :, None, 0] - pb[:, None, :, 0]
    dy = pa[:, :, None, 1] - pb[:, None, :, 1]
    distance = dx * dx + dy * dy  # (K, Na, Nb)
    distance[:, ~similar] = np.inf
    width = 2.0 * config.box_sigma_m
    support = np.exp(-0.5 * distance.min(axis=2) / width**2).sum(axis=1)
    score = support - 0.5 * (ua**2).sum(-1) - 0.5 * (ub**2).sum(-1)
    # Several hypotheses often bring the same boxes together: each set is followed up once.
    several: dict[bytes, tuple[Pairs, Array]] = {}
    for k in np.argsort(-score)[: config.refined]:
        pairs = _mutual(distance[k], _reach(config) ** 2)
        several.setdefault(pairs.tobytes(), (pairs, distance[k]))
    best = [_refined(a, b, pairs, squared, similar, config) for pairs, squared in several.values()]
    return max(best, key=len)


def _reach(config: AlignmentConfig) -> float:
    """Distance up to which boxes match before the errors of the poses are known well."""
    return config.gate * 2.0 * config.box_sigma_m


def _refined(
    a: PlacedBoxes,
    b: PlacedBoxes,
    pairs: Pairs,
    squared: Array,
    similar: NDArray[np.bool_],
    config: AlignmentConfig,
) -> Pairs:
    """The pairs (M, 2) after solving for both errors with those that are near at first (squared (Na, Nb) distances),
    and matching anew, a few times; none if that does not end with enough of them."""
    v, apart = 2.0 * config.box_sigma_m**2, squared
    for _ in range(config.rounds - 1):
        i, j = pairs[:, 0], pairs[:, 1]
        M = np.concatenate([a.B[i], -b.B[j]], axis=2)
        d = b.placed[j] - a.placed[i]
        u = np.linalg.solve(np.eye(12) + np.einsum("nik,nil->kl", M, M) / v, np.einsum("nik,ni->k", M, d) / v)
        apart = (((a.placed + a.B @ u[:6])[:, None] - (b.placed + b.B @ u[6:])[None]) ** 2).sum(-1)
        pairs = _mutual(np.where(similar, apart, np.inf), _reach(config) ** 2)
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
