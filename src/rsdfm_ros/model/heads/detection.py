"""3D detection: a centre heatmap per class and a box at every centre."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor, nn

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import wrap_angle
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.losses import centre_focal, masked_smooth_l1
from rsdfm_ros.model.heads.registry import Head, TaskFeatures, Truth, register_head
from rsdfm_ros.model.layers import per_cell

#: Boxes are learned at cells up to this far from an object's centre.
_REGRESSION_RADIUS_M = 1.5
#: Values of a box.
BOX = 10
#: A vehicle that moves at least so fast along its axis heads where it goes, m/s.
MOVING_MPS = 1.0
#: Width of the Gaussian around a centre in the heatmap target.
_HEAT_SIGMA_M = 0.9


@register_head("detection")
class DetectionHead(Head):
    """Heatmap (K), a box of BOX values and a velocity vx vy at every cell.

    Box: Δx Δy z log l log w log h, sin and cos of the yaw, sin and cos of twice the yaw. The doubled angle gives the
    axis, which a vehicle's outline shows well; the single one only selects which of its two ends is the front, because
    a regression that cannot separate them averages them. Of a vehicle that moves, the velocity tells the front.
    """

    loss_names = ("heat", "box", "velocity")
    temporal_losses = ("velocity",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.heat = nn.Conv2d(config.task_channels, len(CLASSES), 1)
        self.box = nn.Conv2d(config.task_channels, BOX, 1)
        self.velocity = nn.Conv2d(config.motion_channels, 2, 1)
        nn.init.constant_(self.heat.bias, -4.0)  # type: ignore[arg-type]  # rare foreground: start near p = 0.02

    def forward(self, features: TaskFeatures) -> dict[str, Tensor]:
        x = features.cells
        velocity = on_finer_cells(per_cell(features.motion, self.velocity.weight, self.velocity.bias))
        return {
            "heat": per_cell(x, self.heat.weight, self.heat.bias),
            "box": per_cell(x, self.box.weight, self.box.bias),
            "velocity": velocity,
        }

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        window = self.config.window
        centres = window.centres()
        heat = np.zeros((len(CLASSES), *window.shape), np.float32)
        box = np.zeros((BOX, *window.shape), np.float32)
        velocity = np.zeros((2, *window.shape), np.float32)
        mask = np.zeros((1, *window.shape), np.float32)
        weight = np.ones((1, *window.shape), np.float32)
        now = truth.objects[0]
        reach = 4
        for n in range(len(now)):
            i, j = window.cells(now.centres[n, :2])
            if not (0 <= i < window.ni and 0 <= j < window.nj):
                continue
            area = np.s_[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
            delta = now.centres[n, :2] - centres[area]
            squared = (delta**2).sum(axis=-1)
            if not truth.seen[n]:
                weight[(0, *area)][squared < 3.0**2] = 0.0
                continue
            gauss = np.exp(-squared / (2 * _HEAT_SIGMA_M**2))
            local = heat[(now.classes[n], *area)]
            np.maximum(local, gauss, out=local)
            heat[now.classes[n], i, j] = 1.0
            near = squared < _REGRESSION_RADIUS_M**2
            yaw = now.yaws[n]
            turns = [np.sin(yaw), np.cos(yaw), np.sin(2 * yaw), np.cos(2 * yaw)]
            values = [now.centres[n, 2], *np.log(now.sizes[n]), *turns]
            box[(slice(0, 2), *area)][:, near] = delta[near].T
            box[(slice(2, BOX), *area)][:, near] = np.array(values, np.float32)[:, None]
            velocity[(slice(None), *area)][:, near] = now.velocities[n][:, None]
            mask[(0, *area)][near] = 1.0
        return {"heat": heat, "box": box, "velocity": velocity, "mask": mask, "weight": weight}

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        velocity = masked_smooth_l1(outputs["velocity"], targets["velocity"], targets["mask"], beta=0.5)
        return {
            "heat": centre_focal(outputs["heat"], targets["heat"], targets["weight"]),
            "box": masked_smooth_l1(outputs["box"], targets["box"], targets["mask"]),
            "velocity": velocity,
        }

    def decode(
        self,
        outputs: dict[str, Tensor],
        *,
        threshold: float = 0.05,
        limit: int = 200,
        window: Window | None = None,
    ) -> Detections:
        """Boxes of the first sample, best score first: local maxima of the heatmap over 3 × 3 cells and all classes.

        window: where on the lattice the maps lie; None for the model's own.
        """
        window = window or self.config.window
        heat = outputs["heat"][0].float().cpu().numpy()
        best = heat.max(axis=0)
        found = np.flatnonzero(
            (best > float(logit(threshold))) & (best == cv2.dilate(best, np.ones((3, 3), np.uint8)))
        )
        index = found[np.argsort(-best.ravel()[found], kind="stable")[:limit]]
        box, velocity = (
            outputs[name][0].flatten(1)[:, index].float().cpu().numpy().astype(np.float64)
            for name in ("box", "velocity")
        )
        xy = window.centres_of(index) + box[:2].T
        return Detections(
            classes=heat.reshape(len(heat), -1)[:, index].argmax(axis=0),
            scores=expit(best.ravel()[index].astype(np.float64)),
            centres=np.concatenate([xy, box[2:3].T], axis=1),
            sizes=np.exp(np.clip(box[3:6].T, -3.0, 4.0)),
            yaws=yaw_of(box[6:8], box[8:10], velocity),
            velocities=velocity.T,
        )


def on_finer_cells(x: Tensor) -> Tensor:
    """(B, K, H, W) → (B, K, 2H, 2W) float32; linear functions of the place stay what they are."""
    return F.interpolate(x.float(), scale_factor=2.0, mode="bilinear", align_corners=False)


def at_finer_cells(x: NDArray[np.float32], index: NDArray[np.integer]) -> NDArray[np.float32]:
    """What `on_finer_cells` makes of x (K, H, W) at some of the finer cells, flat indices (N,): (K, N)."""
    h, w = x.shape[1:]
    i, j = np.divmod(index, 2 * w)
    rows, columns = ((c // 2, (c // 2 + c % 2 * 2 - 1).clip(0, n - 1)) for c, n in ((i, h), (j, w)))
    flat = x.reshape(len(x), -1)
    out = np.zeros((len(x), len(index)), np.float32)
    for row, across in zip(rows, (0.75, 0.25), strict=True):
        for column, along in zip(columns, (0.75, 0.25), strict=True):
            out += np.float32(across * along) * flat.take(row * w + column, axis=1)
    return out


def yaw_of(
    single: NDArray[np.float64], double: NDArray[np.float64], velocity: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Yaws (N,) in [−π, π): the axis of `double` = sin and cos of 2 yaw (2, N), turned to where the velocity (2, N)
    points if it has MOVING_MPS along the axis, else to the side of `single` = sin and cos of yaw (2, N)."""
    axis = 0.5 * np.arctan2(double[0], double[1])
    sin, cos = np.sin(axis), np.cos(axis)
    speed = velocity[0] * cos + velocity[1] * sin
    ahead = np.where(np.abs(speed) >= MOVING_MPS, speed, single[0] * sin + single[1] * cos)
    return wrap_angle(axis + np.pi * (ahead < 0.0))
