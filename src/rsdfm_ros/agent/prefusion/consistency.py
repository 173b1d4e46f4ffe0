"""Consistency check: two maps of one place fit better where they are than shifted elsewhere.

The correlation of two correct maps depends on the place: walls seen from two sides look different, roads look alike
everywhere, and where little was sent, most cells hold the same vector. So the correlation is taken over the blocks with
content in both maps, and half of the highest one at shifts beyond any pose error is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.model.maps import AgentBev

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
_SAMPLES = 1024  # number of blocks that a map's median is taken of
_NOISE = 1e-4  # share of the median's energy: smaller differences count as none


@dataclass(frozen=True)
class MapSignature:
    """Signature of a map, ready for comparison.

    spectra (C + 2, n, m): of the difference from the map's median, of that difference's energy, and of `told` · seen,
    told (H / POOL, W / POOL) bool: the blocks seen completely, and those with a difference.
    """

    spectra: Tensor
    seen: Tensor
    told: Tensor

    @classmethod
    def of(cls, bev: AgentBev) -> MapSignature:
        """The signature of a map; cells that were not sent are equal everywhere and do not count."""
        features, seen = block_means(bev.features), whole_blocks(bev.visible)
        places = seen.flatten().nonzero()[:, 0]
        if len(places) == 0:
            usual = features.new_zeros(len(features))
        else:
            sample = places[:: max(1, len(places) // _SAMPLES)]
            usual = features.flatten(1)[:, sample].median(dim=1).values
        difference = (features - usual[:, None, None]) * seen
        energy = difference.square().sum(dim=0)
        told = energy > _NOISE * usual.square().sum() + 1e-12
        layers = torch.cat([difference, energy[None], told[None].to(energy.dtype)])
        padded = [side + int(FAR_BLOCKS[1]) for side in seen.shape]
        return cls(torch.fft.rfft2(layers, s=padded), seen, told)

    def consistency(self, other: MapSignature) -> float | None:
        """Map consistency: how much better the other map fits here than shifted, in [-1, 1]; None if they share too
        little.

        That is the highest correlation at shifts up to NEAR_BLOCKS, less half of the highest at FAR_BLOCKS if positive.
        A uniform map is consistent with none: 0.
        """
        if int((self.told & other.told).sum()) < COMMON_BLOCKS:
            says_nothing = int(other.told.sum()) < COMMON_BLOCKS <= int((self.seen & other.seen).sum())
            return 0.0 if says_nothing else None
        a, b = self.spectra, other.spectra.conj()
        products = [(a[:-2] * b[:-2]).sum(dim=0), a[-2] * b[-1], a[-1] * b[-2], a[-1] * b[-1]]
        size = [side + int(FAR_BLOCKS[1]) for side in self.seen.shape]
        common, mine, theirs, blocks = torch.fft.irfft2(torch.stack(products), s=size)
        correlation = common / (mine * theirs).clamp_min(1e-12).sqrt()
        correlation = torch.where(blocks < SHIFTED_BLOCKS, 0.0, correlation)
        i, j = (torch.fft.fftfreq(n, 1.0 / n, device=a.device) for n in size)
        distance = torch.hypot(i[:, None], j)
        here = correlation[distance <= NEAR_BLOCKS].max()
        elsewhere = correlation[(distance >= FAR_BLOCKS[0]) & (distance <= FAR_BLOCKS[1])].max()
        return max(-1.0, float(here - 0.5 * elsewhere.clamp_min(0.0)))


def block_means(features: Tensor) -> Tensor:
    """Means (C, H / POOL, W / POOL) of the blocks of a map (C, H, W). Those of avg_pool2d to rounding: whole rows are
    added first, which one thread does three times faster."""
    h, w = (side // POOL * POOL for side in features.shape[1:])
    rows = sum((features[:, k:h:POOL] for k in range(1, POOL)), features[:, 0:h:POOL])
    means = sum((rows[:, :, k:w:POOL] for k in range(1, POOL)), rows[:, :, 0:w:POOL])
    return means / POOL**2


def whole_blocks(cells: Tensor) -> Tensor:
    """Blocks (H / POOL, W / POOL) all of whose cells (H, W) are set."""
    h, w = (side // POOL * POOL for side in cells.shape)
    parts = [cells[i:h:POOL, j:w:POOL] for i in range(POOL) for j in range(POOL)]
    return torch.stack(parts).all(dim=0)


def reject_inconsistent(own: View, peers: Sequence[View], at_least: float) -> list[View]:
    """The peers whose maps are consistent with the ego's own by `at_least` (MapSignature.consistency), or show other
    places; the others are false or badly misplaced. All peers at -1."""
    if at_least <= -1.0:
        return list(peers)
    mine = MapSignature.of(own.bev)
    judged = [(p, mine.consistency(MapSignature.of(p.bev))) for p in peers]
    return [p for p, value in judged if value is None or value >= at_least]
