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
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.detection import on_finer_cells
from rsdfm_ros.model.heads.losses import hard_cross_entropy, masked_smooth_l1, soft_iou
from rsdfm_ros.model.heads.registry import Head, TaskFeatures, Truth, register_head
from rsdfm_ros.model.heads.segmentation import OFFSET_SCALE_M, InstanceMap, centre_offsets, foreground_weight


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
        motion = F.interpolate(features.motion, scale_factor=2.0, mode="nearest")
        return {
            "logit": self.mask(features.fine),
            "flow": self.flow(torch.cat([features.cells, motion], dim=1)),
            "shift": on_finer_cells(self.shift(features.motion)),
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
        probability = torch.sigmoid(outputs["logit"][0].float()).cpu().numpy()
        flow, shift = (
            (on_finer_cells(outputs[name][:1])[0] * OFFSET_SCALE_M).cpu().numpy()
            for name in ("flow", "shift")
        )
        here = window or self.config.output_window
        forward = mean_shift(present, shift)
        positions = follow_flow(present, probability, flow, forward, here, threshold=threshold)
        ids = move_instances(present, positions, here)
        ids[1:] *= likely(ids[1:], probability, len(present.centres), threshold)
        return Prediction(ids, np.arange(1, len(present.centres) + 1), positions, present.scores)


def _steps(flow: Tensor) -> Tensor:
    """(B, 2n, H, W) → (B n, 2, H, W)."""
    return flow.reshape(-1, 2, *flow.shape[2:])


def mean_shift(present: InstanceMap, shift: NDArray[np.float32]) -> NDArray[np.float64]:
    """Positions (N, 1 + n, 2) m of the present instances by the mean shift of their cells.

    shift (2n, H, W) in metres: (Δx, Δy) from the present to step k at rows 2k, 2k + 1.
    """
    count, steps = len(present.centres), len(shift) // 2
    i, j = np.nonzero(present.ids)
    label = present.ids[i, j] - 1
    cells = np.bincount(label, minlength=count).clip(min=1)
    sums = [np.bincount(label, weights=row[i, j], minlength=count) for row in shift]
    moved = (np.array(sums).reshape(2 * steps, count) / cells).T.reshape(count, steps, 2)
    start = present.centres[:, None, :]
    return np.concatenate([start, start + moved], axis=1)


def follow_flow(
    present: InstanceMap,
    probability: NDArray[np.float32],
    flow: NDArray[np.float32],
    forward: NDArray[np.float64],
    window: Window,
    *,
    threshold: float = 0.5,
    reach_m: float = 3.0,
) -> NDArray[np.float64]:
    """Positions (N, 1 + n, 2) m: the mean of where `forward` (same shape) has an object and where its cells are.

    Future foreground cells belong to the object whose last position their flow points to. probability (n, H, W) · flow
    (2n, H, W) in metres, (Δx, Δy) of step k at rows 2k, 2k + 1. Without a cell of its own an object is where `forward`
    has it.
    """
    positions = forward.copy()
    count = len(positions)
    centres = window.centres()
    for k in range(len(probability)):
        i, j = np.nonzero(probability[k] > threshold)
        if count == 0 or len(i) == 0:
            continue
        pointed = centres[i, j] + flow[2 * k : 2 * k + 2, i, j].T
        distance, nearest = cKDTree(positions[:, k]).query(pointed, distance_upper_bound=reach_m)
        found = np.isfinite(distance)
        i, j, nearest = i[found], j[found], nearest[found]
        cells = np.bincount(nearest, minlength=count)
        for axis in range(2):
            mean = np.bincount(nearest, weights=centres[i, j, axis], minlength=count) / cells.clip(min=1)
            there = cells > 0
            positions[there, k + 1, axis] = 0.5 * (positions[there, k + 1, axis] + mean[there])
    return positions


def likely(
    ids: NDArray[np.int32], probability: NDArray[np.float32], count: int, threshold: float
) -> NDArray[np.bool_]:
    """Mask of objects with a cell that reaches the foreground probability at that step; the others have left."""
    best = np.zeros((len(ids), count + 1), np.float32)
    for k in range(len(ids)):
        np.maximum.at(best[k], ids[k].ravel(), probability[k].ravel())
    return np.take_along_axis(best, ids.reshape(len(ids), -1), axis=1).reshape(ids.shape) > threshold


def move_instances(present: InstanceMap, positions: NDArray[np.float64], window: Window) -> NDArray[np.int32]:
    """Ids (1 + n, H, W) of the present instances and of them moved, by whole cells, to positions (N, 1 + n, 2) m.

    Where two meet, the one with the higher score stands.
    """
    steps = positions.shape[1]
    ids = np.zeros((steps, *window.shape), np.int32)
    ids[0] = present.ids
    i, j = np.nonzero(present.ids)
    label = present.ids[i, j]
    order = np.argsort(present.scores[label - 1], kind="stable")
    i, j, label = i[order], j[order], label[order]
    cells = np.round((positions - positions[:, :1]) / window.cell_size).astype(np.int64)
    for k in range(1, steps):
        to = np.stack([i, j], axis=1) + cells[label - 1, k]
        inside = window.contains(to)
        ids[k, to[inside, 0], to[inside, 1]] = label[inside]
    return ids
