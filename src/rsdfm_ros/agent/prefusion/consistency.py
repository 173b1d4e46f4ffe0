"""Consistency check: peers whose maps show other vehicles than the own map, where both see well, are left out.

Maps are read by a linear probe of the own segmentation head (probe.py), compared cell by cell (evidence.py), and judged
by the evidence of several images (trust.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rsdfm_ros.agent.prefusion.evidence import OwnAnswers
from rsdfm_ros.agent.prefusion.probe import ProbeFit
from rsdfm_ros.agent.prefusion.trust import Trust
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.model.perception import Perception


class ConsistencyCheck:
    """The check of one UAV. It keeps what it learned of the own maps and of every publisher. For one thread at a time.

    It needs a segmentation head: without one every peer is believed.
    """

    def __init__(self) -> None:
        self._fit, self._trust = ProbeFit(), Trust()
        self._fitted_ns: int | None = None

    @torch.inference_mode()
    def believed(
        self,
        model: Perception,
        own: View,
        peers: Sequence[View],
        at_least: float,
        alone: Callable[[], FusedMap],
    ) -> list[View]:
        """The peers whose maps are true with a probability of `at_least`, or of which the own map shows nothing.

        own: its stamp tells the images apart; the same one may be judged again · alone: the own map without peers, as
        it was made, called now and then.
        """
        if "segmentation" not in model.config.heads:
            return list(peers)
        self._learn(model, own, alone)
        probe = self._fit.probe
        if probe is None:
            return list(peers)
        mine = OwnAnswers.of(probe, own.bev, model.window.cell_size)
        return [
            p
            for p in peers
            if self._trust.judge(
                (p.name, p.publisher), own.stamp_ns, mine.evidence(probe, p.bev), at_least
            )
        ]

    def _learn(self, model: Perception, own: View, alone: Callable[[], FusedMap]) -> None:
        if own.stamp_ns == self._fitted_ns:
            return
        self._fitted_ns = own.stamp_ns
        if self._fit.due:
            single = alone()
            self._fit.add(model, single, model.foreground([single]))
        else:
            self._fit.skip()
