"""What the nodes of one process hand to each other without serialising it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OwnFeatures:
    """A picture mapped to bird's-eye view. bev: AgentBev · arrived_s: steady clock when the picture arrived."""

    stamp_ns: int
    frame: int
    bev: Any
    arrived_s: float


@dataclass(frozen=True)
class Fused:
    """Own and peers' features at one instant. collaborative, single: FusedMap with and without peers ·
    contributors: names, the UAV itself first · ages_s: in their order · arrived_s: as in OwnFeatures · shared: what one
    head leaves for the next one, so that nothing is computed twice."""

    stamp_ns: int
    frame: int
    collaborative: Any
    single: Any | None
    contributors: tuple[str, ...]
    ages_s: tuple[float, ...]
    arrived_s: float
    shared: dict[str, Any] = field(default_factory=dict)


class History:
    """The last fused maps at rising stamps, newest last; a gap or a step back in time starts it anew."""

    def __init__(self, length: int, max_gap_ns: int) -> None:
        self._length, self._max_gap_ns = length, max_gap_ns
        self._items: list[Fused] = []

    def clear(self) -> None:
        """Forget everything."""
        self._items = []

    def add(self, fused: Fused) -> Sequence[Fused]:
        """The history that ends with `fused`."""
        if self._items and not 0 < fused.stamp_ns - self._items[-1].stamp_ns <= self._max_gap_ns:
            self._items = []
        self._items = [*self._items, fused][-self._length :]
        return tuple(self._items)
