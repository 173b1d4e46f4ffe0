"""Trajectory prediction: future segmentation, centripetal backward flow and forward shift from the last fused maps.

Two views of one motion. Backward: at step k every foreground cell points to the centre that its object had at step k −
1; following that flow carries the ids of the present instances into the future (as in DHD, FIERY). Forward: every
foreground cell of the present predicts the displacement of its object until step k. A trajectory is the mean of both,
and the future instance is the present one moved along it, which keeps its outline sharp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logit
from torch import Tensor, nn

from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.detection import at_finer_cells, on_finer_cells
from rsdfm_ros.model.heads.losses import hard_cross_entropy, masked_smooth_l1, soft_iou
from rsdfm_ros.model.heads.registry import Head, TaskFeatures, Truth, register_head
from rsdfm_ros.model.heads.segmentation import OFFSET_SCALE_M, InstanceMap, centre_offsets, foreground_weight
from rsdfm_ros.model.layers import per_cell


@dataclass(frozen=True)
class Prediction:
    """Instances now and at the coming steps.

    ids (1 + horizon, H, W) int32 on the output window, the same id meaning the same object · tracks (N,) ids ·
    positions (N, 1 + horizon, 2) m in the map frame · scores (N,) in [0, 1].
    """

    ids: NDArray[np.int32]
    tracks: NDArray[np.int64]
    positions: NDArray[np.float64]
    scores: NDArray[np.float64]


@register_head("trajectory")
class TrajectoryHead(Head):
    """Per coming step a foreground logit on the output lattice, and a backward flow and a forward shift on the feature
    lattice, in OFFSET_SCALE_M: both change little or linearly over an object, so that whole cells suffice."""

    loss_names = ("mask", "iou", "flow", "shift")
    temporal_losses = loss_names

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.mask = nn.Conv2d(config.fine_channels, config.horizon, 1)
        self.flow = nn.Conv2d(config.task_channels + config.motion_channels, 2 * config.horizon, 1)
        self.shift = nn.Conv2d(config.motion_channels, 2 * config.horizon, 1)
        nn.init.constant_(self.mask.bias, -3.0)  # type: ignore[arg-type]  # rare foreground

    def forward(self, features: TaskFeatures) -> dict[str, Tensor]:
        # A projection of both on the feature lattice, each on the lattice where it is.
        weight, own = self.flow.weight, self.config.task_channels
        motion = per_cell(features.motion, weight[:, own:])
        return {
            "logit": per_cell(features.fine, self.mask.weight, self.mask.bias),
            "flow": per_cell(features.cells, weight[:, :own], self.flow.bias)
            + F.interpolate(motion, scale_factor=2.0, mode="nearest"),
            "shift": on_finer_cells(per_cell(features.motion, self.shift.weight, self.shift.bias)),
        }

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        window = self.config.output_window
        n = self.config.horizon
        out = {
            "mask": np.zeros((n, *window.shape), bool),
            "flow": np.zeros((2 * n, *window.shape), np.float32),
            "flow_mask": np.zeros((n, *window.shape), np.float32),
            "shift": np.zeros((2 * n, *window.shape), np.float32),
            "shift_mask": np.zeros((n, *window.shape), np.float32),
            "weight": np.zeros((n, *window.shape), np.float32),
        }
        now = truth.objects[0]
        now_ids = rasterise(now, window)
        here, _ = centre_offsets(now, now_ids, window)
        counted = foreground_weight(now, truth.seen, now_ids)[0]
        for k in range(1, min(n + 1, len(truth.objects))):
            later, before = truth.objects[k], truth.objects[k - 1]
            seen = np.isin(later.ids, truth.objects[0].ids[truth.seen])
            ids = rasterise(later, window)
            flow, mask = centre_offsets(later, ids, window, to=before)
            weight = foreground_weight(later, seen, ids)[0]
            out["mask"][k - 1] = ids > 0
            out["flow"][2 * k - 2 : 2 * k] = flow
            out["flow_mask"][k - 1] = mask[0] * weight
            there, stays = centre_offsets(now, now_ids, window, to=later)
            out["shift"][2 * k - 2 : 2 * k] = (there - here) * stays
            out["shift_mask"][k - 1] = stays[0] * counted
            out["weight"][k - 1] = weight
        return out

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        logit = outputs["logit"].flatten(0, 1)[:, None]
        mask, weight = targets["mask"].flatten(0, 1)[:, None], targets["weight"].flatten(0, 1)[:, None]

        def motion_loss(name: str) -> Tensor:
            where = targets[f"{name}_mask"].flatten(0, 1)[:, None]
            return masked_smooth_l1(_steps(on_finer_cells(outputs[name])), _steps(targets[name]), where)

        return {
            "mask": hard_cross_entropy(logit, mask, weight),
            "iou": soft_iou(logit, mask, weight),
            "flow": motion_loss("flow"),
            "shift": motion_loss("shift"),
        }

    def decode(
        self,
        outputs: dict[str, Tensor],
        present: InstanceMap,
        *,
        threshold: float = 0.5,
        window: Window | None = None,
    ) -> Prediction:
        """Carry the present instances through the predicted steps of the first sample.

        window: where on the lattice the outputs lie; None for the model's own.
        """
        foreground = (outputs["logit"][0].float() > float(logit(threshold))).cpu().numpy()
        flow, shift = (outputs[name][0].float().cpu().numpy() for name in ("flow", "shift"))
        here = window or self.config.output_window
        forward = mean_shift(present, shift)
        positions = follow_flow(foreground, flow, forward, here)
        ids = move_instances(present, positions, foreground, here)
        return Prediction(ids, np.arange(1, len(present.centres) + 1), positions, present.scores)


def _steps(flow: Tensor) -> Tensor:
    """(B, 2n, H, W) → (B n, 2, H, W)."""
    return flow.reshape(-1, 2, *flow.shape[2:])


def mean_shift(present: InstanceMap, shift: NDArray[np.float32]) -> NDArray[np.float64]:
    """Positions (N, 1 + n, 2) m of the present instances by the mean shift of their cells.

    shift (2n, H, W) on the feature lattice, in OFFSET_SCALE_M: (Δx, Δy) from the present to step k at rows 2k, 2k + 1.
    """
    count, steps = len(present.centres), len(shift) // 2
    places = np.flatnonzero(present.ids > 0)  # of booleans, which is several times faster
    label = present.ids.ravel()[places] - 1
    cells = np.bincount(label, minlength=count).clip(min=1)
    values = at_finer_cells(shift, places) * np.float32(OFFSET_SCALE_M)
    sums = [np.bincount(label, weights=row, minlength=count) for row in values]
    moved = (np.array(sums).reshape(2 * steps, count) / cells).T.reshape(count, steps, 2)
    start = present.centres[:, None, :]
    return np.concatenate([start, start + moved], axis=1)


def follow_flow(
    foreground: NDArray[np.bool_],
    flow: NDArray[np.float32],
    forward: NDArray[np.float64],
    window: Window,
    *,
    reach_m: float = 3.0,
) -> NDArray[np.float64]:
    """Positions (N, 1 + n, 2) m: the mean of where `forward` (same shape) has an object and where its cells are.

    Future foreground cells belong to the object whose last position their flow points to. foreground (n, 2H, 2W) · flow
    (2n, H, W) on the feature lattice, in OFFSET_SCALE_M, (Δx, Δy) of step k at rows 2k, 2k + 1. Without a cell of its
    own an object is where `forward` has it.
    """
    positions = forward.copy()
    count = len(positions)
    for k, there in enumerate(foreground):
        cells = np.flatnonzero(there)
        if count == 0 or len(cells) == 0:
            continue
        centres = window.centres_of(cells)
        pointed = centres + at_finer_cells(flow[2 * k : 2 * k + 2], cells).T * np.float32(OFFSET_SCALE_M)
        _, nearest = cKDTree(positions[:, k]).query(pointed, distance_upper_bound=reach_m)
        # Cells that point to no object count for one more.
        number = np.bincount(nearest, minlength=count + 1)[:count]
        own = number > 0
        for axis in range(2):
            total = np.bincount(nearest, weights=centres[:, axis], minlength=count + 1)[:count]
            positions[own, k + 1, axis] = 0.5 * (positions[own, k + 1, axis] + total[own] / number[own])
    return positions


def move_instances(
    present: InstanceMap,
    positions: NDArray[np.float64],
    foreground: NDArray[np.bool_],
    window: Window,
) -> NDArray[np.int32]:
    """Ids (1 + n, H, W) of the present instances and of them moved, by whole cells, to positions (N, 1 + n, 2) m.

    Where two meet, the one with the higher score stands. One without a cell in the foreground (n, H, W) of a step has
    left by then.
    """
    ids = np.zeros((positions.shape[1], *window.shape), np.int32)
    ids[0] = present.ids
    places = np.flatnonzero(present.ids > 0)
    label = present.ids.ravel()[places]
    order = np.argsort(present.scores[label - 1], kind="stable")
    label = label[order]
    i, j = np.divmod(places[order], window.nj)
    shift = np.round((positions - positions[:, :1]) / window.cell_size).astype(np.int64)[label - 1]
    for k, there in enumerate(foreground, start=1):
        to_i, to_j = i + shift[:, k, 0], j + shift[:, k, 1]
        inside = (to_i >= 0) & (to_i < window.ni) & (to_j >= 0) & (to_j < window.nj)
        target, moved = (to_i * window.nj + to_j)[inside], ids[k].reshape(-1)
        moved[target] = label[inside]
        stands = moved[target]
        left = np.bincount(stands[there.ravel()[target]], minlength=len(positions) + 1) == 0
        moved[target[left[stands]]] = 0
    return ids
