"""Road and building layout: a semantic bird's-eye-view map; the example of a task that is added to a frozen trunk."""

from __future__ import annotations

import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.data.layout_map import LAYOUT_CLASSES, LayoutError
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.losses import soft_iou
from rsdfm_ros.model.heads.registry import Figures, Head, TaskAnswer, TaskFeatures, Truth, register_head
from rsdfm_ros.model.layers import conv_bn

#: Probability from which a cell counts as of a class.
THRESHOLD = 0.5


@dataclass(frozen=True)
class LayoutAnswer(TaskAnswer):
    """Probability (K, ni, nj) float32 of every class of LAYOUT_CLASSES on `window`, and the cells (ni, nj) bool that an
    agent in use sees; elsewhere the answer is a continuation of what is seen."""

    window: Window
    probability: NDArray[np.float32]
    visible: NDArray[np.bool_]

    def figures(self, truth: Truth, area: Window) -> Figures:
        """IoU of every class within `area`: over all cells of known layout, and `*_visible` over the seen ones."""
        if truth.layout is None:
            return {}
        here = self.window.crop(area)
        true, known = truth.layout.at(area.centres(), LAYOUT_CLASSES)
        found = self.probability[(slice(None), *here)] >= THRESHOLD
        out: Figures = {}
        for suffix, counted in (("", known), ("_visible", known & self.visible[here])):
            for name, p, t in zip(LAYOUT_CLASSES, found, true, strict=True):
                both, either = (p & t & counted).sum(), ((p | t) & counted).sum()
                out[f"{name}_iou{suffix}"] = (float(both), float(either))
        return out


@register_head("layout")
class LayoutHead(Head):
    """A logit for every class on the output lattice, from the newest fused map itself: what the neck makes of it is for
    vehicles. Wide context, because roads are long."""

    needs = ("layout",)
    loss_names = ("cells", "iou")
    messages: ClassVar[Mapping[str, str]] = {
        f"layout/{name}": "nav_msgs/msg/OccupancyGrid" for name in LAYOUT_CLASSES
    }

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.shared = nn.Sequential(
            conv_bn(config.channels + 1, 48), conv_bn(48, 48, dilation=2), conv_bn(48, 48, dilation=4)
        )
        self.expand = nn.Sequential(nn.Conv2d(48, 4 * 16, 1, bias=False), nn.BatchNorm2d(64))
        self.out = nn.Sequential(conv_bn(16, 16), nn.Conv2d(16, len(LAYOUT_CLASSES), 1))

    def forward(self, features: TaskFeatures) -> dict[str, Tensor]:
        fused = torch.cat([features.fused, features.visible.to(features.fused.dtype)], dim=1)
        x = torch.relu(F.pixel_shuffle(self.expand(self.shared(fused)), 2))
        return {"logit": self.out(x)}

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        if truth.layout is None:
            raise LayoutError(
                "the layout head learns from masks of roads and buildings, which this data set has not: add them with "
                "`rsdfm data layout DIR` (simulated), or in its map table (docs/datasets.md)"
            )
        found, known = truth.layout.at(self.config.output_window.centres(), LAYOUT_CLASSES)
        return {"cells": found, "known": known[None].astype(np.float32)}

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        logit, cells, known = outputs["logit"].float(), targets["cells"].float(), targets["known"]
        entropy = F.binary_cross_entropy_with_logits(logit, cells, reduction="none") * known
        overlap = [soft_iou(logit[:, k : k + 1], cells[:, k : k + 1], known) for k in range(cells.shape[1])]
        return {
            "cells": entropy.sum() / (known.sum() * cells.shape[1]).clamp_min(1.0),
            "iou": torch.stack(overlap).mean(),
        }

    def answer(
        self, outputs: dict[str, Tensor], visible: NDArray[np.bool_], window: Window, region: Window
    ) -> LayoutAnswer:
        fine, part = window.refined(2), region.refined(2)
        probability = torch.sigmoid(outputs["logit"][0].float()).cpu().numpy()
        seen = visible.repeat(2, axis=0).repeat(2, axis=1)
        here = fine.crop(part)
        return LayoutAnswer(part, np.ascontiguousarray(probability[(slice(None), *here)]), seen[here])

    def fill(self, topic: str, message: Any, answer: TaskAnswer) -> None:
        """A grid of one class: probability in per cent, row = cell along y."""
        assert isinstance(answer, LayoutAnswer)
        k = LAYOUT_CLASSES.index(topic.rpartition("/")[2])
        info, window = message.info, answer.window
        info.map_load_time, info.resolution = message.header.stamp, float(window.cell_size)
        info.width, info.height = window.shape
        info.origin.position.x, info.origin.position.y = window.bounds[:2]
        info.origin.orientation.w = 1.0
        percent = np.rint(100.0 * answer.probability[k].T).astype(np.int8)
        message.data = array.array("b", percent.tobytes())
