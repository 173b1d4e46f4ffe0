"""Errors of datasets on disk."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.errors import RsdfmError


class DatasetError(RsdfmError):
    """A dataset cannot be read or written as it stands: names the file, what was expected and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str = "") -> None:
        self.path = str(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{path}: {problem}" + (f" ({remedy})" if remedy else ""))


class TableError(DatasetError):
    """A table of the dataset is missing, is no valid JSON, or contradicts the schema or another table."""


class MissingFileError(DatasetError):
    """An image or depth file that the tables name cannot be read."""


class ParameterMismatchError(DatasetError):
    """The folder holds scenes made with other parameters than the ones asked for now."""
