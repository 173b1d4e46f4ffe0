"""One instant of a mission: camera views and the objects in the world.

The simulator makes these, the nuScenes reader returns them, the nodes fill them from messages: everything downstream
uses :class:`WorldFrame` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.box_table import BoxTable

#: Object classes, in the order of their integer ids.
CLASSES: tuple[str, ...] = ("car", "van", "truck", "bus")

FRAME_PERIOD_S = 0.5
"""Time between two frames of a mission (2 Hz)."""


@dataclass(frozen=True)
class Objects(BoxTable):
    """The objects of a scene: the columns of :class:`BoxTable`, and

    ids (N,) int64, unique and > 0 · visibility (N, A) in [0, 1]: share of the object's unoccluded silhouette that agent
    a sees, 0 when outside its field of view. yaws lie in [-pi, pi).
    """

    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]
    velocities: NDArray[np.float64]
    visibility: NDArray[np.float64]


@dataclass(frozen=True)
class CameraView:
    """One image with the calibration, pose and truth of its camera.

    image (H, W, 3) uint8 RGB · K (3, 3) pixels, pixel centres at integers + 0.5 (the left edge of the image is
    u = 0) · T_map_camera (4, 4), optical camera frame to ``map`` · covariance (6, 6) of the camera pose, order
    x y z (m) roll pitch yaw (rad) about the map axes, zeros when exact · depth (H, W) float32 metres along the
    optical axis, 0 where nothing was hit · ids (H, W) int32 object ids, 0 for everything else · camera: which camera
    of the agent, "" where it has one.
    """

    agent: str
    image: NDArray[np.uint8]
    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))
    depth: NDArray[np.float32] | None = None
    ids: NDArray[np.int32] | None = None
    camera: str = ""


@dataclass(frozen=True)
class WorldFrame:
    """All views and all objects at one instant; index counts frames from 0, stamp_ns is the exposure time.

    agents: the UAVs that take part, in order (default: those of the views). Each has the views that name it: usually
    one, several where it carries several cameras, none where its images of this instant are missing.
    """

    index: int
    stamp_ns: int
    views: tuple[CameraView, ...]
    objects: Objects
    agents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.agents:
            object.__setattr__(self, "agents", tuple(dict.fromkeys(view.agent for view in self.views)))

    def views_of(self, agent: str) -> tuple[CameraView, ...]:
        """The views of one UAV, in order."""
        return tuple(view for view in self.views if view.agent == agent)
