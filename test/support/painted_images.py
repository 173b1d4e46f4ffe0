"""Images for tests of their messages: noise, one without detail, mosaics of it by their definition."""

from __future__ import annotations

import cv2
import numpy as np

H, W = 24, 40
RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)


def smooth() -> np.ndarray:
    """An image without detail: demosaicing and chroma subsampling lose nothing of it away from the edge."""
    v, u = np.mgrid[0:H, 0:W]
    return np.stack([60 + 3 * u, 200 - 2 * v - u, 40 + 2 * v + 2 * u], axis=-1).astype(np.uint8)


def wide(x: np.ndarray, big_endian: bool = False) -> np.ndarray:
    """8 bits as 16 with the same share of full scale."""
    return (x.astype(np.uint16) * 257).astype(">u2" if big_endian else "<u2")


def mosaic_of(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """A mosaic of an image of any size, by its definition: the top left 2 × 2 pixels, row by row."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for k, letter in enumerate(pattern):
        dy, dx = divmod(k, 2)
        mosaic[dy::2, dx::2] = rgb[dy::2, dx::2, "rgb".index(letter)]
    return mosaic


def encode(image: np.ndarray, extension: str, *options: int) -> bytes:
    return cv2.imencode(extension, image, list(options))[1].tobytes()
