"""Vehicles that vanish: features of empty road where they stand, and no boxes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.evaluation.attacks.maps import SEEN_SCORE, AgentMap, copied, priority_of, under, vehicles_of
from rsdfm_ros.geometry.lattice import Window

REACH_CELLS = 24
"""Empty road is looked for up to this distance."""


def erased(seen: AgentMap, window: Window) -> AgentMap:
    """The map without the vehicles that the attacker sees.

    The cells of each take their features from the nearest place, by whole cells, that is seen and free of vehicles;
    where there is none within REACH_CELLS, they count as unseen.
    """
    vehicles = vehicles_of(seen.boxes)
    cells_of = under(vehicles, window)
    visible = seen.bev.visible.cpu().numpy()
    free, shifts = visible & (cells_of == 0), _shifts()
    targets, sources, unseen = [], [], [np.zeros(0, np.int64)]
    for n in range(1, len(vehicles) + 1):
        i, j = np.nonzero((cells_of == n) & visible)
        if not len(i):
            continue
        here = i * window.nj + j
        shift = _first_free(free, i, j, shifts)
        if shift is None:
            unseen.append(here)
            continue
        targets.append(here)
        sources.append((i + shift[0]) * window.nj + j + shift[1])
    none = [np.zeros(0, np.int64)]
    altered = np.concatenate(targets or none)
    bev = copied(seen.bev, altered, np.concatenate(sources or none), np.concatenate(unseen))
    return AgentMap(bev, seen.boxes.select(seen.boxes.scores < SEEN_SCORE), priority_of(altered, window))


def _shifts() -> NDArray[np.int64]:
    """All shifts (n, 2) up to REACH_CELLS, the nearest first."""
    axis = np.arange(-REACH_CELLS, REACH_CELLS + 1)
    every = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.hypot(*every.T)
    order = np.argsort(distance, kind="stable")
    return every[order[distance[order] <= REACH_CELLS]]


def _first_free(
    free: NDArray[np.bool_], i: NDArray[np.int64], j: NDArray[np.int64], shifts: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The first of the shifts by which the cells (i, j) all come to free ones."""
    to_i, to_j = i + shifts[:, :1], j + shifts[:, 1:]
    inside = (to_i >= 0) & (to_i < free.shape[0]) & (to_j >= 0) & (to_j < free.shape[1])
    good = (inside & free[to_i.clip(0, free.shape[0] - 1), to_j.clip(0, free.shape[1] - 1)]).all(axis=1)
    return shifts[good.argmax()] if good.any() else None
