"""Helpers of the tests of dynamic parameters: running nodes, and the parameters that are shown to take effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from support.node_flight import Flight

COVERED: set[str] = set()
"""Dynamic parameters whose effect a test shows; a test compares it with the settings."""


def shows(*names: str) -> Any:
    COVERED.update(names)
    return lambda test: test


def up(flight: Flight, kind: type[Any], model: Path, **parameters: Any) -> Any:
    values = {"model": str(model), "input_timeout_s": 60.0, **parameters}
    if hasattr(kind, "slots") and kind is EncoderNode:
        values |= {"image_reliability": "reliable", "max_speed_mps": 0.0}
    if kind in (EncoderNode, CollaborationNode):
        values["features_reliability"] = "reliable"
    if kind is CollaborationNode:
        values["liveliness_lease_s"] = 60.0
    return flight.world.up(flight.world.add(kind(**flight.world.options(**values))))
