"""Helpers of the tests of dynamic parameters: running nodes, and the parameters that are shown to take effect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from support.node_flight import Flight


def shows(*names: str) -> Any:
    """Mark a test as one that shows the effect of these dynamic parameters; `shown_in` finds them."""
    assert names
    return lambda test: test


def shown_in(folder: Path) -> set[str]:
    """The dynamic parameters that tests of a folder show to do something."""
    sources = [path.read_text() for path in folder.glob("test_dynamic*.py")]
    calls = [call for source in sources for call in re.findall(r"^@shows\((.*)\)$", source, re.MULTILINE)]
    return {name for call in calls for name in re.findall(r'"(\w+)"', call)}


def up(flight: Flight, kind: type[Any], model: Path, **parameters: Any) -> Any:
    values = {"model": str(model), "input_timeout_s": 60.0, **parameters}
    if hasattr(kind, "slots") and kind is EncoderNode:
        values |= {"image_reliability": "reliable", "max_speed_mps": 0.0}
    if kind in (EncoderNode, CollaborationNode):
        values["features_reliability"] = "reliable"
    if kind is CollaborationNode:
        values["liveliness_lease_s"] = 60.0
    return flight.world.up(flight.world.add(kind(**flight.world.options(**values))))
