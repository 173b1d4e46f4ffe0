"""Points that are followed from one image to the next (Lucas-Kanade, checked backwards)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH = 480
"""Images are reduced to about this width; offsets of a tenth of a pixel there are enough."""
MAX_POINTS = 80
LEAST_POINTS = 8
MAX_PAIR_S = 1.0
"""Images farther apart in time are no pair."""
_BACK_PX = 0.7


@dataclass(frozen=True)
class FlowPair:
    """Points of two images. t0_ns, t1_ns: their stamps · before, after (N, 2): normalised image coordinates (x / z,
    y / z) · focal_px: pixels per unit of these, of the reduced image."""

    t0_ns: int
    t1_ns: int
    before: Array
    after: Array
    focal_px: float


class FlowTracker:
    """Follows points through the images of one camera."""

    def __init__(self) -> None:
        self._last: tuple[int, NDArray[np.uint8], Array] | None = None

    def clear(self) -> None:
        """Forget the last image."""
        self._last = None

    def add(self, stamp_ns: int, image: NDArray[np.uint8], K: Array) -> FlowPair | None:
        """The pair of this image (H, W, 3) RGB with the one before, None where there are too few points. K (3, 3): its
        intrinsics, the centre of the first pixel at 0.5."""
        factor = max(1, round(image.shape[1] / WIDTH))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if factor > 1:
            size = (grey.shape[1] // factor, grey.shape[0] // factor)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        small = np.asarray(K, np.float64).copy()
        small[0] *= grey.shape[1] / image.shape[1]
        small[1] *= grey.shape[0] / image.shape[0]
        before, self._last = self._last, (stamp_ns, np.asarray(grey, np.uint8), small)
        if (
            before is None
            or not 0 < stamp_ns - before[0] <= MAX_PAIR_S * 1e9
            or before[1].shape != grey.shape
        ):
            return None
        return _pair(before, self._last)


def _pair(
    before: tuple[int, NDArray[np.uint8], Array], after: tuple[int, NDArray[np.uint8], Array]
) -> FlowPair | None:
    t0, first, K0 = before
    t1, second, K1 = after
    least = max(4, first.shape[1] // 60)
    points = cv2.goodFeaturesToTrack(first, MAX_POINTS, 0.01, least)
    if points is None or len(points) < LEAST_POINTS:
        return None
    found, there, _ = cv2.calcOpticalFlowPyrLK(first, second, points, None)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(second, first, found, None)
    near = np.linalg.norm((back - points).reshape(-1, 2), axis=1) < _BACK_PX
    good = near & (there.ravel() == 1) & (again.ravel() == 1)
    if int(good.sum()) < LEAST_POINTS:
        return None
    return FlowPair(
        t0, t1, _normalised(points[good], K0), _normalised(found[good], K1), float(K1[0, 0] + K1[1, 1]) / 2
    )


def _normalised(points: NDArray[np.float32], K: Array) -> Array:
    pixels = (
        points.reshape(-1, 2).astype(np.float64) + 0.5
    )  # OpenCV counts from the centre of the first pixel
    return np.stack([(pixels[:, 0] - K[0, 2]) / K[0, 0], (pixels[:, 1] - K[1, 2]) / K[1, 1]], axis=1)
