"""What a task head is, and how it is found by name.

A head reads the shared task features and nothing else, so that a task can be added, or trained on a frozen trunk,
without touching the other tasks or what travels between UAVs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig


@dataclass(frozen=True)
class Truth:
    """What a head learns from: the objects now and in the coming frames.

    objects: the present, then up to `horizon` later frames 0.5 s apart · seen (N,) bool over the present objects:
    whether any agent whose features were fused sees them; unseen ones are left out of the losses.
    """

    objects: tuple[Objects, ...]
    seen: NDArray[np.bool_]


class Head(nn.Module):
    """Base class of the task heads."""

    name: ClassVar[str]
    temporal: ClassVar[bool] = False
    """Whether the whole head needs more than the present map, and is therefore trained on sequences only."""
    temporal_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of a head that are trained on sequences, when the rest is not."""
    temporal_losses: ClassVar[tuple[str, ...]] = ()
    """Losses that belong to these modules."""

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
    """The registered heads."""
    from rsdfm_ros.model.heads import detection, segmentation, trajectory  # noqa: F401  registers them

    return tuple(sorted(_HEADS))


def build_head(name: str, config: ModelConfig) -> Head:
    """A head by its registered name; RsdfmError lists the known ones."""
    known = head_names()
    if name not in known:
        raise RsdfmError(f"there is no head {name!r}; registered are {', '.join(known)}")
    return _HEADS[name](config)
