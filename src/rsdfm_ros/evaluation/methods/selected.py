"""Baselines that send the features of some cells without a codec: the best cells by a score."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.sender import Sender, packets_of
from rsdfm_ros.evaluation.methods.base import FeatureMethod, decode_parts, message_size, send_features
from rsdfm_ros.evaluation.methods.dense import Dense
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.model.compression import top_cells
from rsdfm_ros.model.maps import AgentBev, as_int8, to_tiles
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.budget import BudgetConfig, Plan
from rsdfm_ros.wire.features import CELLS_PER_TILE, DenseFrame, FeatureFrame, half
from rsdfm_ros.wire.packet import assemble

SMOOTHING = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))
"""Width of the smoothing of Where2comm's confidence, so that the surroundings of a centre are sent too."""


def best_cells(bev: AgentBev, score: torch.Tensor, count: int) -> AgentBev:
    """The map with its `count` best visible cells by the score (H, W) only."""
    kept = top_cells(score[None, None], bev.visible[None, None], count)[0, 0]
    return AgentBev(bev.features * kept, kept, bev.sigma)


class Dhd25(Dense):
    """After DHD: the best quarter of the visible cells by the learned score in half precision, without a byte
    budget."""

    share = 0.25

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        bev = step.bev(sender)
        count = int(np.ceil(self.share * int(bev.visible.sum())))
        kept = best_cells(bev, self.perception.usefulness(bev), count)
        packets = packets_of(self.perception, self.perception.dense_frame(kept))
        return send_features(self.perception, step, sender, packets)


def cells_frame(model: Perception, bev: AgentBev) -> FeatureFrame:
    """The visible cells of a map as high band. Neither the low band nor visibility is sent: receivers take the sent
    cells as the seen ones."""
    visible = to_tiles(bev.visible[None])[:, 0]
    touched = visible.flatten(1).any(dim=1)
    seen = visible[touched]
    values = to_tiles(bev.features)[touched].permute(0, 2, 3, 1)[seen]  # (n, C)
    steps = half(bev.features.abs().amax(dim=(1, 2)).float().cpu().numpy() / 127.0)
    tile, cell = np.nonzero(seen.flatten(1).cpu().numpy())
    m = int(touched.sum())
    return FeatureFrame(
        tiles=model.window.tiles()[touched.cpu().numpy()],
        low=np.zeros((m, 1, 2, 2), np.int8),
        low_scale=np.ones(1, np.float32),
        visible=np.zeros(seen.shape, bool),
        high_tile=tile.astype(np.int32),
        high_cell=cell.astype(np.uint8),
        high=as_int8(values / torch.from_numpy(steps).to(values.device)),
        high_scale=steps,
    )


class _BestCells(Sender):
    """Sends the best cells of a map by `score` (H, W), every feature in 8 bits with a scale per channel: the high band
    of the wire format, of the features themselves."""

    score: torch.Tensor

    def features(
        self, model: Perception, bev: AgentBev, plan: Plan, demand: NDArray[np.float32] | None
    ) -> FeatureFrame:
        return cells_frame(model, best_cells(bev, self.score, plan.cells))


class _Budgeted(FeatureMethod):
    """The best cells within the byte budget."""

    def start(self) -> None:
        super().start()
        self._senders: dict[int, _BestCells] = {}

    def score(self, step: EvaluationFrame, sender: int) -> torch.Tensor:
        """Score (H, W) of the sender's cells."""
        raise NotImplementedError

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        budget = BudgetConfig(
            self.budget_bytes,
            first_bytes_per_cell=0.6 * self.perception.config.channels,
            low_bytes_per_tile=0.0,
        )
        options = AgentOptions(
            budget_bytes=self.budget_bytes, max_packet_bytes=self.max_packet_bytes, send_boxes="never"
        )
        this = self._senders.setdefault(sender, _BestCells(options, budget))
        this.score = self.score(step, sender)
        sent = this.send(
            self.perception,
            step.bev(sender),
            step.pose(sender)[1],
            lambda payload, index, count: message_size(self.perception, step, sender, payload),
            lambda: None,
        )
        return step.sent(sender, sent.packets, sent.message_bytes)

    def decode(self, item: Received) -> AgentBev | None:
        frame = assemble(decode_parts(item, self.perception.fingerprint))
        if len(frame.tiles) == 0:
            return None
        return self.perception.from_dense_frame(
            _as_dense(frame), item.sent.T_map_camera, item.sent.covariance
        )


def _as_dense(frame: FeatureFrame) -> DenseFrame:
    """The sent cells as the visible ones of a dense frame."""
    visible = np.zeros((len(frame.tiles), CELLS_PER_TILE), bool)
    visible[frame.high_tile, frame.high_cell] = True
    values = (frame.high * frame.high_scale).astype(np.float16)
    return DenseFrame(frame.tiles, visible.reshape(-1, TILE_CELLS, TILE_CELLS), values)


class Where2comm(_Budgeted):
    """After Where2comm: the cells with the highest objectness of the sender's own detector."""

    @torch.inference_mode()
    def score(self, step: EvaluationFrame, sender: int) -> torch.Tensor:
        heat = self.perception.objectness(step.history(sender))
        kernel = torch.tensor(SMOOTHING, device=heat.device)[None, None] / 16.0
        return F.conv2d(heat[None, None], kernel, padding=1)[0, 0]


class Dhd(_Budgeted):
    """After DHD, at a budget: the best cells by the learned score."""

    def score(self, step: EvaluationFrame, sender: int) -> torch.Tensor:
        return self.perception.usefulness(step.bev(sender))
