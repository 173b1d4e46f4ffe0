"""The network's parts as one agent runs them, by PyTorch: the reference, and the base of other engines.

The parts are taken when the runtime is made: weights that change later change nothing here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.engine.device import autocast_arguments, has_bfloat16
from rsdfm_ros.model.engine.inference import for_inference
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.neck import Look, TaskFeatures
from rsdfm_ros.model.rsdfm import RSDFM


class Runtime:
    """The parts of a model by PyTorch; batch 1."""

    engine = "torch"

    def __init__(self, model: RSDFM, device: torch.device) -> None:
        self.model, self.device = model, device
        self.autocast = autocast_arguments(device)
        self._dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
        self._encoder = for_inference(model.encoder, self._dtype)
        self._neck = for_inference(model.neck, self._dtype)

    @property
    def words(self) -> str:
        """What computes the network, for people."""
        return f"PyTorch {torch.__version__.partition('+')[0]} on {self.device}"

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (1, h, w, 3) uint8 RGB → features (1, c, h/2, w/2) and logits (1, D + 1, h/2, w/2)."""
        features, logits = self._encoder(normalise_images(images.to(self.device)).to(self._dtype))
        return features, logits

    def look(self, fused: Tensor, visible: Tensor) -> Look:
        """As Neck.look."""
        return self._neck.look(self._given(fused), visible)

    def cells(self, near: Tensor, wide: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
        """As Neck.cells."""
        return self._neck.cells(*map(self._given, (near, wide, memories)))

    def fine(self, cells: Tensor) -> Tensor:
        """As Neck.fine."""
        return self._neck.fine(self._given(cells))

    def _given(self, x: Tensor) -> Tensor:
        return x.to(self._dtype, memory_format=torch.channels_last)

    def head(self, head: Head, features: TaskFeatures) -> dict[str, Tensor]:
        """The raw outputs of a head."""
        with torch.autocast(**self.autocast):
            outputs: dict[str, Tensor] = head(features)
        return outputs
