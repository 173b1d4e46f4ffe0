"""Features as the encoder makes them, in half precision: all cells, or the cells that a score selects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rsdfm_ros.evaluation.messages import Received, Sent
from rsdfm_ros.evaluation.methods.base import FeatureMethod, decode_parts, send_features
from rsdfm_ros.evaluation.step import Step
from rsdfm_ros.model.compression import top_cells
from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.perception import AgentBev, FusedMap
from rsdfm_ros.wire.budget import BudgetConfig, BudgetController
from rsdfm_ros.wire.packet import assemble_dense, encode_frame


class Dense(FeatureMethod):
    """Whole feature maps in half precision: the upper bound of the same fusion."""

    def send(self, step: Step, sender: int) -> Sent | None:
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


class _Selected(Dense):
    """Only the best visible cells by a score."""

    def score(self, step: Step, sender: int) -> torch.Tensor:
        """Score (H, W) of the sender's cells."""
        raise NotImplementedError

    def select(self, step: Step, sender: int, count: int) -> AgentBev:
        """The sender's map with its `count` best cells only."""
        bev = step.bev(sender)
        kept = top_cells(self.score(step, sender)[None, None], bev.visible[None, None], count)[0, 0]
        return AgentBev(bev.features * kept, kept, bev.sigma)

    def packets(self, bev: AgentBev) -> list[bytes]:
        """The packets of what was selected."""
        return encode_frame(self.perception.dense_frame(bev), fingerprint=self.perception.fingerprint)


class Where2comm(_Selected):
    """After Where2comm: the cells where the sender's own detector is surest of an object, within the byte budget."""

    def start(self) -> None:
        super().start()
        self._budgets: dict[int, BudgetController] = {}

    @torch.inference_mode()
    def score(self, step: Step, sender: int) -> torch.Tensor:
        return self.perception.objectness(step.history(sender))

    def send(self, step: Step, sender: int) -> Sent | None:
        cell_bytes = 2.0 * self.perception.config.channels
        config = BudgetConfig(self.budget_bytes, first_bytes_per_cell=cell_bytes, first_fixed_bytes=600.0)
        budget = self._budgets.setdefault(sender, BudgetController(config))
        selected = self.select(step, sender, budget.cells())
        sent = send_features(self.perception, step, sender, self.packets(selected))
        budget.sent(0, sent.message_bytes, int(selected.visible.sum()))
        return sent


class Dhd(_Selected):
    """After DHD: the best quarter of the visible cells by the learned score, whatever that costs."""

    share = 0.25

    @torch.inference_mode()
    def score(self, step: Step, sender: int) -> torch.Tensor:
        return self.perception.usefulness(step.bev(sender))

    def send(self, step: Step, sender: int) -> Sent | None:
        count = int(np.ceil(self.share * int(step.bev(sender).visible.sum())))
        return send_features(self.perception, step, sender, self.packets(self.select(step, sender, count)))
