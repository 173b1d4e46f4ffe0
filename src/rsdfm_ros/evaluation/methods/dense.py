"""Whole feature maps in half precision, and the ways to fuse them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rsdfm_ros.evaluation.methods.base import FeatureMethod, decode_parts, send_features
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.perception import AgentBev, FusedMap
from rsdfm_ros.wire.packet import assemble_dense, encode_frame


class Dense(FeatureMethod):
    """Whole feature maps in half precision: the upper bound of the same fusion."""

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        packets = encode_frame(
            self.perception.dense_frame(step.bev(sender)), fingerprint=self.perception.fingerprint
        )
        return send_features(self.perception, step, sender, packets)

    def decode(self, item: Received) -> AgentBev | None:
        parts = decode_parts(item, self.perception.fingerprint)
        if not parts:
            return None
        return self.perception.from_dense_frame(
            assemble_dense(parts), item.sent.T_map_camera, item.sent.covariance
        )


class _Pooled(Dense):
    """All cells, fused without attention."""

    @torch.inference_mode()
    def fuse(self, ego: AgentBev, peers: Sequence[AgentBev], ages_s: Sequence[float]) -> FusedMap:
        agents = [ego, *peers]
        visible = torch.stack([a.visible for a in agents])[:, None]
        pooled = self.pool(torch.stack([a.features for a in agents]), visible)
        seen = visible.any(dim=0, keepdim=True)
        with torch.autocast(**autocast_arguments(self.perception.device)):
            features = self.perception.model.neck(pooled * seen, seen)
        return FusedMap(features[0].float(), seen[0, 0], len(agents))

    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """maps (A, C, H, W), visible (A, 1, H, W) bool → (1, C, H, W)."""
        raise NotImplementedError


class DenseMean(_Pooled):
    """The mean over the agents that see a cell."""

    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return (maps * visible).sum(dim=0, keepdim=True) / visible.sum(dim=0, keepdim=True).clamp_min(1)


class DenseMax(_Pooled):
    """The largest value of every channel over the agents that see a cell."""

    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return maps.masked_fill(~visible, -torch.inf).amax(dim=0, keepdim=True).nan_to_num(neginf=0.0)
