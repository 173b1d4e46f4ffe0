"""Errors of bags."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.errors import RsdfmError


class BagError(RsdfmError):
    """A bag that cannot be used at all: names the file, what is wrong, and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str = "") -> None:
        self.path, self.problem, self.remedy = str(path), problem, remedy
        super().__init__(f"{path}: {problem}" + (f" ({remedy})" if remedy else ""))


class TopicMapError(RsdfmError):
    """A topic map that cannot be used: says where and what is allowed."""
