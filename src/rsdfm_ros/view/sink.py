"""What takes a mission as arrays by UAV and stamp: the rerun scene (view/scene.py) and the web page's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.lattice import Window

COLLABORATIVE, SINGLE = "collaborative", "single"
BOX_SCORE = 0.3
"""Less sure detections are not shown."""
FOREGROUND_PERCENT = 50
SCORED_M = 50.0
"""IoU is of ±50 m around the origin, as in reports, where the map covers that."""
MAX_AGENTS = 64

Polygons = Sequence[Sequence[tuple[float, float]]]


class MissionSink(Protocol):
    """Takes what is known of a mission, in any order; stamps in ns, maps (ni, nj) on `window` unless said otherwise."""

    window: Window | None
    agents: list[str]
    """Names of the UAVs that are known."""

    def expect(self, agents: Sequence[str]) -> None:
        """Give UAVs their numbers and colours, in this order."""

    def show_window(self, window: Window | None) -> None:
        """Let all maps show this window."""

    def camera(self, agent: str, ns: int, view: CameraView, name: str = "camera") -> None:
        """An image and where it was taken."""

    def detections(self, agent: str, variant: str, ns: int, boxes: Boxes) -> None:
        """Detections of a UAV; variant: SINGLE or COLLABORATIVE."""

    def truth(self, ns: int, objects: Objects, agents: Sequence[str] = ()) -> None:
        """True places of the vehicles; agents: those that the columns of `visibility` are of."""

    def true_cells(self, ns: int, vehicle: NDArray[np.bool_]) -> None:
        """Cells with a true vehicle."""

    def occupancy(
        self, agent: str, variant: str, ns: int, percent: NDArray[np.uint8], window: Window
    ) -> None:
        """Probability of a vehicle in per cent on a window. Raises: ValueError for cells of another size."""

    def paths(
        self, agent: str, variant: str, ns: int, positions: NDArray[np.float64], ids: Sequence[int] = ()
    ) -> None:
        """Present and future positions of objects: positions (N, K, 2) m."""

    def sees(self, agent: str, ns: int, visible: NDArray[np.bool_]) -> None:
        """Cells that a UAV sends features of, packet by packet."""

    def contributors(self, agent: str, ns: int, dominant: NDArray[np.uint8]) -> None:
        """UAV with the largest weight in every cell of a fused map; 1 + k is the k-th peer of the status."""

    def status(self, agent: str, ns: int, facts: Mapping[str, Any]) -> None:
        """Figures of a UAV by their keys in status.jsonl."""

    def surroundings(self, roads: Polygons, buildings: Polygons) -> None:
        """The static scene, as polygons of (x, y) in metres."""
