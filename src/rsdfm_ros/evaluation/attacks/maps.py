"""What an attacker knows and sends at the level of maps, and where vehicles stand in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.boxes import rasterise_boxes
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import AgentBev, map_of, rows_of

MARGIN_M = 1.0
"""Features of a vehicle reach so far around its box."""
SEEN_SCORE = 0.3
"""Boxes from this score on count as vehicles to an attacker."""
UNALTERED = 0.05
"""Priority of unaltered cells where those that matter have 1: an attacker fills its packets with its lies first."""


@dataclass(frozen=True)
class AgentMap:
    """The map of an agent on a window, its boxes, and the priority (H, W) in [0, 1] of its cells for sending, None
    for that of an honest sender."""

    bev: AgentBev
    boxes: Boxes
    priority: NDArray[np.float32] | None = None


def vehicles_of(boxes: Boxes, least: float = SEEN_SCORE) -> Boxes:
    """The boxes of at least that score."""
    return boxes.select(boxes.scores >= least)


def under(boxes: Boxes, window: Window) -> NDArray[np.int32]:
    """Cells (H, W) of each box with MARGIN_M around it: 1 + its index, 0 where there is none."""
    return rasterise_boxes(
        np.arange(1, len(boxes) + 1), boxes.centres, boxes.sizes + 2 * MARGIN_M, boxes.yaws, window
    )


def copied(
    bev: AgentBev,
    targets: NDArray[np.int64],
    sources: NDArray[np.int64],
    unseen: NDArray[np.int64] | None = None,
) -> AgentBev:
    """The map whose cells `targets` (n,) have the features of its cells `sources` (n,), and where the cells `unseen`
    are not seen; all are indices into the H·W cells."""
    h, w = bev.visible.shape
    device = bev.visible.device
    rows, visible = rows_of(bev.features).clone(), bev.visible.flatten().clone()
    to, source = (torch.from_numpy(v).to(device) for v in (targets, sources))
    rows[to] = rows_of(bev.features)[source]
    visible[to] = bev.visible.flatten()[source]
    if unseen is not None:
        nothing = torch.from_numpy(unseen).to(device)
        rows[nothing], visible[nothing] = 0.0, False
    return replace(bev, content=map_of(rows, (h, w)), visible=visible.view(h, w))


def priority_of(cells: NDArray[np.int64], window: Window) -> NDArray[np.float32]:
    """Priority (H, W) of a map in which the cells (n,) matter."""
    out = np.full(window.shape, UNALTERED, np.float32)
    out.flat[cells] = 1.0
    return out
