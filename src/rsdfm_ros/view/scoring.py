"""Maps of vehicles against the truth, as views show them live."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.metrics.accumulator import frame_iou
from rsdfm_ros.geometry.boxes import rasterise_boxes
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.view.sink import SCORED_M


def vehicle_cells(boxes: Boxes, window: Window) -> NDArray[np.bool_]:
    """Cells (ni, nj) of a window that a box covers."""
    ids = np.arange(1, len(boxes) + 1)
    return rasterise_boxes(ids, boxes.centres, boxes.sizes, boxes.yaws, window) > 0


def scored_iou(vehicle: NDArray[np.bool_], true: NDArray[np.bool_], window: Window) -> float | None:
    """IoU of two maps (ni, nj) of a window within SCORED_M; None where neither has a vehicle."""
    try:
        area = window.crop(square_window(SCORED_M, window.cell_size))
    except ValueError:
        area = (slice(None), slice(None))
    return frame_iou(vehicle[area], true[area])
