"""Decision thresholds of a model: defaults, and those of its manifest. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdfm_ros.former_names import FORMER_NAMES

DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "segmentation": 0.5,
    "trajectory": 0.5,
    "detection": 0.05,
    "objects": 0.3,
    "map_consistency": 0.18,
}


def thresholds_of(manifest: Mapping[str, Any]) -> dict[str, float]:
    """All thresholds of a model: those of its manifest, else the defaults."""
    new_names = {old: new for new, old in FORMER_NAMES.items()}
    known = {new_names.get(name, name): value for name, value in manifest.get("thresholds", {}).items()}
    return {**DEFAULT_THRESHOLDS, **known}
