"""Vehicles where none stands: features of vehicles that the attacker sees, copied to free places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from rsdfm_ros.data.outputs import join_boxes
from rsdfm_ros.evaluation.attacks.maps import AgentMap, copied, priority_of, under, vehicles_of
from rsdfm_ros.geometry.lattice import Window

VEHICLES = 16
"""Vehicles that an attacker fabricates, at most."""
CANDIDATES = 400
"""Places that are drawn; they stay the same over a scene."""
CLEAR_M = 4.0
"""A free place is seen, and free of vehicles, up to this distance."""
APART_M = 8.0
"""Least distance between fabricated vehicles."""
DONOR_SCORE, DONOR_LENGTH_M = 0.5, 6.0
"""Vehicles that are copied: from this score on, and up to this length."""


def candidate_places(window: Window, seed: Sequence[int]) -> NDArray[np.float64]:
    """Places (CANDIDATES, 2) in metres, evenly over a window."""
    x0, y0, x1, y1 = window.bounds
    return np.random.default_rng(list(seed)).uniform((x0, y0), (x1, y1), (CANDIDATES, 2))


def free_places(seen: AgentMap, window: Window, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the places (n, 2) are free in an agent's map."""
    free = seen.bev.visible.cpu().numpy() & (under(vehicles_of(seen.boxes), window) == 0)
    reach = round(CLEAR_M / window.cell_size)
    axis = np.arange(-reach, reach + 1)
    clear = binary_erosion(free, np.hypot(axis[:, None], axis) <= reach)
    i, j = window.cells(places).T
    return np.asarray(clear[i, j])


def agreed_places(places: NDArray[np.float64], free: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The places (n, 2) that several attackers fabricate vehicles at: those that are free to at least two of them, if
    there are two, and first those that are free to most. free (attackers, n)."""
    number = free.sum(axis=0)
    order = np.argsort(-number, kind="stable")
    return places[order[number[order] >= min(2, len(free))]]


def fabricated(seen: AgentMap, window: Window, places: NDArray[np.float64]) -> AgentMap:
    """The map with up to VEHICLES more vehicles, copies of the surest ones in it, at the first free ones of the places
    (n, 2), and with their boxes; the same map if there is no vehicle to copy."""
    known = vehicles_of(seen.boxes, DONOR_SCORE)
    known = known.select(known.sizes[:, 0] <= DONOR_LENGTH_M)
    known = known.select(np.argsort(-known.scores, kind="stable"))
    cells_of = under(known, window)
    visible = seen.bev.visible.cpu().numpy()
    donors = [n for n in range(len(known)) if (cells_of == n + 1).any() and visible[cells_of == n + 1].all()]
    if not donors:
        return seen
    targets, sources, boxes, taken = [], [], [seen.boxes], np.zeros((0, 2))
    for place in places[free_places(seen, window, places)]:
        if len(taken) == VEHICLES:
            break
        if len(taken) and np.linalg.norm(taken - place, axis=1).min() < APART_M:
            continue
        donor = donors[len(taken) % len(donors)]
        i, j = np.nonzero(cells_of == donor + 1)
        centre = known.centres[donor]
        di, dj = np.round((place - centre[:2]) / window.cell_size).astype(np.int64)
        shift_m = np.array([di, dj, 0.0]) * window.cell_size
        sources.append(i * window.nj + j)
        targets.append((i + di) * window.nj + j + dj)
        one = known.select(np.array([donor]))
        boxes.append(replace(one, centres=one.centres + shift_m, velocities=np.zeros((1, 2))))
        taken = np.vstack([taken, place])
    if not targets:
        return seen
    altered = np.concatenate(targets)
    return AgentMap(
        copied(seen.bev, altered, np.concatenate(sources)), join_boxes(boxes), priority_of(altered, window)
    )
