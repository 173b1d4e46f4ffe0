"""Evidence for and against a peer's map: vehicles that only one of two maps shows where both see well.

A vehicle in the peer's map contradicts the own map where that shows free ground up to the tolerance around it. The
other way round, a vehicle of the own map contradicts one that shows free ground there; cells of which the peer sent
nothing say nothing, because senders leave out what does not fit into their budget.

An older map is compared with all own maps since then: what moved meanwhile says nothing either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.agent.prefusion.probe import Probe
from rsdfm_ros.model.maps import AgentBev

SURE = 2.0
"""Logits above are vehicles."""
FREE, FREE_TO_PEERS = -2.0, -2.5
"""Logits below are free ground, in the own map and in maps of peers: far off, and in haze, they see less than they
send."""
TOLERANCE_M, SIGMAS, MOST_UNSURE_M = 1.0, 1.5, 3.0
"""Vehicles agree within TOLERANCE_M, and SIGMAS times the position uncertainty of both maps, up to MOST_UNSURE_M."""
VEHICLE_M2 = 12.0
"""Area in which cells are right or wrong together."""
FALSE_RATES, MISSING_RATES = (0.03, 0.15), (0.08, 0.35)
"""Share of the vehicle cells of a peer that the own map contradicts, and of the own map's that the peer contradicts,
for honest peers and for those that are not. Measured: docs/reliability.md."""
_HIDDEN = np.float32(-99.0)

Logits = NDArray[np.float32]
Cells = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """Log-likelihood ratios of a false map to a true one, of the vehicles that the peer shows and of those that it
    should show; 0 without any evidence."""

    false: float = 0.0
    missing: float = 0.0


def milder(one: Evidence | None, other: Evidence | None) -> Evidence | None:
    """The evidence that speaks less against a peer; None if one of them is."""
    if one is None or other is None:
        return None
    return min(one, other, key=lambda found: max(found.false, found.missing))


@dataclass
class OwnAnswers:
    """What one or several own maps show: lowest and highest logit (H, W), the cells (H, W) that are visible in all,
    cell size in m, and mean position uncertainty of the newest one in m."""

    lowest: Logits
    highest: Logits
    visible: Cells
    cell_size: float
    sigma: float
    _near: dict[int, tuple[Logits, Cells]] = field(default_factory=dict)

    @classmethod
    def of(cls, probe: Probe, bev: AgentBev, cell_size: float) -> OwnAnswers:
        """The answers of an own map."""
        logit = _logits(probe.logit(bev))
        return cls(logit, logit, bev.visible.cpu().numpy(), cell_size, mean_sigma(bev))

    @classmethod
    def joint(cls, parts: Sequence[OwnAnswers]) -> OwnAnswers:
        """The answers of several own maps of the same region, newest last."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            reduce(np.minimum, [part.lowest for part in parts]),
            reduce(np.maximum, [part.highest for part in parts]),
            reduce(np.logical_and, [part.visible for part in parts]),
            parts[-1].cell_size,
            parts[-1].sigma,
        )

    def near(self, reach: int) -> tuple[Logits, Cells]:
        """Highest logit up to so many cells away, and the cells around which all is seen so far."""
        if reach not in self._near:
            self._near[reach] = _near(self.highest, self.visible, reach)
        return self._near[reach]

    def evidence(self, probe: Probe, bev: AgentBev) -> Evidence | None:
        """The evidence of a peer's map; None if its answers are not finite."""
        logit, sent = _logits(probe.logit(bev)), probe.sent(bev).cpu().numpy()
        if not np.isfinite(logit).all():
            return None
        unsure_m = min(MOST_UNSURE_M, SIGMAS * math.hypot(self.sigma, mean_sigma(bev)))
        reach = max(1, round((TOLERANCE_M + unsure_m) / self.cell_size))
        shown = sent & (logit > SURE)
        known = self.visible & (self.lowest > SURE)
        false = _ratio(shown, *self.near(reach), FREE, self.cell_size, FALSE_RATES)
        near = _near(logit, sent, reach)
        return Evidence(false, _ratio(known, *near, FREE_TO_PEERS, self.cell_size, MISSING_RATES))


def mean_sigma(bev: AgentBev) -> float:
    """Mean position uncertainty of the visible cells, m; 0 without any."""
    seen = bev.sigma[bev.visible]
    return float(seen.mean()) if len(seen) else 0.0


def _logits(logit: Tensor) -> Logits:
    return np.asarray(logit.float().cpu().numpy())


def _near(logit: Logits, visible: Cells, reach: int) -> tuple[Logits, Cells]:
    """Highest visible logit (H, W) up to `reach` cells away, and the cells around which all is seen so far."""
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    highest = cv2.dilate(np.where(visible, logit, _HIDDEN), around)
    seen = cv2.erode(visible.astype(np.uint8), around)
    return np.asarray(highest, np.float32), seen.astype(bool)


def _ratio(
    vehicle: Cells, other: Logits, seen: Cells, free: float, cell_size: float, rates: tuple[float, float]
) -> float:
    """Log-likelihood ratio of the cells `vehicle` of one map, given the highest logits and the seen cells around them
    in the other one (H, W)."""
    compared = other[vehicle & seen]
    confirmed, contradicted = int((compared > 0.0).sum()), int((compared < free).sum())
    honest, false = rates
    against = contradicted * math.log(false / honest)
    return (against + confirmed * math.log((1.0 - false) / (1.0 - honest))) * cell_size**2 / VEHICLE_M2
