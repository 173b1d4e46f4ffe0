"""Consistency check: two maps of one place fit better where they are than shifted elsewhere.

The correlation of two correct maps depends on the place: walls seen from two sides look different, roads look alike
everywhere, and where little was sent, most cells hold the same vector. So the correlation is taken over the blocks with
content in both maps, and half of the highest one at shifts beyond any pose error is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.model.maps import AgentBev, rows_of

POOL = 2
"""Side in cells of the blocks that are compared."""
COMMON_BLOCKS = 100
"""Number of blocks with content in both maps, below which the consistency is undefined."""
SHIFTED_BLOCKS = 12
"""Number of blocks with content in both maps at a shift, below which that shift is not used."""
NEAR_BLOCKS = 1.5
"""Shifts up to this count as no shift: maps may be misplaced by that much."""
FAR_BLOCKS = (6.0, 16.0)
"""Shifts from and to which mean elsewhere."""
DIRECTIONS = 16
"""Number of directions of the features that are compared."""
_SAMPLES = 256  # number of blocks that a map's median is taken of
_NOISE = 1e-4  # share of the median's energy: smaller differences count as none


@dataclass(frozen=True)
class MapSignature:
    """Signature of a map, ready for comparison.

    seen, told (H / POOL, W / POOL) bool: the blocks seen completely, and those with a difference from the map's median
    · places (n,): the blocks seen · difference (n, C), energy (n,): theirs.
    """

    seen: Tensor
    told: Tensor
    places: Tensor
    difference: Tensor
    energy: Tensor

    @classmethod
    def of(cls, bev: AgentBev) -> MapSignature:
        """The signature of a map; cells that were not sent are equal everywhere and do not count."""
        seen = whole_blocks(bev.visible)
        places = seen.flatten().nonzero()[:, 0]
        means = block_means(bev, places)
        usual = _median(means[:: max(1, len(places) // _SAMPLES)])
        difference = means - usual
        energy = difference.square().sum(dim=1)
        told = torch.zeros_like(seen)
        told.view(-1)[places] = energy > _NOISE * usual.square().sum() + 1e-12
        return cls(seen, told, places, difference, energy)

    @cached_property
    def directions(self) -> Tensor:
        """Directions (C, k) of most of the difference's energy: what another map has in others counts as different."""
        _, vectors = torch.linalg.eigh(self.difference.T @ self.difference)
        main: Tensor = vectors[:, -DIRECTIONS:]  # the last ones have most of the energy
        return main

    @cached_property
    def _spectra(self) -> Tensor:
        return self._spectra_of(self)

    def _spectra_of(self, other: MapSignature) -> Tensor:
        """Spectra (k + 2, h, w) of the difference in the directions of this map, of its energy, and of `told`."""
        along = other.difference @ self.directions
        layers = along.new_zeros(along.shape[1] + 2, other.seen.numel())
        layers[:-2].index_copy_(1, other.places, along.T)
        layers[-2].index_copy_(0, other.places, other.energy)
        layers[-1] = other.told.flatten()
        spectra: Tensor = torch.fft.rfft2(layers.view(-1, *other.seen.shape), s=self._size)
        return spectra

    @property
    def _size(self) -> list[int]:
        return [side + int(FAR_BLOCKS[1]) for side in self.seen.shape]

    @cached_property
    def _shifts(self) -> tuple[Tensor, int]:
        """The shifts that count, as indices into those of the transform, and how many of them, the first ones, are
        near."""
        i, j = (torch.fft.fftfreq(n, 1.0 / n, device=self.seen.device) for n in self._size)
        distance = torch.hypot(i[:, None], j).flatten()
        near = (distance <= NEAR_BLOCKS).nonzero()[:, 0]
        far = ((distance >= FAR_BLOCKS[0]) & (distance <= FAR_BLOCKS[1])).nonzero()[:, 0]
        return torch.cat([near, far]), len(near)

    def consistency(self, other: MapSignature) -> float | None:
        """Map consistency: how much better the other map fits here than shifted, in [-1, 1]; None if they share too
        little.

        That is the highest correlation at shifts up to NEAR_BLOCKS, less half of the highest at FAR_BLOCKS if positive.
        A uniform map is consistent with none: 0.
        """
        if int((self.told & other.told).sum()) < COMMON_BLOCKS:
            says_nothing = int(other.told.sum()) < COMMON_BLOCKS <= int((self.seen & other.seen).sum())
            return 0.0 if says_nothing else None
        a, b = self._spectra, self._spectra_of(other).conj_physical()
        products = [(a[:-2] * b[:-2]).sum(dim=0), a[-2] * b[-1], a[-1] * b[-2], a[-1] * b[-1]]
        shifts, near = self._shifts
        sums = torch.fft.irfft2(torch.stack(products), s=self._size).flatten(1)
        common, mine, theirs, blocks = sums.index_select(1, shifts)
        correlation = common / (mine * theirs).clamp_min(1e-12).sqrt()
        correlation = torch.where(blocks < SHIFTED_BLOCKS, 0.0, correlation)
        here, elsewhere = correlation[:near].max(), correlation[near:].max()
        return max(-1.0, float(here - 0.5 * elsewhere.clamp_min(0.0)))


def block_means(bev: AgentBev, places: Tensor) -> Tensor:
    """Means (n, C) of the features of blocks `places` (n,), indices into the H / POOL · W / POOL blocks of a map; all
    of their cells are visible."""
    w, latents = bev.visible.shape[1], bev.latents
    across = w // POOL
    first = places // across * POOL * w + places % across * POOL
    steps = [i * w + j for i in range(POOL) for j in range(POOL)]
    cells = first[:, None] + torch.tensor(steps, device=first.device)
    if latents is None:
        return F.embedding_bag(cells, rows_of(bev.features), mode="mean")
    return F.embedding_bag(latents.places.take(cells), latents.rows, mode="mean") @ latents.codec.decoder().T


def _median(rows: Tensor) -> Tensor:
    """Lower median (C,) of rows (n, C), 0 without any. NumPy's takes half the time of torch.median."""
    if not len(rows):
        return rows.new_zeros(rows.shape[1])
    middle = (len(rows) - 1) // 2
    return torch.from_numpy(np.partition(rows.T.cpu().numpy(), middle, axis=1)[:, middle]).to(rows.device)


def whole_blocks(cells: Tensor) -> Tensor:
    """Blocks (H / POOL, W / POOL) all of whose cells (H, W) are set."""
    h, w = (side // POOL * POOL for side in cells.shape)
    parts = [cells[i:h:POOL, j:w:POOL] for i in range(POOL) for j in range(POOL)]
    return reduce(torch.logical_and, parts)


def reject_inconsistent(own: View, peers: Sequence[View], at_least: float) -> list[View]:
    """The peers whose maps are consistent with the ego's own by `at_least` (MapSignature.consistency), or show other
    places; the others are false or badly misplaced. All peers at -1."""
    if at_least <= -1.0:
        return list(peers)
    mine = MapSignature.of(own.bev)
    judged = [(p, mine.consistency(MapSignature.of(p.bev))) for p in peers]
    return [p for p, value in judged if value is None or value >= at_least]
