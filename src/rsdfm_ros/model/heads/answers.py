"""Truth that heads are trained on and answers of plug-in heads, without torch: nodes and metrics use them too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.geometry.lattice import Window

BUILT_IN: tuple[str, ...] = ("detection", "segmentation", "trajectory")
"""Heads with functions and nodes of their own."""

Figures = dict[str, tuple[float, float]]
"""Name of a figure → what a frame adds to its numerator and to its denominator."""


@dataclass(frozen=True)
class Truth:
    """Training target of a head: the objects now and in the coming frames.

    objects: the present, then up to `horizon` later frames 0.5 s apart · seen (N,) bool over the present objects:
    whether any agent whose features were fused sees them; unseen ones are left out of the losses · layout: the static
    scene, where the data set has it and a head needs it.
    """

    objects: tuple[Objects, ...]
    seen: NDArray[np.bool_]
    layout: LayoutMap | None = None


class TaskAnswer:
    """Base of a plug-in head's answer for one instant; subclasses hold the data."""

    def figures(self, truth: Truth, area: Window) -> Figures:
        """Figures of merit within `area`, for `rsdfm evaluate`: sums over frames are divided; nothing by default.

        truth: the objects of the present and of the coming frames, which of them an agent in use sees, the layout.
        """
        return {}


def plug_ins(names: Iterable[str]) -> tuple[str, ...]:
    """The heads among `names` that are plug-ins."""
    return tuple(name for name in names if name not in BUILT_IN)
