"""Values passed between the nodes of one process without serialisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OwnFeatures:
    """An image mapped to bird's-eye view. bev: AgentBev · arrived_s: steady clock when the image arrived · region:
    Window that the map lies on, None for the model's own · T_map_camera (4, 4), covariance (6, 6): the pose it was made
    with · solo: Solo, the answers without peers · boxes: those that were sent with it, None: those of solo ·
    ground: Ground that it was mapped on, None: not known."""

    stamp_ns: int
    frame: int
    bev: Any
    arrived_s: float
    region: Any = None
    T_map_camera: Any = None
    covariance: Any = None
    solo: Any = None
    boxes: Any = None
    ground: Any = None


@dataclass(frozen=True)
class Fused:
    """Own and peers' features at one instant. collaborative, single: FusedMap with and without peers ·
    contributors: names, the UAV itself first · ages_s: in their order · arrived_s, region, solo, ground: as in
    OwnFeatures ·
    shared: results of one head for the next ones, so that nothing is computed twice."""

    stamp_ns: int
    frame: int
    collaborative: Any
    single: Any | None
    contributors: tuple[str, ...]
    ages_s: tuple[float, ...]
    arrived_s: float
    region: Any = None
    solo: Any = None
    ground: Any = None
    shared: dict[str, Any] = field(default_factory=dict)
