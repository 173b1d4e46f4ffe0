"""Trajectory prediction: future segmentation and centripetal backward flow from the last fused maps.

At step k every foreground cell points to the centre that its object had at step k − 1; following that flow carries
the ids of the present instances into the future.
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
from rsdfm_ros.model.heads.detection import MotionBranch
from rsdfm_ros.model.heads.losses import hard_cross_entropy, masked_smooth_l1, soft_iou
from rsdfm_ros.model.heads.registry import Head, Truth, register_head
from rsdfm_ros.model.heads.segmentation import OFFSET_SCALE_M, InstanceMap, centre_offsets, foreground_weight
from rsdfm_ros.model.heads.temporal import HistoryBranch
from rsdfm_ros.model.layers import ResidualBlock, conv_bn


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
    """Per coming step a foreground logit and a backward flow, on the output lattice."""

    temporal = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.motion = MotionBranch(config.channels, config.history, 64)
        self.present = nn.Conv2d(config.channels, 64, 1)
        self.past = HistoryBranch(config.channels, config.history, 64)
        self.merge = nn.Sequential(conv_bn(64, 64), ResidualBlock(64, 64))
        self.expand = nn.Sequential(nn.Conv2d(64, 4 * 32, 1, bias=False), nn.BatchNorm2d(128))
        self.refine = ResidualBlock(32, 32)
        self.out = nn.Conv2d(32, 3 * config.horizon, 3, 1, 1)

    def forward(self, history: Tensor) -> dict[str, Tensor]:
        motion = F.interpolate(self.motion(history), scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.merge(torch.relu(motion + self.present(history[:, -1]) + self.past(history)))
        x = self.out(self.refine(torch.relu(F.pixel_shuffle(self.expand(x), 2))))
        n = self.config.horizon
        return {"logit": x[:, :n], "flow": x[:, n:]}

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        window = self.config.output_window
        n = self.config.horizon
        out = {
            "mask": np.zeros((n, *window.shape), bool),
            "flow": np.zeros((2 * n, *window.shape), np.float32),
            "flow_mask": np.zeros((n, *window.shape), np.float32),
            "weight": np.zeros((n, *window.shape), np.float32),
        }
        for k in range(1, min(n + 1, len(truth.objects))):
            later, before = truth.objects[k], truth.objects[k - 1]
            seen = np.isin(later.ids, truth.objects[0].ids[truth.seen])
            ids = rasterise(later, window)
            flow, mask = centre_offsets(later, ids, window, to=before)
            weight = foreground_weight(later, seen, ids)[0]
            out["mask"][k - 1] = ids > 0
            out["flow"][2 * k - 2 : 2 * k] = flow
            out["flow_mask"][k - 1] = mask[0] * weight
            out["weight"][k - 1] = weight
        return out

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        logit = outputs["logit"].flatten(0, 1)[:, None]
        mask, weight = targets["mask"].flatten(0, 1)[:, None], targets["weight"].flatten(0, 1)[:, None]
        flow = _steps(outputs["flow"])
        flow_target = _steps(targets["flow"])
        return {
            "mask": hard_cross_entropy(logit, mask, weight),
            "iou": soft_iou(logit, mask, weight),
            "flow": masked_smooth_l1(flow, flow_target, targets["flow_mask"].flatten(0, 1)[:, None]),
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
        flow = (outputs["flow"][0].float() * OFFSET_SCALE_M).cpu().numpy()
        here = window or self.config.output_window
        return follow_flow(present, probability, flow, here, threshold=threshold)


def _steps(flow: Tensor) -> Tensor:
    """(B, 2n, H, W) → (B n, 2, H, W)."""
    return flow.reshape(-1, 2, *flow.shape[2:])


def follow_flow(
    present: InstanceMap,
    probability: NDArray[np.float32],
    flow: NDArray[np.float32],
    window: Window,
    *,
    threshold: float = 0.5,
    reach_m: float = 3.0,
) -> Prediction:
    """Ids of future foreground cells: each takes the id of the object whose last centre its flow points to.

    probability (n, H, W) · flow (2n, H, W) in metres, (Δx, Δy) of step k at rows 2k, 2k + 1. An object without
    cells at a step moves on by its last displacement.
    """
    steps, count = len(probability), len(present.centres)
    ids = np.zeros((steps + 1, *window.shape), np.int32)
    ids[0] = present.ids
    positions = np.zeros((count, steps + 1, 2))
    positions[:, 0] = present.centres
    centres = window.centres()
    for k in range(steps):
        before = positions[:, k]
        drift = before - positions[:, k - 1] if k else np.zeros_like(before)
        positions[:, k + 1] = before + drift
        i, j = np.nonzero(probability[k] > threshold)
        if count == 0 or len(i) == 0:
            continue
        pointed = centres[i, j] + flow[2 * k : 2 * k + 2, i, j].T
        distance, nearest = cKDTree(before).query(pointed, distance_upper_bound=reach_m)
        found = np.isfinite(distance)
        i, j, nearest = i[found], j[found], nearest[found]
        ids[k + 1, i, j] = nearest + 1
        cells = np.bincount(nearest, minlength=count)
        for axis in range(2):
            mean = np.bincount(nearest, weights=centres[i, j, axis], minlength=count) / cells.clip(min=1)
            positions[cells > 0, k + 1, axis] = mean[cells > 0]
    return Prediction(ids, np.arange(1, count + 1), positions, present.scores)
