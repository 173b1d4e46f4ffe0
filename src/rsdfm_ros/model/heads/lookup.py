"""Finds heads by name: the built-in ones, those of installed packages, and those of plug-in modules."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads import detection, layout, segmentation, trajectory  # noqa: F401  registers them
from rsdfm_ros.model.heads.registry import Head, registered_heads

ENTRY_POINTS = "rsdfm_ros.heads"
"""Group of entry points under which installed packages name modules that register heads."""


def head_names() -> tuple[str, ...]:
    """The registered heads: ours, those of installed packages (entry points), and of plug-ins imported before."""
    for entry in entry_points(group=ENTRY_POINTS):
        _import(entry.module, f"entry point {entry.name!r} of group {ENTRY_POINTS}")
    return tuple(sorted(registered_heads()))


def import_plugins(modules: Iterable[str]) -> None:
    """Import modules that register heads; RsdfmError names one that cannot be imported."""
    for module in modules:
        _import(module, f"--plugin {module}")


def _import(module: str, source: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise RsdfmError(
            f"{source}: cannot import {module} ({error}); is it installed, or in PYTHONPATH?"
        ) from error


def head_class(name: str) -> type[Head]:
    """The class of a head by its registered name; RsdfmError lists the known ones."""
    known = head_names()
    if name not in known:
        raise RsdfmError(
            f"there is no head {name!r}; registered are {', '.join(known)}. Heads of other packages are found by their "
            f"entry point in {ENTRY_POINTS}, or with --plugin MODULE"
        )
    return registered_heads()[name]


def needs_of(names: Iterable[str]) -> frozenset[str]:
    """Parts of the truth that these heads need beside objects."""
    return frozenset(need for name in names for need in head_class(name).needs)


def build_head(name: str, config: ModelConfig) -> Head:
    """A head by its registered name; RsdfmError lists the known ones."""
    return head_class(name)(config)
