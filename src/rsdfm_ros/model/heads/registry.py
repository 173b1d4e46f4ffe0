"""The interface of task heads, and the registry that finds them by name.

A head reads the shared task features and nothing else, so that a task can be added, or trained on a frozen trunk,
without touching the other tasks or the packets between UAVs. Detection, segmentation and trajectories have functions
and nodes of their own; every other head is a plug-in, which answers through `answer`; nodes and the evaluation run it
without code of their own for it (docs/tutorials/add_your_own_task.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.answers import BUILT_IN, Figures, TaskAnswer, Truth, plug_ins

__all__ = [
    "BUILT_IN",
    "Figures",
    "Head",
    "TaskAnswer",
    "Truth",
    "build_head",
    "head_names",
    "plug_ins",
    "register_head",
]

ENTRY_POINTS = "rsdfm_ros.heads"
"""Group of entry points under which installed packages name modules that register heads."""


class Head(nn.Module):
    """Base class of the task heads."""

    name: ClassVar[str]
    temporal: ClassVar[bool] = False
    """Whether the whole head needs more than the present map, and is therefore trained on sequences only."""
    temporal_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of a head that are trained on sequences, when the rest is not."""
    temporal_losses: ClassVar[tuple[str, ...]] = ()
    """Losses that belong to these modules."""
    loss_names: ClassVar[tuple[str, ...]] = ()
    """Names of the losses that `losses` returns (of a plug-in)."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Parts of the truth that are needed beside objects: "layout"."""
    messages: ClassVar[Mapping[str, str]] = {}
    """Topic → type of the ROS message that a plug-in publishes online, such as nav_msgs/msg/OccupancyGrid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, history: Tensor) -> dict[str, Tensor]:
        """history (B, T, C, H, W), newest last → raw outputs by name. T may be 1 while the trunk is trained."""
        raise NotImplementedError

    def targets(self, truth: Truth) -> dict[str, NDArray[Any]]:
        """Training targets of one sample, arrays by name; they are stacked to batches."""
        raise NotImplementedError

    def losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scalar losses by name; each gets an uncertainty weight of its own."""
        raise NotImplementedError

    def answer(
        self, outputs: dict[str, Tensor], visible: NDArray[np.bool_], window: Window, region: Window
    ) -> TaskAnswer:
        """The answer of a plug-in, from the raw outputs of the first sample.

        visible (ni, nj): feature cells that an agent in use sees · window: the feature cells that the maps cover ·
        region: the part of it that an answer is wanted for.
        """
        raise NotImplementedError

    def fill(self, topic: str, message: Any, answer: TaskAnswer) -> None:
        """Put an answer into an empty message of `topic`, whose header is set already."""
        raise NotImplementedError


_HEADS: dict[str, type[Head]] = {}
H = TypeVar("H", bound=type[Head])


def register_head(name: str) -> Callable[[H], H]:
    """Class decorator that makes a head available under `name`."""

    def register(cls: H) -> H:
        if name in _HEADS and _HEADS[name] is not cls:
            raise RsdfmError(f"two heads are called {name!r}: {_HEADS[name].__name__} and {cls.__name__}")
        cls.name = name
        _HEADS[name] = cls
        return cls

    return register


def head_names() -> tuple[str, ...]:
    """The registered heads: ours, those of installed packages (entry points), and of plug-ins imported before."""
    from rsdfm_ros.model.heads import detection, layout, segmentation, trajectory  # noqa: F401  registers them

    for entry in entry_points(group=ENTRY_POINTS):
        _import(entry.module, f"entry point {entry.name!r} of group {ENTRY_POINTS}")
    return tuple(sorted(_HEADS))


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
    return _HEADS[name]


def needs_of(names: Iterable[str]) -> frozenset[str]:
    """Parts of the truth that these heads need beside objects."""
    return frozenset(need for name in names for need in head_class(name).needs)


def build_head(name: str, config: ModelConfig) -> Head:
    """A head by its registered name; RsdfmError lists the known ones."""
    return head_class(name)(config)
