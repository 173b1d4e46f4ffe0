"""Sensor model of a camera: blur by its own motion and that of vehicles during the exposure, and noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SAMPLES = 7


def motion_blur(
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    K: NDArray[np.float64],
    T_before_after: NDArray[np.float64],
    moved: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """An image blurred along the path of every pixel during the exposure.

    depth (H, W) m, 0 for the sky · T_before_after (4, 4): camera at the end of the exposure to camera at its start ·
    moved (H, W, 3) m: displacement of each pixel's surface point, in camera axes, over the exposure.
    """
    h, w = depth.shape
    u, v = np.meshgrid(np.arange(w, dtype=np.float32) + 0.5, np.arange(h, dtype=np.float32) + 0.5)
    z = np.where(depth > 0, depth, np.float32(1000.0))
    f, cx, cy = (np.float32(x) for x in (K[0, 0], K[0, 2], K[1, 2]))
    rays = np.stack([(u - cx) / f, (v - cy) / f, np.ones_like(u)], -1)
    then = (rays * z[..., None]) @ T_before_after[:3, :3].T.astype(np.float32)
    then += T_before_after[:3, 3].astype(np.float32) - moved
    depth_then = np.maximum(then[..., 2], np.float32(0.5))
    du, dv = f * then[..., 0] / depth_then + cx - u, f * then[..., 1] / depth_then + cy - v
    if float(np.abs(du).max()) < 0.2 and float(np.abs(dv).max()) < 0.2:
        return image
    total = np.zeros(image.shape, np.float32)
    for share in np.linspace(-0.5, 0.5, _SAMPLES, dtype=np.float32):
        x, y = u - 0.5 + share * du, v - 0.5 + share * dv
        total += cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(total / _SAMPLES + 0.5, 0, 255), np.uint8)


def noise(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """An image with photon noise (variance grows with brightness) and read noise; strength 1: 2 to 5 grey levels."""
    small = rng.standard_normal((*image.shape[:2], 3), dtype=np.float32)
    deviation = np.sqrt(np.float32(4.0) + np.float32(0.08) * image)
    return np.asarray(np.clip(image + np.float32(strength) * deviation * small + 0.5, 0, 255), np.uint8)
