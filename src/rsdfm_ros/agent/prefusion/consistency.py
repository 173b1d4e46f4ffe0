"""Consistency check: peers whose maps show other vehicles than the own map, where both see well, are left out.

Maps are read by a linear probe of the own segmentation head (probe.py), compared cell by cell (evidence.py), and judged
by the evidence of several images (trust.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch

from rsdfm_ros.agent.prefusion.evidence import Evidence, OwnAnswers, milder
from rsdfm_ros.agent.prefusion.probe import Probe, ProbeFit
from rsdfm_ros.agent.prefusion.trust import Trust
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.model.perception import Perception

RECENT = 8
"""Own images that older maps of peers are compared with, at most."""


class ConsistencyCheck:
    """The check of one UAV. It keeps what it learned of the own maps and of every publisher. For one thread at a time.

    It needs a segmentation head: without one every peer is believed.
    """

    def __init__(self) -> None:
        self._fit, self._trust = ProbeFit(), Trust()
        self._fitted_ns: int | None = None
        self._recent: deque[tuple[int, OwnAnswers]] = deque(maxlen=RECENT)
        self._window: Window | None = None

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
        self._remember(own.stamp_ns, model.window, OwnAnswers.of(probe, own.bev, model.window.cell_size))
        kept = []
        for peer in peers:
            found = self._evidence(probe, peer, own.stamp_ns - round(1e9 * peer.age_s))
            if self._trust.judge((peer.name, peer.publisher), own.stamp_ns, found, at_least):
                kept.append(peer)
        return kept

    def _evidence(self, probe: Probe, peer: View, stamp_ns: int) -> Evidence | None:
        """The evidence of a map of that stamp, compared with the own maps since then."""
        later = sum(stamp > stamp_ns for stamp, _ in self._recent)
        mine = OwnAnswers.joint([answers for _, answers in self._recent][-later - 1 :])
        found = mine.evidence(probe, peer.bev)
        if peer.came is not None:  # velocities of boxes may be wrong, and the map still right
            found = milder(found, mine.evidence(probe, peer.came))
        if found is None or later < len(self._recent):
            return found
        return Evidence(min(0.0, found.false), min(0.0, found.missing))  # what moved since then is not known

    def _remember(self, stamp_ns: int, window: Window, answers: OwnAnswers) -> None:
        recent = self._recent
        if recent and (window != self._window or stamp_ns < recent[-1][0]):
            recent.clear()
        if recent and recent[-1][0] == stamp_ns:
            recent.pop()
        self._window = window
        recent.append((stamp_ns, answers))

    def _learn(self, model: Perception, own: View, alone: Callable[[], FusedMap]) -> None:
        if own.stamp_ns == self._fitted_ns:
            return
        self._fitted_ns = own.stamp_ns
        if self._fit.due:
            single = alone()
            self._fit.add(model, single, model.foreground([single]))
        else:
            self._fit.skip()
