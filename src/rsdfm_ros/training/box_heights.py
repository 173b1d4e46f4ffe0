"""Heights of pixels where no depth was recorded: from the 3D boxes and the ground, as far as these determine them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.geometry.camera import viewing_rays

GROUND_RING_M = 1.5
"""Ground this close to a visible vehicle is assumed to be bare."""

_SHOULDER = 0.25
"""Share of the height, from the top, in which a box is wider than the vehicle: hits there are unknown."""


def box_heights(view: CameraView, objects: Objects, size: tuple[int, int]) -> NDArray[np.float32]:
    """Height (m) above z = 0 at the centres of an image grid of `size` = (height, width); NaN where unknown.

    objects: those that the view's agent sees. A pixel whose ray meets a box shows the nearest box where the ray enters
    it; a pixel that shows ground within GROUND_RING_M of a box, and no box, has height 0; nothing is known of the rest
    (buildings, trees). The vehicle is rounder than its box, so the targets are soft at its edges: rays that enter
    through a side in its upper quarter are left out.
    """
    rows, columns = size
    scale = np.array([view.image.shape[1] / columns, view.image.shape[0] / rows])
    grid = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1)
    rays = viewing_rays(grid * scale, view.K, view.T_map_camera).reshape(-1, 3)
    eye = view.T_map_camera[:3, 3]
    heights = np.full(len(rays), np.nan)
    nearest = np.full(len(rays), np.inf)
    ring = np.zeros(len(rays), bool)
    down = rays[:, 2] < -1e-6
    ground_depth = np.where(down, -eye[2] / np.where(down, rays[:, 2], -1.0), np.inf)
    around = replace(objects, sizes=objects.sizes + 2 * GROUND_RING_M * np.array([1.0, 1.0, 0.0]))
    for n in range(len(objects)):
        picked = np.flatnonzero(_near(rays, eye, around, n))
        if not len(picked):
            continue
        start, direction = _into_box(rays[picked], eye, objects, n)
        half = objects.sizes[n] / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (-half - start) / direction, (half - start) / direction
        enters, leaves = np.fmin(a, b), np.fmax(a, b)
        t_in, t_out = enters.max(axis=1), leaves.min(axis=1)
        hit = (t_in < t_out) & (t_in > 0) & (t_in < nearest[picked])
        h = eye[2] + t_in * rays[picked, 2]
        bottom = objects.centres[n, 2] - half[2]
        on_roof = enters.argmax(axis=1) == 2
        unsure = ~on_roof & (h > bottom + (1.0 - _SHOULDER) * 2 * half[2])
        nearest[picked[hit]] = t_in[hit]
        heights[picked[hit]] = np.where(unsure, np.nan, h)[hit].clip(0.0, None)
        ground = start + ground_depth[picked, None] * direction
        finite = np.isfinite(ground_depth[picked])
        ring[picked] |= finite & (np.abs(ground[:, :2]) <= half[:2] + GROUND_RING_M).all(axis=1)
    heights[ring & ~np.isfinite(nearest)] = 0.0
    return heights.reshape(size).astype(np.float32)


def _into_box(
    rays: NDArray[np.float64], eye: NDArray[np.float64], objects: Objects, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eye (3,) and rays (P, 3) in the frame of box n: x forward, centre at 0."""
    c, s = np.cos(objects.yaws[n]), np.sin(objects.yaws[n])
    R = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return (eye - objects.centres[n]) @ R, rays @ R


def _near(rays: NDArray[np.float64], eye: NDArray[np.float64], around: Objects, n: int) -> NDArray[np.bool_]:
    """Mask of rays (P,) that pass the ball around a box: a cheap first choice."""
    to = around.centres[n] - eye
    radius = float(np.linalg.norm(around.sizes[n])) / 2
    along = rays @ to
    squared = (rays * rays).sum(axis=1)
    miss = float(to @ to) - along * along / squared
    return np.asarray((along > 0) & (miss <= radius * radius))
