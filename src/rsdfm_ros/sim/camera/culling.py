"""What of a scene a camera can show, itself or by its shadow: the renderer would draw everything, three times over."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

OPTICAL_TO_GL = np.diag([1.0, -1.0, -1.0])
"""A camera of the renderer looks along -z, with y up."""
_FLATTEST_SUN = 0.05
"""Least height of a shadow's light per metre of its way."""


def visible_geoms(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, size_px: tuple[int, int], lowest_m: float
) -> NDArray[np.bool_]:
    """Which geoms (G,) may appear in a camera's image of size_px (height, width), or throw a shadow that does.

    Bounding spheres against the four planes through the camera and the edges of its image; a shadow is its sphere moved
    along the light down to lowest_m, the height of the lowest ground. Nothing visible is left out.
    """
    height, width = size_px
    focal = 0.5 * height / math.tan(0.5 * math.radians(float(model.cam_fovy[camera])))
    radii = model.geom_rbound
    axes = data.cam_xmat[camera].reshape(3, 3) @ OPTICAL_TO_GL
    ends = [data.geom_xpos - data.cam_xpos[camera]]
    for light in np.flatnonzero(model.light_castshadow):
        direction = data.light_xdir[light]
        way = (data.geom_xpos[:, 2] + radii - lowest_m) / max(-direction[2], _FLATTEST_SUN)
        ends.append(ends[0] + np.maximum(way, 0.0)[:, None] * direction)
    visible = np.ones(model.ngeom, bool)
    for inward in (
        [focal, 0, 0.5 * width],
        [-focal, 0, 0.5 * width],
        [0, focal, 0.5 * height],
        [0, -focal, 0.5 * height],
    ):
        normal = axes @ (np.array(inward) / np.linalg.norm(inward))
        visible &= np.max([end @ normal for end in ends], axis=0) >= -radii
    return np.asarray(visible | (radii == 0))  # planes have no bounding sphere
