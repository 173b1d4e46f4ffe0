"""The base class of the task heads, and the decorator that registers one under its name.

A head reads the shared task features (model/neck.py) and nothing else, so that a task can be added, or trained on a
frozen trunk, without touching the other tasks or the packets between UAVs. Detection, segmentation and trajectories
have functions and nodes of their own; every other head is a plug-in, which answers through `answer`; nodes and the
evaluation run it without code of their own for it (docs/tutorials/add_your_own_task.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.answers import BUILT_IN, Figures, TaskAnswer, Truth, plug_ins
from rsdfm_ros.model.neck import TaskFeatures

__all__ = [
    "BUILT_IN",
    "Figures",
    "Head",
    "TaskAnswer",
    "TaskFeatures",
    "Truth",
    "plug_ins",
    "register_head",
    "registered_heads",
]


class Head(nn.Module):
    """Base class of the task heads."""

    name: ClassVar[str]
    temporal: ClassVar[bool] = False
    """Whether a plug-in reads features of a history; without, it is trained on single instants."""
    loss_names: ClassVar[tuple[str, ...]] = ()
    """Names of the losses that `losses` returns."""
    temporal_losses: ClassVar[tuple[str, ...]] = ()
    """Those of them that need features of a history: they are left out while the trunk is trained on single instants.
    """
    needs: ClassVar[tuple[str, ...]] = ()
    """Parts of the truth that are needed beside objects: "layout"."""
    messages: ClassVar[Mapping[str, str]] = {}
    """Topic → type of the ROS message that a plug-in publishes online, such as nav_msgs/msg/OccupancyGrid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, features: TaskFeatures) -> dict[str, Tensor]:
        """Raw outputs by name, (B, …) each."""
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


def registered_heads() -> Mapping[str, type[Head]]:
    """Name → class of the heads whose modules have been imported; `lookup.head_class` imports them as needed."""
    return MappingProxyType(_HEADS)
