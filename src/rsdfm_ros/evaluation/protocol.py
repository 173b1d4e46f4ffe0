"""The fixed protocol of an evaluation, written beside every result so that a figure can be traced."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.data.frame import CLASSES, FRAME_PERIOD_S
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import VISIBLE_FROM
from rsdfm_ros.evaluation.metrics.detection import BANDS_M, DISTANCES_M, ERROR_DISTANCE_M, IOUS
from rsdfm_ros.evaluation.metrics.segmentation import MATCH_IOU
from rsdfm_ros.evaluation.metrics.trajectory import PAIR_DISTANCE_M
from rsdfm_ros.geometry.lattice import Window, square_window

VERSION = 1
HISTORY = 3
"""Frames in the history of a temporal task, the present one included."""

CELL_SIZE_M, LONG_HALF_EXTENT_M, SHORT_HALF_EXTENT_M = 0.5, 50.0, 25.0
AREAS: dict[str, Window] = {
    "long": square_window(LONG_HALF_EXTENT_M, CELL_SIZE_M),
    "short": square_window(SHORT_HALF_EXTENT_M, CELL_SIZE_M),
}
"""The areas that figures are given for, by name."""


@dataclass(frozen=True)
class Protocol:
    """Scenes, methods and settings of an evaluation. Frames from HISTORY − 1 to the last one with all futures are
    scored.

    world: settings of the simulated scenes that are not the default (rsdfm_ros.sim.record), {} for the standard world.
    styles, weathers, terrains: of every scene, "" where they are not noted. engine: what ran the network.
    """

    model: str
    model_fingerprint: str
    data: str
    scenes: tuple[str, ...]
    seeds: tuple[int | None, ...]
    uavs: int
    egos: int
    frames_per_scene: tuple[int, ...]
    budget_bytes: int
    segmentation_threshold: float
    detection_threshold: float
    disturbance: Disturbance = field(default_factory=Disturbance)
    cell_size_m: float = CELL_SIZE_M
    long_half_extent_m: float = LONG_HALF_EXTENT_M
    short_half_extent_m: float = SHORT_HALF_EXTENT_M
    world: Mapping[str, Any] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    terrains: tuple[str, ...] = ()
    engine: str = "torch"
    max_packet_bytes: int = DEFAULTS.max_packet_bytes

    @property
    def areas(self) -> dict[str, Window]:
        """The evaluation areas by name."""
        return {
            "long": square_window(self.long_half_extent_m, self.cell_size_m),
            "short": square_window(self.short_half_extent_m, self.cell_size_m),
        }

    def to_dict(self) -> dict[str, Any]:
        """The protocol with its constants, as it goes into JSON."""
        return {
            "version": VERSION,
            **dataclasses.asdict(self),
            "classes": list(CLASSES),
            "history_frames": HISTORY,
            "future_steps": FUTURE_STEPS,
            "frame_period_s": FRAME_PERIOD_S,
            "match_iou": MATCH_IOU,
            "ap_distances_m": list(DISTANCES_M),
            "ap_ious": list(IOUS),
            "ap_bands_m": [low for low, _ in BANDS_M],
            "error_distance_m": ERROR_DISTANCE_M,
            "track_pair_distance_m": PAIR_DISTANCE_M,
            "visible_from": VISIBLE_FROM,
        }


def scored_frames(frames: int) -> range:
    """Indices of the frames of a scene that have a full history and all futures; the only one of a scene of a single
    frame, which is scored without futures."""
    return range(1) if frames == 1 else range(HISTORY - 1, frames - FUTURE_STEPS)
