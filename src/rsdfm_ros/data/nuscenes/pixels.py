"""Decodes the image and depth files of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.errors import MissingFileError
from rsdfm_ros.data.nuscenes.images import CameraImage
from rsdfm_ros.data.nuscenes.tables import REMEDY


def read_image(path: Path, size: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB; `size` is the expected (height, width), (0, 0) for any.

    Not turned by EXIF: intrinsics and poses of the tables refer to the pixels as they are stored.
    """
    pixels = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if size != (0, 0) and pixels.shape[:2] != size:
        raise MissingFileError(
            path, f"is {pixels.shape[1]}x{pixels.shape[0]}, sample_data.json says {size[1]}x{size[0]}", REMEDY
        )
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_depth(image: CameraImage) -> NDArray[np.float32]:
    """Depth (H, W) m of an image. Raises :class:`MissingFileError` if it was not stored or is damaged."""
    if image.depth_path is None:
        raise MissingFileError(image.path, "has no depth", "simulate with --depth")
    pixels = _decode(image.depth_path, cv2.IMREAD_UNCHANGED)
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise MissingFileError(
            image.depth_path, "is no 16-bit grey PNG, expected depth in centimetres", REMEDY
        )
    return pixels.astype(np.float32) / np.float32(100.0)


def _decode(path: Path, mode: int) -> NDArray[Any]:
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise MissingFileError(path, f"cannot be read ({error.strerror})", REMEDY) from None
    pixels = cv2.imdecode(data, mode) if len(data) else None
    if pixels is None:
        raise MissingFileError(path, f"is no image ({len(data)} bytes)", REMEDY)
    return np.asarray(pixels)
