"""Processing time of UAVs per image, from the times that their nodes report. Free of ROS.

Waiting is not part of it, neither for peers nor in lockstep for the slowest UAV, so it is the cost of one image on the
machine under its load at that time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

KEPT_IMAGES = 200
COMPARISON = "_single"
"""Ending of stages that answer without peers, for comparison only."""


class ProcessingTimes:
    """Times of the last images by UAV; an image counts once all nodes of its UAV have reported."""

    def __init__(self) -> None:
        self._times_ms: dict[str, OrderedDict[int, dict[str, float]]] = {}
        self._nodes: dict[str, set[str]] = {}

    def add(self, agent: str, node: str, stamp_ns: int, stages_ms: Mapping[str, float]) -> None:
        """Add the times of a node for an image; stages for comparison are left out."""
        images = self._times_ms.setdefault(agent, OrderedDict())
        images.setdefault(stamp_ns, {})[node] = sum(
            ms for name, ms in stages_ms.items() if not name.endswith(COMPARISON)
        )
        self._nodes.setdefault(agent, set()).add(node)
        while len(images) > KEPT_IMAGES:
            images.popitem(last=False)

    def figures(self, agent: str) -> dict[str, float | None]:
        """Median and 95th percentile per image of a UAV in ms; None before the first."""
        wanted = self._nodes.get(agent, set())
        whole = [
            sum(nodes.values()) for nodes in self._times_ms.get(agent, {}).values() if set(nodes) == wanted
        ]
        return {
            "processing_median_ms": float(np.median(whole)) if whole else None,
            "processing_p95_ms": float(np.percentile(whole, 95)) if whole else None,
        }
