"""Options of a bag's evaluation, and what every UAV answers; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.evaluation.mission import Answer
from rsdfm_ros.model.heads.answers import TaskAnswer


@dataclass(frozen=True)
class EngineOptions:
    """Options of an agent (agent/options.py) that matter where time is recorded, and: ground_height_m: of level ground,
    where the bag has no heights · recorded_features: peers' packets come from the bag instead of being made from the
    images."""

    budget_bytes: int = DEFAULTS.budget_bytes
    max_packet_bytes: int = DEFAULTS.max_packet_bytes
    send_boxes: str = DEFAULTS.send_boxes
    max_age_s: float = DEFAULTS.max_age_s
    move_peers: bool = DEFAULTS.move_peers
    correct_poses: bool = DEFAULTS.correct_poses
    doubt_peers: bool = DEFAULTS.doubt_peers
    map_consistency: float = DEFAULTS.map_consistency
    max_gap_s: float = DEFAULTS.max_gap_s
    id_memory_s: float = DEFAULTS.id_memory_s
    ground_height_m: float = 0.0
    recorded_features: bool = False

    def protocol(self) -> dict[str, Any]:
        """Settings that results depend on, as result files name them."""
        return {
            "budget_bytes": self.budget_bytes,
            "max_packet_bytes": self.max_packet_bytes,
            "max_age_s": self.max_age_s,
            "max_gap_s": self.max_gap_s,
            "id_memory_s": self.id_memory_s,
            "ground_height_m": self.ground_height_m,
            "send_boxes": self.send_boxes,
            "move_peers": self.move_peers,
            "correct_poses": self.correct_poses,
            "doubt_peers": self.doubt_peers,
            "resemblance": self.map_consistency,
        }


@dataclass(frozen=True)
class UavAnswer:
    """The answer of one UAV at an instant. answers, visible (ni, nj) of the output window, plug_ins (answers of further
    tasks by name): by variant · contributors: the UAV first · sent_bytes, packets: what it sends or, with recorded
    features, sent · corrected: agents whose poses it corrected, itself among them · left_out: why, by peer."""

    uav: str
    answers: dict[str, Answer]
    visible: dict[str, NDArray[np.bool_]]
    contributors: tuple[str, ...]
    ages_s: tuple[float, ...]
    sent_bytes: int
    packets: int
    corrected: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    plug_ins: Mapping[str, Mapping[str, TaskAnswer]] = field(default_factory=dict)
