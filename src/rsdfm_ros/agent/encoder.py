"""Camera views of one instant to the own map in bird's-eye view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.solo import SoloHistory
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.wire.boxes import SideBoxes

if TYPE_CHECKING:  # torch takes a second to import, and nodes need it only once they are active
    from rsdfm_ros.model.maps import AgentBev
    from rsdfm_ros.model.perception import Perception


class Encoder:
    """Own maps of one UAV with their history. history: length in maps · max_gap_s: a longer gap starts it anew."""

    def __init__(self, history: int, max_gap_s: float = math.inf) -> None:
        self._solo = SoloHistory(history, max_gap_s)

    def restart(self, max_gap_s: float) -> None:
        """Clear the history; from now on `max_gap_s` is its largest gap."""
        self._solo.restart(max_gap_s)

    def clear(self) -> None:
        """Forget the history."""
        self._solo.clear()

    def observe(
        self,
        model: Perception,
        views: Sequence[CameraView],
        stamp_ns: int,
        *,
        frame: int = 0,
        arrived_s: float = 0.0,
    ) -> OwnFeatures:
        """The map of at least one view, on the region and the ground of `model`."""
        # torch needs writable memory; an image may be a view of the bytes of a message.
        images = [np.require(v.image, requirements="W") for v in views]
        maps = [
            model.perceive(image, v.K, v.T_map_camera, v.covariance)
            for image, v in zip(images, views, strict=True)
        ]
        bev, first = model.combine(maps), views[0]
        return self.take(
            model,
            bev,
            first.T_map_camera,
            first.covariance,
            stamp_ns,
            frame=frame,
            arrived_s=arrived_s,
        )

    def take(
        self,
        model: Perception,
        bev: AgentBev,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64],
        stamp_ns: int,
        *,
        frame: int = 0,
        arrived_s: float = 0.0,
        boxes: SideBoxes | None = None,
    ) -> OwnFeatures:
        """An own map that was made elsewhere, on the region and the ground of `model`. boxes: sent with it, if any."""
        return OwnFeatures(
            stamp_ns=stamp_ns,
            frame=frame,
            bev=bev,
            region=model.region,
            T_map_camera=T_map_camera,
            covariance=covariance,
            solo=self._solo.add(model, stamp_ns, bev),
            ground=model.ground,
            arrived_s=arrived_s,
            boxes=boxes,
        )
