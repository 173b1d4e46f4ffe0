"""Inputs and answers of the offline engine; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.tracking import ID_MEMORY_S
from rsdfm_ros.evaluation.mission import Answer
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES

COLLABORATIVE, SINGLE = "collaborative", "single"


@dataclass(frozen=True)
class EngineOptions:
    """As the parameters of the nodes with the same names; recorded_features: peers' packets come from the bag instead
    of being made from the images; a negative resemblance is the model's own."""

    budget_bytes: int = DEFAULT_BUDGET_BYTES
    max_packet_bytes: int = 16_384
    max_age_s: float = 1.0
    max_gap_s: float = 1.6
    id_memory_s: float = ID_MEMORY_S
    ground_height_m: float = 0.0
    recorded_features: bool = False
    send_boxes: str = "auto"
    move_peers: bool = True
    correct_poses: bool = True
    doubt_peers: bool = True
    resemblance: float = -1.0


@dataclass(frozen=True)
class UavAnswer:
    """Answers of one UAV for an instant. answers, visible (ni, nj) of the output window: by variant · contributors: the
    UAV first · sent_bytes, packets: what it sends or, with recorded features, sent · corrected: agents whose poses it
    corrected, itself among them · left_out: why, by peer."""

    uav: str
    answers: dict[str, Answer]
    visible: dict[str, NDArray[np.bool_]]
    contributors: tuple[str, ...]
    ages_s: tuple[float, ...]
    sent_bytes: int
    packets: int
    corrected: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
