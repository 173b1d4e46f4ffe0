"""A map and boxes that lie some metres beside the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rsdfm_ros.evaluation.attacks.maps import AgentMap
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import AgentBev, map_of, rows_of

SHIFT_M = (3.0, 10.0)
"""Shifts are drawn evenly from this range, and evenly in direction."""


def shift_cells(window: Window, seed: Sequence[int]) -> tuple[int, int]:
    """The shift in whole cells that is nearest to one drawn from SHIFT_M."""
    rng = np.random.default_rng(list(seed))
    length, direction = rng.uniform(*SHIFT_M) / window.cell_size, rng.uniform(-math.pi, math.pi)
    return round(length * math.cos(direction)), round(length * math.sin(direction))


def shifted(seen: AgentMap, window: Window, cells: tuple[int, int]) -> AgentMap:
    """The map and its boxes moved by so many cells; what leaves the window is lost, what enters it is unseen."""
    bev = seen.bev
    here = np.arange(bev.visible.numel()).reshape(bev.visible.shape)
    to, source = (_overlap(here, cells, sign) for sign in (1, -1))
    device = bev.visible.device
    target, origin = (torch.from_numpy(v).to(device) for v in (to, source))
    old = rows_of(bev.features)
    rows, visible = torch.zeros_like(old), torch.zeros_like(bev.visible.flatten())
    rows[target], visible[target] = old[origin], bev.visible.flatten()[origin]
    shape = (bev.visible.shape[0], bev.visible.shape[1])
    shift_m = np.array([*cells, 0.0]) * window.cell_size
    return AgentMap(
        AgentBev(map_of(rows, shape), visible.view(shape), bev.sigma),
        replace(seen.boxes, centres=seen.boxes.centres + shift_m),
    )


def _overlap(index: np.ndarray, cells: tuple[int, int], sign: int) -> np.ndarray:
    """Indices of the cells that a shift has as targets (sign 1) or takes as sources (sign −1)."""
    parts = [slice(max(0, sign * c), n + min(0, sign * c)) for c, n in zip(cells, index.shape, strict=True)]
    return index[tuple(parts)].ravel().copy()
