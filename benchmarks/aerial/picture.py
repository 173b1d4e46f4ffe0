"""A picture to look at: the image with the boxes found in it, predicted heights, and those of the surface model."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.aerial.measure import Heights, Look
from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.view.projection import box_lines

WIDTH = 640
_COLOURS = ((255, 210, 40), (60, 220, 255), (255, 90, 60), (200, 110, 255))
"""By class."""


def picture(look: Look, heights: Heights, found: Detections, top_m: float) -> NDArray[np.uint8]:
    """(H, 3 · WIDTH, 3) RGB."""
    image = look.view.image
    scale = WIDTH / image.shape[1]
    size = (WIDTH, round(image.shape[0] * scale))
    shown = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    lines, rows = box_lines(found, look.view.K, look.view.T_map_camera, image.shape[:2])
    for line, row in zip(lines * scale, rows, strict=True):
        colour = _COLOURS[int(found.classes[row]) % len(_COLOURS)]
        (x0, y0), (x1, y1) = ((round(float(x)), round(float(y))) for x, y in line)
        cv2.line(shown, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
    names = ", ".join(f"{int((found.classes == n).sum())} {name}" for n, name in enumerate(CLASSES))
    _write(shown, f"{look.name}: {names}")
    predicted = _map(heights.predicted, top_m, size, None)
    true = _map(heights.true, top_m, size, heights.counts)
    _write(predicted, f"predicted height, 0 to {top_m:g} m")
    _write(true, "surface model above the bare earth")
    return np.hstack([shown, predicted, true])


def _map(
    values: NDArray[np.float64], top_m: float, size: tuple[int, int], known: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    grey = np.clip(255 * np.nan_to_num(values) / top_m, 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    if known is not None:
        colour[~known] = 96
    return np.ascontiguousarray(cv2.resize(colour, size, interpolation=cv2.INTER_NEAREST))


def _write(image: NDArray[np.uint8], text: str) -> None:
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thick, cv2.LINE_AA)
