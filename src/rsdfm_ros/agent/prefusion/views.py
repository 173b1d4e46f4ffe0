"""Maps of agents with the pose and boxes that they were made with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.wire.boxes import SideBoxes


@dataclass(frozen=True)
class View:
    """One agent's map, the pose (4, 4) and covariance (6, 6) it was made with, its boxes if known, its age in s, and
    the agent's name. publisher: identifier of who sent it, empty if unknown · stamp_ns: of an own image · came: the
    map as it came, if latency compensation changed it."""

    bev: AgentBev
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]
    boxes: SideBoxes | None = None
    age_s: float = 0.0
    name: str = ""
    publisher: bytes = b""
    stamp_ns: int = 0
    came: AgentBev | None = None
