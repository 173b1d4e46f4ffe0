"""Whole feature maps in half precision, and the ways to fuse them."""

from __future__ import annotations

import torch

from rsdfm_ros.agent.fusion import Fusion
from rsdfm_ros.agent.options import NO_PRE_FUSION
from rsdfm_ros.agent.prefusion.prepare import Prepared
from rsdfm_ros.agent.sender import packets_of
from rsdfm_ros.evaluation.methods.base import FeatureMethod, decode_parts, send_features
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.packet import assemble_dense


class Dense(FeatureMethod):
    """Whole feature maps in half precision: the upper bound of the same fusion."""

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        packets = packets_of(self.perception, self.perception.dense_frame(step.bev(sender)))
        return send_features(self.perception, step, sender, packets)

    def decode(self, item: Received) -> AgentBev | None:
        parts = decode_parts(item, self.perception.fingerprint)
        if not parts:
            return None
        return self.perception.from_dense_frame(
            assemble_dense(parts), item.sent.T_map_camera, item.sent.covariance
        )


class _Pooling(Fusion):
    """All cells, fused without attention."""

    @torch.inference_mode()
    def merge(self, model: Perception, ready: Prepared, with_dominant: bool) -> FusedMap:
        agents = [ready.own.bev, *(v.bev for v in ready.peers)]
        visible = torch.stack([a.visible for a in agents])[:, None]
        pooled = self.pool(torch.stack([a.features for a in agents]), visible)
        seen = visible.any(dim=0, keepdim=True)
        return FusedMap((pooled * seen)[0].float(), seen[0, 0], len(agents))

    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """maps (A, C, H, W), visible (A, 1, H, W) bool → (1, C, H, W)."""
        raise NotImplementedError


class _Mean(_Pooling):
    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return (maps * visible).sum(dim=0, keepdim=True) / visible.sum(dim=0, keepdim=True).clamp_min(1)


class _Max(_Pooling):
    def pool(self, maps: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return maps.masked_fill(~visible, -torch.inf).amax(dim=0, keepdim=True).nan_to_num(neginf=0.0)


class DenseMean(Dense):
    """The mean over the agents that see a cell."""

    def fusion(self) -> Fusion:
        return _Mean(NO_PRE_FUSION)


class DenseMax(Dense):
    """The largest value of every channel over the agents that see a cell."""

    def fusion(self) -> Fusion:
        return _Max(NO_PRE_FUSION)
