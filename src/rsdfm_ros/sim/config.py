"""Parameters of a simulated mission."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANE_WIDTH_M = 3.5
ROAD_HALF_WIDTH_M = 6.2
"""Street axis to kerb: one driving lane and a parking strip."""
PAVEMENT_WIDTH_M = 2.6
JUNCTION_HALF_M = 10.0
"""Junction centre to the stop lines."""
EXTENT_M = 105.0
"""Vehicles appear and disappear at this distance from the origin, along x or y."""
PAINTED_EXTENT_M = 125.0
"""Half the side of the painted ground."""


@dataclass(frozen=True)
class SimConfig:
    """Camera, time and label settings; the content of the world depends on its seed alone.

    width_px, height_px: image size · horizontal_fov_rad · frame_rate_hz: frames per second of mission ·
    max_frames: frames precomputed; a longer mission extends a shorter one without changing it ·
    label_extent_m: objects with |x| and |y| below this are reported · samples: samples per pixel of the
    picture.
    """

    width_px: int = 480
    height_px: int = 270
    horizontal_fov_rad: float = math.radians(75.0)
    frame_rate_hz: float = 2.0
    max_frames: int = 128
    label_extent_m: float = 100.0
    samples: int = 4

    @property
    def focal_px(self) -> float:
        """Focal length, the same in u and v (square pixels)."""
        return 0.5 * self.width_px / math.tan(0.5 * self.horizontal_fov_rad)

    @property
    def vertical_fov_rad(self) -> float:
        """Vertical field of view that makes pixels square."""
        return 2.0 * math.atan(0.5 * self.height_px / self.focal_px)

    @property
    def K(self) -> NDArray[np.float64]:
        """Intrinsics (3, 3), the left edge of the image at u = 0."""
        f = self.focal_px
        return np.array([[f, 0.0, 0.5 * self.width_px], [0.0, f, 0.5 * self.height_px], [0.0, 0.0, 1.0]])
