"""The accepted encodings of sensor_msgs/Image, and their conversion to RGB.

Names as in sensor_msgs/image_encodings.hpp. `8UC3`, `8UC4`, `16UC3` and `16UC4` do not name the colours: they are read
as OpenCV's order, blue first. 16-bit values are scaled to 8 bits by their significant bits. YUV is ITU-R BT.601 with
video range, as cameras send it. Bayer names are those of the top left 2 × 2 pixels, row by row, as in ROS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Encoding:
    """channels values of `bits` (8 or 16) bits per pixel; rows: stored rows per image row (1.5 for 4:2:0).

    code: OpenCV's conversion to RGB, None where the values are RGB already · even: sides that must be even, `width` of
    4:2:2, both of 4:2:0 · least: fewest pixels a side; demosaicing leaves smaller images black.
    """

    channels: int
    bits: int
    code: int | None
    even: tuple[str, ...] = ()
    least: int = 1
    rows: float = 1.0


def _table() -> dict[str, Encoding]:
    to_rgb = {
        "mono": (1, cv2.COLOR_GRAY2RGB),
        "rgb": (3, None),
        "bgr": (3, cv2.COLOR_BGR2RGB),
        "rgba": (4, cv2.COLOR_RGBA2RGB),
        "bgra": (4, cv2.COLOR_BGRA2RGB),
    }
    untyped = {"C1": "mono", "C3": "bgr", "C4": "bgra"}
    # OpenCV names a Bayer pattern by its second row, second and third column; newer versions have these aliases.
    bayer = {
        "rggb": cv2.COLOR_BayerBG2RGB,
        "bggr": cv2.COLOR_BayerRG2RGB,
        "gbrg": cv2.COLOR_BayerGR2RGB,
        "grbg": cv2.COLOR_BayerGB2RGB,
    }
    table = {}
    for bits in (8, 16):
        for name, (channels, code) in to_rgb.items():
            table[f"{name}{bits}"] = Encoding(channels, bits, code)
        for name, meant in untyped.items():
            table[f"{bits}U{name}"] = table[f"{meant}{bits}"]
        for name, code in bayer.items():
            table[f"bayer_{name}{bits}"] = Encoding(1, bits, code, least=3)
    for name in ("yuv422", "uyvy"):
        table[name] = Encoding(2, 8, cv2.COLOR_YUV2RGB_UYVY, even=("width",))
    for name in ("yuv422_yuy2", "yuyv"):
        table[name] = Encoding(2, 8, cv2.COLOR_YUV2RGB_YUY2, even=("width",))
    both = ("width", "height")
    table["nv12"] = Encoding(1, 8, cv2.COLOR_YUV2RGB_NV12, even=both, rows=1.5)
    table["nv21"] = Encoding(1, 8, cv2.COLOR_YUV2RGB_NV21, even=both, rows=1.5)
    return table


#: Encoding by its name in a message.
ENCODINGS: Mapping[str, Encoding] = _table()


def rgb_from_pixels(pixels: Pixels, encoding: Encoding, significant_bits: int = 16) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of stored rows (rows · H, W) or (rows · H, W, channels); the same memory where it is RGB."""
    if pixels.dtype != np.uint8:
        # Scaling before demosaicing handles a third of the values.
        pixels = cv2.convertScaleAbs(pixels, alpha=255.0 / (2**significant_bits - 1)).reshape(pixels.shape)
    if encoding.code is None:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, encoding.code), np.uint8)
