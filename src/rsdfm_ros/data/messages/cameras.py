"""Cameras: the calibration in a sensor_msgs/CameraInfo for images of one size.

Principal points are those of this project: the left edge of the image is 0 and the centre of the first pixel 0.5 (ROS
and OpenCV put the centre of the first pixel at 0). Region of interest and binning are applied to the edges of pixels,
which is exact; image_geometry shifts by up to half a full-size pixel there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError

Matrix = NDArray[np.float64]

#: Numbers of coefficients in `d` of every distortion model; 12 and 14 are OpenCV's thin prism and tilt.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
MAX_COEFFICIENTS = 14
AUTO, NONE = "auto", "none"
#: What can be said in place of camera_info.
DISTORTION_MODELS = (AUTO, *MODELS, NONE)
#: Other names of drivers and calibration tools.
ALIASES = {
    "none": "",
    "pinhole": "",
    "perspective": "",
    "undistorted": "",
    "radtan": "plumb_bob",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "kannala_brandt4": "equidistant",
}
#: A principal point farther from the middle, in sides of the image, is most often that of an image of another size.
USUAL_OFFSET = 0.2
#: Coefficients below this move no pixel of any camera.
_NO_DISTORTION = 1e-6


@dataclass(frozen=True)
class Camera:
    """A calibrated camera for images of `size` (height, width).

    K (3, 3) of the images as they come · model and d: distortion, "" and () for none · K_rectified (3, 3): intrinsics
    of rectified images by the calibration (P), None without usable ones · R_optical_image (3, 3): rotation from the
    frame that the images are taken in to the camera's optical frame; identity but for images that were rectified for
    stereo · doubt: a sentence about numbers that can be and look wrong, "" for none.
    """

    size: tuple[int, int]
    K: Matrix
    model: str
    d: tuple[float, ...]
    K_rectified: Matrix | None
    R_optical_image: Matrix
    doubt: str = ""


def camera_from_message(
    info: Any,
    image_size: tuple[int, int],
    *,
    rectified: bool = False,
    scaling: bool = False,
    model: str = AUTO,
) -> Camera:
    """The camera of images of `image_size` (height, width) that `info` belongs to.

    rectified: the images are rectified already, so that P and not K is theirs. scaling: `info` may be for a larger
    or smaller image of the same shape; otherwise the sizes must agree. model: of DISTORTION_MODELS, auto for that of
    `info`, none for no distortion whatever `info` says.
    Raises: MessageError `camera_info` for numbers that are no camera, `camera_info_size` for another size,
    `camera_model` for a distortion model that is not in MODELS.
    """
    to_image = _to_image(info, image_size, scaling)
    K = _pinhole("k", info.k, 3, image_size, to_image)
    has_p = bool(np.any(np.asarray(info.p) != 0))
    R = _rotation(info.r)
    if rectified:
        P = _pinhole("p", info.p, 4, image_size, to_image) if has_p else K
        return Camera(image_size, P, "", (), None, R.T, _doubt(P, info, image_size))
    model, d = _distortion(info, model)
    K_rectified = None
    # A P for a rotated image (stereo) does not fit an image in the camera's own frame.
    if model and has_p and np.allclose(R, np.eye(3), atol=1e-6):
        with suppress(MessageError):  # an unusable one counts as none
            K_rectified = _pinhole("p", info.p, 4, image_size, to_image)
    return Camera(image_size, K, model, d, K_rectified, np.eye(3), _doubt(K, info, image_size))


def _to_image(info: Any, image_size: tuple[int, int], scaling: bool) -> Matrix:
    """(3, 3) from pixels of the full sensor to pixels of the image, both from the edge."""
    bx, by = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    roi = info.roi
    full = (int(info.height), int(info.width))
    part = (int(roi.height) or full[0], int(roi.width) or full[1])
    x, y = int(roi.x_offset), int(roi.y_offset)
    if min(full) <= 0 or y + part[0] > full[0] or x + part[1] > full[1]:
        raise MessageError(
            "camera_info_size",
            f"camera_info: a region of {part[1]} x {part[0]} at ({x}, {y}) of {full[1]} x {full[0]} pixels",
        )
    told = (part[0] // by, part[1] // bx)
    height, width = image_size
    same_shape = min(told) > 0 and abs(told[1] * height - told[0] * width) <= max(height, width)
    if told != image_size and not (scaling and same_shape):
        raise MessageError(
            "camera_info_size",
            f"camera_info is for {told[1]} x {told[0]}, the image is {width} x {height}"
            + (
                ": expected the same shape"
                if scaling
                else ": set camera_info_scaling if the image is resized"
            ),
        )
    sx, sy = width / part[1], height / part[0]
    if told == image_size:
        sx, sy = 1.0 / bx, 1.0 / by
    return np.array([[sx, 0.0, -x * sx], [0.0, sy, -y * sy], [0.0, 0.0, 1.0]])


def _pinhole(name: str, values: Any, columns: int, image_size: tuple[int, int], to_image: Matrix) -> Matrix:
    matrix = np.asarray(values, np.float64)
    if matrix.size != 3 * columns:
        raise MessageError("camera_info", f"expected {3 * columns} numbers in {name}, got {matrix.size}")
    matrix = matrix.reshape(3, columns)[:, :3]
    f, c = np.diag(matrix)[:2], matrix[:2, 2]
    finite = bool(np.isfinite(matrix).all())
    if not finite or (f <= 0).any() or matrix[1, 0] != 0 or not np.array_equal(matrix[2], [0, 0, 1]):
        raise MessageError(
            "camera_info", f"expected a finite pinhole matrix {name}, got {matrix.ravel().tolist()}"
        )
    if abs(matrix[0, 1]) > 1e-6 * f[0]:
        raise MessageError("camera_info", f"expected no skew in {name}, got {matrix[0, 1]}")
    edge = np.array([[f[0], 0.0, c[0] + 0.5], [0.0, f[1], c[1] + 0.5], [0.0, 0.0, 1.0]])
    image = to_image @ edge
    side = max(image_size)
    centre = image[:2, 2] / (image_size[1], image_size[0])
    focal = np.diag(image)[:2] / side
    if (focal < 0.02).any() or (focal > 200).any() or (centre < -2).any() or (centre > 3).any():
        raise MessageError(
            "camera_info",
            f"expected focal lengths of 0.02 to 200 image sides and a principal point near the image in {name}, "
            f"got {matrix.ravel().tolist()} for {image_size[1]} x {image_size[0]} pixels",
        )
    return np.asarray(image, np.float64)


def _rotation(values: Any) -> Matrix:
    R = np.asarray(values, np.float64).reshape(-1)
    if R.size != 9 or not np.isfinite(R).all():
        raise MessageError("camera_info", f"expected nine finite numbers in r, got {R.tolist()}")
    R = R.reshape(3, 3)
    if not R.any():  # left out
        return np.eye(3)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise MessageError("camera_info", f"expected a rotation in r, got {R.ravel().tolist()}")
    return R


def _doubt(K: Matrix, info: Any, image_size: tuple[int, int]) -> str:
    """A sentence about a principal point far from the middle; "" for none, and for a part of another image."""
    x, y = K[:2, 2] / (image_size[1], image_size[0])
    if int(info.roi.width) or int(info.roi.height) or max(abs(x - 0.5), abs(y - 0.5)) <= USUAL_OFFSET:
        return ""
    return (
        f"camera_info puts the principal point at {100 * x:.0f} % of the width and {100 * y:.0f} % of the height: is "
        "it that of an image of another size?"
    )


def _distortion(info: Any, instead: str) -> tuple[str, tuple[float, ...]]:
    """Model and coefficients; ("", ()) for a camera without distortion. instead: as `model` of camera_from_message."""
    if instead == NONE:
        return "", ()
    if len(info.d) > MAX_COEFFICIENTS:
        raise MessageError(
            "camera_model", f"expected at most {MAX_COEFFICIENTS} coefficients, got {len(info.d)}"
        )
    said = str(info.distortion_model) if instead == AUTO else instead
    d = tuple(float(v) for v in info.d)
    model = ALIASES.get(said.lower(), said)
    if not np.isfinite(d).all():
        raise MessageError("camera_info", f"expected finite distortion coefficients, got {d}")
    # Zero coefficients are a pinhole camera in every model but the fisheye's, where r = f θ remains.
    if model != "equidistant" and all(abs(v) <= _NO_DISTORTION for v in d) and model in ("", *MODELS):
        return "", ()
    if model not in MODELS:
        raise MessageError(
            "camera_model",
            f"expected a distortion model of {', '.join(MODELS)}, got {said!r} with d {d}: set distortion_model",
        )
    if len(d) not in MODELS[model]:
        raise MessageError(
            "camera_model",
            f"expected {' or '.join(map(str, MODELS[model]))} coefficients for {model}, got {len(d)}",
        )
    return model, d
