"""Where files that a description names lie: beside the command that runs, or in the installed package."""

from __future__ import annotations

import os
from pathlib import Path

from rsdfm_ros.fleet.fields import FleetDescriptionError

PACKAGE = "rsdfm_ros"
RANDOM = "random:"


def shares() -> list[Path]:
    """The share folders of this package in the sourced ROS environment, the uppermost first."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return [share for p in prefixes if (share := Path(p) / "share" / PACKAGE).is_dir()]


def found(path: str) -> Path | None:
    """`path` if it exists, below the working folder or else below a share folder; None otherwise."""
    for folder in (Path(), *shares()):
        if (folder / path).exists():
            return folder / path
    return None


def model_path(model: str) -> str:
    """The model of a description as nodes take it; unchanged if it is nowhere."""
    if model.startswith(RANDOM):
        config, *rest = model.removeprefix(RANDOM).split(":")
        return RANDOM + ":".join([str(found(config) or config), *rest])
    return str(found(model) or model)


def parameter_file(path: str) -> str:
    """A ROS parameter file as nodes take it. Raises: FleetDescriptionError if it is nowhere."""
    there = found(path)
    if there is None or not there.is_file():
        raise FleetDescriptionError(f"params_files: there is no file {path}")
    return str(there.absolute())
