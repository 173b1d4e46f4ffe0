"""Paths of files that a description names: beside the command that runs, or in the installed package."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.shipped import shipped

RANDOM = "random:"


def found(path: str) -> Path | None:
    """`path` if it exists, in one of the places where shipped files are looked for; None otherwise."""
    there = shipped(path)
    return there if there.exists() else None


def model_path(model: str) -> str:
    """The model of a description as nodes take it; unchanged if it is not found."""
    if model.startswith(RANDOM):
        config, *rest = model.removeprefix(RANDOM).split(":")
        return RANDOM + ":".join([str(found(config) or config), *rest])
    return str(found(model) or model)


def parameter_file(path: str) -> str:
    """A ROS parameter file as nodes take it. Raises: FleetDescriptionError if it is not found."""
    there = found(path)
    if there is None or not there.is_file():
        raise FleetDescriptionError(f"params_files: there is no file {path}")
    return str(there.absolute())
