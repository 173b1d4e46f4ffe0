"""Figures that are sums over frames divided by sums over frames: the figures of plug-in tasks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.heads.answers import Figures, Truth


class Ratios:
    """Numerators and denominators by name."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, figures: Figures, prefix: str = "") -> None:
        """Add what a frame contributes."""
        for name, (numerator, denominator) in figures.items():
            before = self._sums.get(prefix + name, (0.0, 0.0))
            self._sums[prefix + name] = (before[0] + numerator, before[1] + denominator)

    def add_answers(
        self,
        prediction: FramePrediction,
        truth: FrameTruth,
        area: Window,
        visible: NDArray[np.bool_] | None,
    ) -> None:
        """Add the figures of every plug-in task for a frame, as `<task>_<figure>`."""
        if not prediction.answers:
            return
        seen = np.ones(len(truth.objects), bool) if visible is None else visible
        frame_truth = Truth(truth.frames, seen, truth.layout)
        for task, answer in prediction.answers.items():
            self.add(answer.figures(frame_truth, area), f"{task}_")

    def merge(self, other: Ratios) -> None:
        """Add what another accumulator counted."""
        self.add(other._sums)

    def result(self) -> Mapping[str, float | None]:
        """Every ratio; None where there was nothing to divide by."""
        return {name: n / d if d else None for name, (n, d) in self._sums.items()}
