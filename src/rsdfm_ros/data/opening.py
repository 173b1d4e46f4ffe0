"""Opens a data set of any layout that is known."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.data.convert.airv2x import PICKLES, looks_like
from rsdfm_ros.data.description import Description
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.griffin.files import find_root
from rsdfm_ros.data.griffin.reader import open_griffin
from rsdfm_ros.data.nuscenes import reader
from rsdfm_ros.data.nuscenes.reader import Dataset
from rsdfm_ros.data.presets import PRESETS, locate


def open_dataset(path: Path | str, description: Description | None = None) -> Dataset:
    """Opens the data set in a folder: Griffin as published, or tables in the nuScenes schema.

    `DIR@val` opens the scenes of a split only. description: see :func:`rsdfm_ros.data.nuscenes.reader.open_dataset`.
    Raises: DatasetError that names the file, what was expected and what to do.
    """
    folder, found, split = locate(path)
    griffin = find_root(folder)
    if griffin is not None:
        return open_griffin(griffin, description or found or PRESETS["griffin"], split)
    refuse_pickles(folder)
    return reader.open_dataset(path, description)


def refuse_pickles(folder: Path) -> None:
    """Raise DatasetError for AirV2X as published, which is read by `rsdfm data convert airv2x` alone."""
    if looks_like(folder):
        problem = f"is AirV2X as published. {PICKLES}"
        raise DatasetError(folder, problem, "make a data set of it: rsdfm data convert airv2x")
