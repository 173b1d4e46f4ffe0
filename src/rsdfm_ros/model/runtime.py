"""The network's parts as one agent runs them, by PyTorch: the reference, and the base of other engines."""

from __future__ import annotations

import torch
from torch import Tensor

from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.neck import Look, TaskFeatures
from rsdfm_ros.model.rsdfm import RSDFM


class Runtime:
    """The parts of a model by PyTorch; batch 1."""

    engine = "torch"

    def __init__(self, model: RSDFM, device: torch.device) -> None:
        self.model, self.device = model, device
        self.autocast = autocast_arguments(device)

    @property
    def words(self) -> str:
        """What computes the network, for people."""
        return f"PyTorch {torch.__version__.partition('+')[0]} on {self.device}"

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (1, h, w, 3) uint8 RGB → features (1, c, h/2, w/2) and logits (1, D + 1, h/2, w/2)."""
        with torch.autocast(**self.autocast):
            features, logits = self.model.encoder(normalise_images(images.to(self.device)))
        return features, logits

    def look(self, fused: Tensor, visible: Tensor) -> Look:
        """As Neck.look."""
        with torch.autocast(**self.autocast):
            return self.model.neck.look(fused, visible)

    def cells(self, near: Tensor, wide: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
        """As Neck.cells."""
        with torch.autocast(**self.autocast):
            return self.model.neck.cells(near, wide, memories)

    def fine(self, cells: Tensor) -> Tensor:
        """As Neck.fine."""
        with torch.autocast(**self.autocast):
            return self.model.neck.fine(cells)

    def head(self, head: Head, features: TaskFeatures) -> dict[str, Tensor]:
        """The raw outputs of a head."""
        with torch.autocast(**self.autocast):
            outputs: dict[str, Tensor] = head(features)
        return outputs
