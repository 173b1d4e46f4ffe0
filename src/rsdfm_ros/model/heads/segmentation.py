"""BEV instance segmentation: foreground probability and centripetal offset, grouped into instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.losses import hard_cross_entropy, masked_smooth_l1, soft_iou
from rsdfm_ros.model.heads.registry import Head, TaskFeatures, Truth, register_head
from rsdfm_ros.model.layers import per_cell

#: Offsets are learned in units of this many metres.
OFFSET_SCALE_M = 5.0


@dataclass(frozen=True)
class InstanceMap:
    """Instances on the output window: probability (H, W) float32, ids (H, W) int32 (0 = none, else 1…N),
    centres (N, 2) m in the map frame, scores (N,) mean foreground probability."""

    probability: NDArray[np.float32]
    ids: NDArray[np.int32]
    centres: NDArray[np.float64]
    scores: NDArray[np.float64]


def foreground_weight(
    objects: Objects, seen: NDArray[np.bool_], ids: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Loss weight (1, H, W): 0 on objects that no used agent sees, else 1."""
    hidden = np.isin(ids, objects.ids[~seen])
    return (~hidden)[None].astype(np.float32)


def centre_offsets(
    objects: Objects, ids: NDArray[np.int32], window: Window, to: Objects | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Offsets (2, H, W) from every object cell to its object's centre, in OFFSET_SCALE_M, and their mask (1, H, W).

    With `to`, to the centre that the same object has there (backward flow); objects missing there are masked.
    """
    target = to if to is not None else objects
    order = np.argsort(target.ids)
    sorted_ids = target.ids[order]
    out = np.zeros((2, *window.shape), np.float32)
    mask = np.zeros((1, *window.shape), np.float32)
    i, j = np.nonzero(ids)
    if len(sorted_ids) and len(i):
        place = np.searchsorted(sorted_ids, ids[i, j]).clip(max=len(sorted_ids) - 1)
        found = sorted_ids[place] == ids[i, j]
        i, j, place = i[found], j[found], place[found]
        offset = target.centres[order[place], :2] - window.centres()[i, j]
        out[:, i, j] = (offset / OFFSET_SCALE_M).T
        mask[0, i, j] = 1.0
    return out, mask


@register_head("segmentation")
class SegmentationHead(Head):
    """Foreground logit and centripetal offset on the output lattice (two cells per feature cell)."""

    loss_names = ("mask", "iou", "offset")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.out = nn.Conv2d(config.fine_channels, 3, 1)
        with torch.no_grad():
            self.out.bias[0] = -3.0  # type: ignore[index]  # rare foreground

    def forward(self, features: TaskFeatures) -> dict[str, Tensor]:
        x = per_cell(features.fine, self.out.weight, self.out.bias)
        return {"logit": x[:, :1], "offset": x[:, 1:]}

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        window = self.config.output_window
        now = truth.objects[0]
        ids = rasterise(now, window)
        offset, mask = centre_offsets(now, ids, window)
        weight = foreground_weight(now, truth.seen, ids)
        return {"mask": (ids > 0)[None], "offset": offset, "offset_mask": mask * weight, "weight": weight}

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            "mask": hard_cross_entropy(outputs["logit"], targets["mask"], targets["weight"]),
            "iou": soft_iou(outputs["logit"], targets["mask"], targets["weight"]),
            "offset": masked_smooth_l1(outputs["offset"], targets["offset"], targets["offset_mask"]),
        }

    def decode(
        self, outputs: dict[str, Tensor], *, threshold: float = 0.5, window: Window | None = None
    ) -> InstanceMap:
        """Instances of the first sample: foreground cells vote for their centre, peaks of the votes are instances.

        window: where on the lattice the outputs lie; None for the model's own.
        """
        probability = torch.sigmoid(outputs["logit"][0, 0].float()).cpu().numpy()
        offset = outputs["offset"][0].float().cpu().numpy()
        here = window or self.config.output_window
        return group_instances(probability, offset, here, threshold=threshold)


def group_instances(
    probability: NDArray[np.float32],
    offset: NDArray[np.float32],
    window: Window,
    *,
    threshold: float = 0.5,
    reach_m: float = 3.0,
    min_cells: int = 4,
) -> InstanceMap:
    """Group foreground cells (H, W) by the centres that their offsets (2, H, W), in OFFSET_SCALE_M, point to."""
    cells = np.flatnonzero(probability > threshold)
    ids = np.zeros(window.shape, np.int32)
    empty = InstanceMap(probability, ids, np.zeros((0, 2)), np.zeros(0))
    if len(cells) == 0:
        return empty
    pointed = offset.reshape(2, -1)[:, cells].T * np.float32(OFFSET_SCALE_M)
    xy = window.centres_of(cells) + pointed
    voted = np.clip(window.cells(xy), 0, np.array(window.shape) - 1)
    votes = np.bincount(voted[:, 0] * window.nj + voted[:, 1], minlength=ids.size).astype(np.float32)
    votes = np.asarray(cv2.GaussianBlur(votes.reshape(window.shape), (0, 0), 1.0), np.float32)
    radius = max(1, round(0.75 / window.cell_size))
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    peaks = np.flatnonzero((votes >= cv2.dilate(votes, kernel)) & (votes > 0.5))
    if len(peaks) == 0:
        return empty
    distance, nearest = cKDTree(window.centres_of(peaks)).query(xy, distance_upper_bound=reach_m)
    reached = np.isfinite(distance)
    counts = np.bincount(nearest[reached], minlength=len(peaks))
    new_id = np.cumsum(counts >= min_cells) * (counts >= min_cells)
    label = np.zeros(len(cells), np.int64)
    label[reached] = new_id[nearest[reached]]
    ids.reshape(-1)[cells] = label
    n = int(new_id.max(initial=0))
    total = np.bincount(label, minlength=n + 1)[1:].clip(min=1)
    weights = (xy[:, 0], xy[:, 1], probability.ravel()[cells])
    x, y, score = (np.bincount(label, weights=v, minlength=n + 1)[1:] / total for v in weights)
    return InstanceMap(probability, ids, np.stack([x, y], axis=1), score)
