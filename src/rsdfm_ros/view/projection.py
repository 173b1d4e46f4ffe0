"""Boxes in images: edges of upright boxes as pixels, cut at the camera's near plane and at the image's edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.box_table import BoxTable
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.geometry.camera import project

NEAR_M = 0.5
#: Pairs of the corners of geometry.boxes.box_corners: below, above, upright, and a cross on the front.
EDGES = (
    (6, 2), (2, 0), (0, 4), (4, 6),
    (7, 3), (3, 1), (1, 5), (5, 7),
    (6, 7), (2, 3), (0, 1), (4, 5),
    (7, 4), (6, 5),
)  # fmt: skip


def box_lines(
    boxes: BoxTable, K: NDArray[np.float64], T_map_camera: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges of boxes as far as they lie in an image: lines (M, 2, 2) in pixels, and the row (M,) of the box of each.

    size: (height, width) of the image in pixels.
    """
    corners = box_corners(boxes.centres, boxes.sizes, boxes.yaws)
    edges = corners[:, np.array(EDGES)]  # (N, 14, 2, 3)
    rows = np.repeat(np.arange(len(corners)), len(EDGES))
    ends = edges.reshape(-1, 2, 3)
    axis = T_map_camera[:3, 2]
    depth = (ends - T_map_camera[:3, 3]) @ axis
    before = (depth >= NEAR_M).any(axis=1)
    ends, depth, rows = ends[before], depth[before], rows[before]
    # The end behind the near plane moves along the edge onto it.
    for behind, other in ((0, 1), (1, 0)):
        cut = depth[:, behind] < NEAR_M
        share = (NEAR_M - depth[cut, other]) / (depth[cut, behind] - depth[cut, other])
        ends[cut, behind] = ends[cut, other] + share[:, None] * (ends[cut, behind] - ends[cut, other])
    pixels, _ = project(ends.reshape(-1, 3), K, T_map_camera)
    lines, inside = clipped(pixels.reshape(-1, 2, 2), (float(size[1]), float(size[0])))
    return lines[inside], rows[inside]


def clipped(
    lines: NDArray[np.float64], corner: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Lines (M, 2, 2) cut to the rectangle from (0, 0) to `corner` (Liang and Barsky, 1984), and which touch it."""
    start, step = lines[:, 0], lines[:, 1] - lines[:, 0]
    first, last = np.zeros(len(lines)), np.ones(len(lines))
    outside = np.zeros(len(lines), bool)
    for axis, end in enumerate(corner):
        for along, room in ((-step[:, axis], start[:, axis]), (step[:, axis], end - start[:, axis])):
            still = along == 0
            outside |= still & (room < 0)
            share = np.divide(room, along, out=np.zeros_like(room), where=~still)
            first = np.where(along < 0, np.maximum(first, share), first)
            last = np.where(along > 0, np.minimum(last, share), last)
    cut = np.stack([start + first[:, None] * step, start + last[:, None] * step], axis=1)
    return cut, ~outside & (first <= last)
