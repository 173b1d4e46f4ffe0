"""Answers of a UAV from its own maps, without peers: each part is computed once, when it is first asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rsdfm_ros.agent.history import History
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.wire.boxes import SideBoxes, side_boxes

if TYPE_CHECKING:  # torch takes a second to import, and a node without a model does not need it
    from rsdfm_ros.geometry.box_table import Detections
    from rsdfm_ros.model.maps import AgentBev, FusedMap
    from rsdfm_ros.model.perception import Perception


@dataclass
class _Own:
    """An own map, and the same map fused without peers once it was asked for."""

    stamp_ns: int
    bev: AgentBev
    fused: FusedMap | None = None


@dataclass
class Solo:
    """One instant of a UAV alone. For one thread at a time."""

    model: Perception
    _maps: tuple[_Own, ...]
    _found: Detections | None = field(default=None)

    def fused(self) -> FusedMap:
        """The map of the instant without any peer."""
        return self._fused(self._maps[-1])

    def maps(self) -> list[FusedMap]:
        """The last maps without any peer, newest last."""
        return [self._fused(own) for own in self._maps]

    def detections(self) -> Detections:
        """Boxes from the last maps, with the thresholds of `model`."""
        if self._found is None:
            self._found = self.model.detect(self.maps())
        return self._found

    def boxes(self) -> SideBoxes | None:
        """The detections that are sent to peers; None if the model cannot detect."""
        return side_boxes(self.detections()) if "detection" in self.model.config.heads else None

    def saw(self, maps: list[FusedMap]) -> bool:
        """Whether the detections come from the same maps."""
        return len(maps) == len(self._maps) and all(
            own.fused is other for own, other in zip(self._maps, maps, strict=True)
        )

    def _fused(self, own: _Own) -> FusedMap:
        if own.fused is None:
            own.fused = self.model.fuse(own.bev, [], [])
        return own.fused


class SoloHistory:
    """The last own maps of a UAV; a gap in time, a step back, or another region starts it anew."""

    def __init__(self, length: int, max_gap_s: float = math.inf) -> None:
        self._length = length
        self._region: Window | None = None
        self.restart(max_gap_s)

    def restart(self, max_gap_s: float) -> None:
        """Forget everything; from now on `max_gap_s` is the largest gap of a history."""
        gap_ns = 2**63 if math.isinf(max_gap_s) else round(max_gap_s * 1e9)
        self._history: History[_Own] = History(self._length, gap_ns)

    def clear(self) -> None:
        """Forget everything."""
        self._history.clear()

    def add(self, model: Perception, stamp_ns: int, bev: AgentBev) -> Solo:
        """The instant of this map, which lies on the region of `model`."""
        if self._region != model.region:
            self._region = model.region
            self._history.clear()
        return Solo(model, self._history.add(_Own(stamp_ns, bev)))
