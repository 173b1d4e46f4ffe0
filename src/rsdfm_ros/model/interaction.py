"""Interaction: one fused BEV map from any number of agents (RS-DFM stage 4).

w_j = softmax_j( MLP([B_i, B̂_j, visibility_j, age_j, σ_j]) ),   F = Σ_j w_j B̂_j, per cell, over self and the peers
that see the cell. Self is always in the sum, so a cell that no peer sees comes out exactly as it went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsdfm_ros.model.compression import Compression
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.layers import projection
from rsdfm_ros.model.maps import AgentBev, FusedMap, map_of, rows_of


@dataclass(frozen=True)
class _Part:
    """Cells of one agent: rows (k, D) of them and their places (k,) among the cells that are fused.

    codec: if the rows are latents, which codec.decoder() takes to features; None if they are features.
    """

    rows: Tensor
    at: Tensor
    codec: Compression | None


class Interaction(nn.Module):
    """Per-cell attention over agents; permutation-invariant in the peers."""

    def __init__(self, config: ModelConfig, hidden: int = 32) -> None:
        super().__init__()
        self.ego = nn.Conv2d(config.channels, hidden, 1)
        self.other = nn.Conv2d(config.channels, hidden, 1, bias=False)
        self.context = nn.Conv2d(3, hidden, 1, bias=False)
        self.weight = nn.Conv2d(hidden, 1, 1)

    def forward(self, maps: Tensor, visible: Tensor, ages_s: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse maps (A, C, H, W), agent 0 being self, → fused (1, C, H, W) and weights (A, 1, H, W).

        visible (A, 1, H, W) bool · ages_s (A,) or (A, 1, H, W) s, 0 for self ·
        sigma (A, 1, H, W) m, position uncertainty.
        """
        logits = self._logits(maps[:1], maps, visible, ages_s, sigma)
        takes_part = visible.clone()
        takes_part[0] = True
        weights = torch.softmax(logits.masked_fill(~takes_part, -torch.inf), dim=0)
        fused = (weights.to(maps.dtype) * maps).sum(dim=0, keepdim=True)
        return fused, weights

    @torch.inference_mode()
    def fuse(
        self, agents: Sequence[AgentBev], ages_s: Sequence[float], *, with_dominant: bool = False
    ) -> FusedMap:
        """Fuse the maps of agents, the first being self, with their ages in s: `forward` in operation.

        Only the cells that a peer sees are computed, so that the time is proportional to what the peers see; the others
        come out as they went in. with_dominant: see FusedMap.
        """
        ego, shape = agents[0], agents[0].visible.shape
        seen = torch.stack([a.visible for a in agents]).flatten(1)
        total = int(seen.any(dim=0).sum())
        weights, cells, parts = self._weighed(agents, ages_s)
        fused = rows_of(ego.features).clone()
        fused.index_copy_(0, cells, _mixed(parts, weights))
        sums = weights.sum(dim=1)
        sums[0] += total - len(cells)  # where no peer sees the cell, all the weight is that of self
        dominant = None
        if with_dominant:
            # Only an agent that sees a cell can dominate it: self takes part everywhere, with zeros in unseen cells.
            dominant = seen[0].to(torch.uint8)
            heaviest = (weights * seen.index_select(1, cells)).argmax(dim=0)
            dominant.index_copy_(0, cells, (heaviest + 1).to(torch.uint8))
            dominant = dominant.view(shape)
        return FusedMap(
            map_of(fused, (shape[0], shape[1])),
            seen.any(dim=0).view(shape),
            len(agents),
            tuple((sums / max(1, total)).tolist()),
            dominant,
        )

    @torch.inference_mode()
    def weights(self, agents: Sequence[AgentBev], ages_s: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Weights (A, n) of the agents in the cells that a peer sees, and these cells (n,) among the H·W of the map."""
        found, cells, _ = self._weighed(agents, ages_s)
        return found, cells

    def _weighed(
        self, agents: Sequence[AgentBev], ages_s: Sequence[float]
    ) -> tuple[Tensor, Tensor, list[_Part]]:
        """As `weights`, and of every agent its part in these cells."""
        parts: list[_Part] = []
        seen = torch.stack([a.visible for a in agents]).flatten(1)
        cells = seen[1:].any(dim=0).nonzero()[:, 0]
        (ego_weight, bias), (other_weight, _) = projection(self.ego), projection(self.other)
        (context_weight, _), (last, last_bias) = projection(self.context), projection(self.weight)
        place = _places(cells, seen.shape[1])
        logits = bias.new_full((len(agents), len(cells)), -torch.inf)
        ego_part = None
        for n, (agent, age_s) in enumerate(zip(agents, ages_s, strict=True)):
            latents = agent.latents if n > 0 else None
            if latents is not None:
                own, rows, codec = latents.cells, latents.rows, latents.codec
                to_hidden = other_weight @ codec.decoder()
            else:
                own = cells if n == 0 else seen[n].nonzero()[:, 0]  # self takes part in every cell
                rows, codec, to_hidden = rows_of(agent.features).index_select(0, own), None, other_weight
            at = place.index_select(0, own)
            if ego_part is None:
                ego_part = torch.addmm(bias, rows, ego_weight.T)
            context = rows.new_full((3, len(own)), age_s)
            context[0] = seen[n].index_select(0, own)
            if agent.lag_s is not None:
                context[1] += agent.lag_s.flatten().index_select(0, own)
            context[2] = agent.sigma.flatten().index_select(0, own)
            hidden = ego_part.index_select(0, at)
            hidden.addmm_(rows, to_hidden.T).addmm_(context.T, context_weight.T)
            logits[n].index_copy_(0, at, hidden.relu_() @ last[0] + last_bias)
            parts.append(_Part(rows, at, codec))
        return torch.softmax(logits, dim=0), cells, parts

    def merge(self, maps: Tensor, visible: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Views of one agent at one instant as one map: merged (1, C, H, W) and weights (A, 1, H, W).

        Arguments as in `forward`. Every view is the ego once and the logits are averaged, so that no order matters; a
        cell is mixed from the views that see it and comes out exactly as it went in where one does; unseen cells are 0.
        """
        ages = maps.new_zeros(len(maps))
        logits = torch.stack([self._logits(ego[None], maps, visible, ages, sigma) for ego in maps]).mean(
            dim=0
        )
        weights = torch.softmax(logits.masked_fill(~visible, -torch.inf), dim=0)
        weights = torch.where(visible.any(dim=0, keepdim=True), weights, 0.0)
        return (weights.to(maps.dtype) * maps).sum(dim=0, keepdim=True), weights

    def _logits(self, ego: Tensor, maps: Tensor, visible: Tensor, ages_s: Tensor, sigma: Tensor) -> Tensor:
        ages_s = ages_s.view(-1, 1, 1, 1).expand_as(sigma) if ages_s.ndim == 1 else ages_s
        context = torch.cat([visible.to(maps.dtype), ages_s, sigma], dim=1)
        hidden = torch.relu(self.ego(ego) + self.other(maps) + self.context(context.to(maps.dtype)))
        logits: Tensor = self.weight(hidden).float()
        return logits


def _mixed(parts: Sequence[_Part], weights: Tensor) -> Tensor:
    """Features (n, C) of the cells, mixed of the parts, the first being self, by their weights (A, n). Latents are
    mixed as they are and taken to features together."""
    own, *others = parts
    mixed = own.rows * weights[0][:, None]
    latents: dict[Compression, Tensor] = {}
    for part, weight in zip(others, weights[1:], strict=True):
        if part.codec is None:
            total = mixed
        elif part.codec in latents:
            total = latents[part.codec]
        else:
            total = latents[part.codec] = mixed.new_zeros(len(mixed), part.rows.shape[1])
        total.index_add_(0, part.at, part.rows * weight.index_select(0, part.at)[:, None])
    for codec, total in latents.items():
        mixed.addmm_(total, codec.decoder().T)
    return mixed


def _places(cells: Tensor, total: int) -> Tensor:
    """(total,) the place of every one of the cells (n,) among them; -1 elsewhere."""
    places = cells.new_full((total,), -1)
    places[cells] = torch.arange(len(cells), device=cells.device)
    return places
