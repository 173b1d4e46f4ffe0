"""Linear probe: what the segmentation head makes of the features of a cell, as a linear function of them.

It is fitted to the own maps and the own answers while the UAV flies (ridge regression), so that it belongs to the
weights in use and needs none of its own. A map of a peer is read with it in a fraction of the time that the neck and
the head would take.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.model.maps import AgentBev, FusedMap, rows_of
from rsdfm_ros.model.perception import Perception

FIRST_FITS = 4
"""So many own images in a row are fitted at the beginning."""
FIT_EVERY = 8
"""After those, one of so many: the neck has to be run for it, unless the own answers are published."""
KEPT = 0.9
"""Weight of the earlier images when one is fitted."""
VEHICLE_WEIGHT = 5.0
"""Weight of cells that the head takes for a vehicle; they are few."""
MOST_LOGIT = 4.6
"""Logits of the head are clipped here, which is a probability of 0.99: how sure it is beyond that does not matter."""
RIDGE = 0.1
_LEAST = 1e-6  # latents below, relative to the largest, count as not sent


@dataclass(frozen=True)
class Probe:
    """weights (C,) and bias of the logit · silent (C,): features of a cell of which nothing was sent ·
    high (C_h, C): features less `silent` → high band of the codec."""

    weights: Tensor
    bias: Tensor
    silent: Tensor
    high: Tensor

    def logit(self, bev: AgentBev) -> Tensor:
        """Logit (H, W) of a vehicle in every cell; of no meaning in cells that are not visible."""
        latents = bev.latents
        if latents is None:
            return (rows_of(bev.features) @ self.weights + self.bias).view(bev.visible.shape)
        found = latents.rows @ (latents.codec.decoder().T @ self.weights) + self.bias
        return (
            found.new_zeros(bev.visible.numel()).index_copy_(0, latents.cells, found).view(bev.visible.shape)
        )

    def sent(self, bev: AgentBev) -> Tensor:
        """The visible cells (H, W) of a received map that have a part in the high band, and are not concealed."""
        latents = bev.latents
        if latents is None:
            rows = (rows_of(bev.features) - self.silent) @ self.high.T
            size = rows.abs().amax(dim=1)
        else:
            some = latents.rows[:, -1 - self.high.shape[0] : -1].abs().amax(dim=1)
            size = some.new_zeros(bev.visible.numel()).index_copy_(0, latents.cells, some)
        told = bev.visible & (size > _LEAST * size.max()).view(bev.visible.shape)
        return told if bev.lag_s is None else told & (bev.lag_s == 0)


class ProbeFit:
    """Normal equations of the probe, over the own images of one UAV. Models without a segmentation head have none."""

    def __init__(self) -> None:
        self._images = 0
        self._squares: Tensor | None = None
        self._products: Tensor | None = None
        self._probe: Probe | None = None

    @property
    def due(self) -> bool:
        """Whether the next own image is to be fitted."""
        return self._images < FIRST_FITS or self._images % FIT_EVERY == 0

    def skip(self) -> None:
        """Count an image that is not fitted."""
        self._images += 1

    @torch.inference_mode()
    def add(self, model: Perception, single: FusedMap, logit: Tensor) -> None:
        """Fit an own map without peers to the foreground logit (H, W) that the head makes of it."""
        self._images += 1
        cells = single.visible.flatten().nonzero()[:, 0]
        rows = F.pad(rows_of(single.features).index_select(0, cells), (0, 1), value=1.0)
        target = logit.flatten().index_select(0, cells).clamp(-MOST_LOGIT, MOST_LOGIT)
        weighted = rows * torch.where(target > 0, VEHICLE_WEIGHT, 1.0)[:, None]
        squares, products = weighted.T @ rows, weighted.T @ target
        if self._squares is not None and self._products is not None:
            squares, products = squares + KEPT * self._squares, products + KEPT * self._products
        if not bool(squares.isfinite().all() & products.isfinite().all()):
            return
        self._squares, self._products = squares, products
        found = torch.linalg.solve(squares + RIDGE * torch.eye(len(squares), device=squares.device), products)
        self._probe = Probe(found[:-1], found[-1], *self._codec(model))

    @property
    def probe(self) -> Probe | None:
        """The probe of all images so far."""
        return self._probe

    def _codec(self, model: Perception) -> tuple[Tensor, Tensor]:
        if self._probe is not None:
            return self._probe.silent, self._probe.high
        decoder, high = model.model.compression.decoder(), model.config.high_channels
        return decoder[:, -1], torch.linalg.pinv(decoder[:, :-1])[-high:]
