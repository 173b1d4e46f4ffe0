"""Loss functions of the task heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def centre_focal(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss of centre heatmaps (Law & Deng 2018; Zhou et al. 2019), per object.

    logits, heat (B, K, H, W), heat 1 at centres and Gaussian around them · weight (B, 1, H, W).
    """
    logits = logits.float()
    p = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    positive = (heat > 0.999).to(p.dtype) * weight
    negative = (1.0 - heat) ** 4 * (heat <= 0.999) * weight
    loss = -(positive * (1 - p) ** 2 * p.log() + negative * p**2 * (1 - p).log())
    return loss.sum() / positive.sum().clamp_min(1.0)


def hard_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, *, positive_weight: float = 2.0, share: float = 0.25
) -> Tensor:
    """Binary cross-entropy over the hardest `share` of the weighted cells; foreground counts `positive_weight`.

    logits, target, weight (B, 1, H, W).
    """
    logits, target = logits.float(), target.float()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = (loss * weight * (1.0 + (positive_weight - 1.0) * target)).flatten(1)
    count = max(1, int(share * loss.shape[1]))
    return loss.topk(count, dim=1).values.mean()


def soft_iou(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 − soft intersection over union of the foreground, over the batch: (B, 1, H, W) each."""
    p = torch.sigmoid(logits.float()) * weight
    t = target.float() * weight
    intersection = (p * t).sum()
    return 1.0 - (intersection + 1.0) / ((p + t).sum() - intersection + 1.0)


def masked_smooth_l1(x: Tensor, target: Tensor, mask: Tensor, beta: float = 0.1) -> Tensor:
    """Smooth L1 (B, K, H, W) averaged over the cells of mask (B, 1, H, W) and the K channels."""
    loss = F.smooth_l1_loss(x.float(), target.float(), reduction="none", beta=beta) * mask
    return loss.sum() / (mask.sum() * x.shape[1]).clamp_min(1.0)
