"""Parameters that were renamed: former names in files of users work for one release, with a warning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rsdfm_ros.settings import both_sentence, warn_renamed

FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {"images_rectified": "pictures_rectified", "map_consistency": "resemblance"}
)
"""Parameter of a UAV's nodes, or threshold of a model → the name that it had in the last release, which still works; a
parameter with a warning."""


def with_new_names(values: Mapping[str, Any], where: str, error: type[Exception]) -> dict[str, Any]:
    """Parameters of a UAV's nodes without their former names; `where` stands before a name. Raises `error` if a
    parameter is given under both."""
    out = dict(values)
    for new, old in FORMER_NAMES.items():
        if old in out:
            if new in out:
                raise error(both_sentence(f"{where}{old}", f"{where}{new}"))
            warn_renamed(f"{where}{old}", f"{where}{new}")
            out[new] = out.pop(old)
    return out
