"""Rectification: images of a camera with distortion as a pinhole camera would have taken them.

The rectified image has the size of the original and the camera's own optical frame. Its K is the calibration's P
where that leaves no empty pixels (they would be mapped onto the ground as if seen); otherwise the original K with the
shortest focal length that leaves none, at most 60° from the optical axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.cameras import AUTO, Camera, Matrix, camera_from_message
from rsdfm_ros.data.messages.errors import MessageError

_MAX_TAN = np.tan(np.deg2rad(60.0))
#: OpenCV's optimal matrix is computed on a coarse grid: its P may miss the edge by this share of a side.
_P_MARGIN = 0.01
_ALONG_EDGE, _ALONG_RAY = 33, 24


@dataclass(frozen=True)
class Rectified:
    """image (H, W, 3) as a pinhole camera with K (3, 3) sees it · R_optical_image (3, 3), doubt: as in Camera."""

    image: NDArray[np.uint8]
    K: Matrix
    R_optical_image: Matrix
    doubt: str = ""


class Rectifier:
    """Rectifies the images of one camera; the maps are computed anew only when its camera_info changes."""

    def __init__(self, *, rectified: bool = False, scaling: bool = False, model: str = AUTO) -> None:
        """rectified, scaling, model: as in `camera_from_message`."""
        self._rectified, self._scaling, self._model = rectified, scaling, model
        self._key: object = None
        self._camera: Camera | None = None
        self._K: Matrix | None = None
        self._maps: tuple[NDArray[Any], NDArray[Any]] | None = None
        self.computed = 0
        """Number of times that maps were computed."""

    def __call__(self, image: NDArray[np.uint8], info: Any) -> Rectified:
        """The image and its intrinsics; the image itself where there is no distortion.

        Raises: MessageError as `camera_from_message`, and `camera_model` for a distortion that no image fits.
        """
        size = (image.shape[0], image.shape[1])
        key = (_key(info), size)
        if key != self._key:
            self._key = None
            self._prepare(info, size)
            self._key = key
        assert self._camera is not None and self._K is not None
        if self._maps is not None:
            image = np.asarray(cv2.remap(image, *self._maps, cv2.INTER_LINEAR), np.uint8)
        return Rectified(image, self._K, self._camera.R_optical_image, self._camera.doubt)

    def _prepare(self, info: Any, size: tuple[int, int]) -> None:
        camera = camera_from_message(
            info, size, rectified=self._rectified, scaling=self._scaling, model=self._model
        )
        self._camera, self._K, self._maps = camera, camera.K, None
        if camera.model:
            self._K = rectified_intrinsics(camera)
            self._maps = rectification_maps(camera, self._K)
            self.computed += 1


def rectified_intrinsics(camera: Camera) -> Matrix:
    """K (3, 3) of the rectified images of a camera with distortion; see the head of this module.

    Raises: MessageError `camera_model` if no focal length up to ten times the camera's leaves the image full.
    """
    P = camera.K_rectified
    if P is not None and _full(camera, P, _P_MARGIN * max(camera.size)):
        return P

    def longer(factor: float) -> Matrix:
        return np.asarray(camera.K * np.array([[factor, 1.0, 1.0], [1.0, factor, 1.0], [1.0, 1.0, 1.0]]))

    short, long = 0.05, 10.0
    if not _full(camera, longer(long), 0.0):
        raise MessageError(
            "camera_model", f"no rectified image fits into one distorted by {camera.model} {camera.d}"
        )
    for _ in range(24):
        middle = (short * long) ** 0.5
        short, long = (short, middle) if _full(camera, longer(middle), 0.0) else (middle, long)
    return longer(long)


def rectification_maps(camera: Camera, K: Matrix) -> tuple[NDArray[Any], NDArray[Any]]:
    """Maps for cv2.remap, to 1/32 of a pixel, from images of `camera` to rectified ones with K (3, 3)."""
    height, width = camera.size
    source, target, d = _opencv(camera.K), _opencv(K), np.array(camera.d)
    if camera.model == "equidistant":
        maps = cv2.fisheye.initUndistortRectifyMap(
            source, d, np.eye(3), target, (width, height), cv2.CV_16SC2
        )
    else:
        maps = cv2.initUndistortRectifyMap(source, d, None, target, (width, height), cv2.CV_16SC2)
    return maps[0], maps[1]


def distorted(camera: Camera, points: Matrix) -> Matrix:
    """Pixels (N, 2) from the edge at which the camera sees the directions (x, y, 1) of points (N, 2)."""
    p, d = np.ascontiguousarray(points, np.float64), np.array(camera.d)
    if camera.model == "equidistant":
        bent = cv2.fisheye.distortPoints(p[:, None], np.eye(3), d)[:, 0]
    else:
        ahead = np.concatenate([p, np.ones((len(p), 1))], axis=1)
        bent = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), np.eye(3), d)[0][:, 0]
    return np.asarray(bent * np.diag(camera.K)[:2] + camera.K[:2, 2])


def _full(camera: Camera, K: Matrix, margin: float) -> bool:
    """Whether every pixel of a rectified image with K comes from inside the original, on unfolded rays.

    Polynomials bend back beyond some radius: along every ray from the middle to the edge the distance from the middle
    must grow.
    """
    height, width = camera.size
    across = np.linspace(0.0, 1.0, _ALONG_EDGE)
    zero, one = np.zeros_like(across), np.ones_like(across)
    x = np.concatenate([across, across, zero, one]) * width
    y = np.concatenate([zero, one, across, across]) * height
    edge = (np.stack([x, y], axis=1) - K[:2, 2]) / np.diag(K)[:2]
    if np.linalg.norm(edge, axis=1).max() > _MAX_TAN:
        return False
    shares = np.linspace(0.0, 1.0, _ALONG_RAY)
    pixels = distorted(camera, (shares[:, None, None] * edge).reshape(-1, 2)).reshape(len(shares), -1, 2)
    if not np.isfinite(pixels).all():
        return False
    low, high = -margin, np.array([width, height]) + margin
    inside = bool(((pixels >= low) & (pixels <= high)).all())
    return inside and bool((np.diff(np.linalg.norm(pixels - pixels[:1], axis=2), axis=0) > 0).all())


def _opencv(K: Matrix) -> Matrix:
    """K with the centre of the first pixel at 0."""
    return np.asarray(K - np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]))


def _key(info: Any) -> tuple[object, ...]:
    """Everything of a camera_info that rectification depends on."""
    numbers = [np.asarray(v, np.float64).tobytes() for v in (info.d, info.k, info.r, info.p)]
    roi = info.roi
    return (
        *numbers,
        str(info.distortion_model),
        *(int(v) for v in (info.height, info.width, info.binning_x, info.binning_y)),
        *(int(v) for v in (roi.x_offset, roi.y_offset, roi.height, roi.width)),
    )
