"""Values passed between the parts of a UAV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes a second to import, and nodes read these types before they need it
    import numpy as np
    from numpy.typing import NDArray

    from rsdfm_ros.agent.solo import Solo
    from rsdfm_ros.data.outputs import Boxes
    from rsdfm_ros.geometry.ground import Ground
    from rsdfm_ros.geometry.lattice import Window
    from rsdfm_ros.model.heads.segmentation import InstanceMap
    from rsdfm_ros.model.maps import AgentBev, FusedMap
    from rsdfm_ros.wire.boxes import SideBoxes


@dataclass(frozen=True)
class OwnFeatures:
    """An own image in bird's-eye view.

    bev: on `region` · T_map_camera (4, 4), covariance (6, 6): the pose that is sent, of the first camera · solo:
    answers without peers · ground: below the UAV, None where it is not known · arrived_s: steady clock when the image
    arrived · boxes: those that were sent with it; None: those of solo.
    """

    stamp_ns: int
    frame: int
    bev: AgentBev
    region: Window
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]
    solo: Solo
    ground: Ground | None = None
    arrived_s: float = 0.0
    boxes: SideBoxes | None = None

    def sent_boxes(self) -> SideBoxes | None:
        """Own detections as they are sent to peers; None if the model cannot detect."""
        return self.solo.boxes() if self.boxes is None else self.boxes


@dataclass
class Shared:
    """Results of one task that another one uses: tasks of one process compute them once.

    objects: detections that count as objects · instances: by variant.
    """

    objects: Boxes | None = None
    instances: dict[str, InstanceMap] = field(default_factory=dict)


@dataclass(frozen=True)
class Fused:
    """Own and peers' features at one instant.

    collaborative, single: with and without peers; single is None where it is not wanted · contributors: names, the UAV
    itself first · ages_s: in their order · region, solo, ground, arrived_s: as in OwnFeatures; solo is None where the
    map came from another process.
    """

    stamp_ns: int
    frame: int
    collaborative: FusedMap
    single: FusedMap | None
    contributors: tuple[str, ...]
    ages_s: tuple[float, ...]
    region: Window
    arrived_s: float = 0.0
    solo: Solo | None = None
    ground: Ground | None = None
    shared: Shared = field(default_factory=Shared)
