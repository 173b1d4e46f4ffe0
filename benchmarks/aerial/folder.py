"""A folder of aerial images with intrinsics, poses and a surface model.

poses.txt      lines of: image name, and the 16 (or 12) numbers of T_world_camera row by row (camera axes x right,
               y down, z forward; metres); or the JSON of UAVScenes
camera.json    {"K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], "distortion": [k1, k2, p1, p2, k3]} for all images,
               the left edge of the image at u = 0; distortion as in OpenCV, may be missing
dsm.tif        a north-up GeoTIFF of heights in the world frame; or dsm.npz, a height grid (docs/mapping.md)
images/        the images; or beside the tables
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.aerial.surface import Surface, load_surface
from benchmarks.errors import BenchError
from rsdfm_ros.data.convert.poses import read_poses
from rsdfm_ros.data.nuscenes.images import is_intrinsic
from rsdfm_ros.data.nuscenes.pixels import read_image

Array = NDArray[np.float64]
MAX_JSON_BYTES = 64 << 20


@dataclass(frozen=True)
class AerialImage:
    """An image file with K (3, 3), distortion (0, 4, 5 or 8 numbers of OpenCV) and T_world_camera (4, 4)."""

    path: Path
    K: Array
    distortion: Array
    T_world_camera: Array

    def read(self) -> tuple[NDArray[np.uint8], Array]:
        """The image (H, W, 3) RGB as a pinhole camera sees it, without empty pixels, and the K of that camera."""
        pixels = read_image(self.path)
        if not self.distortion.any():
            return pixels, self.K
        size = (pixels.shape[1], pixels.shape[0])
        centred = self.K - _HALF  # OpenCV counts from the middle of the first pixel
        K, _ = cv2.getOptimalNewCameraMatrix(centred, self.distortion, size, 0.0)
        image = cv2.undistort(pixels, centred, self.distortion, None, K)
        return np.asarray(image, np.uint8), np.asarray(K + _HALF, np.float64)


_HALF = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])


@dataclass(frozen=True)
class AerialSet:
    """Images of one place and its surface model, all in one world frame."""

    images: tuple[AerialImage, ...]
    surface: Surface


def load_folder(folder: Path) -> AerialSet:
    """The images of a folder in the form that the module describes. Raises: BenchError, DatasetError, GroundError."""
    poses = first_of(folder, ("poses.txt", "poses.json"), "a table of poses")
    usual = _camera(folder / "camera.json") if (folder / "camera.json").is_file() else None
    images = []
    for row in read_poses(poses):
        path = next((p for p in (folder / "images" / row.name, folder / row.name) if p.is_file()), None)
        if path is None:
            raise BenchError(f"{folder} lacks the image {row.name} that {poses.name} names")
        K = row.K if usual is None else usual[0]
        if K is None:
            raise BenchError(f"nothing says the camera matrix of {row.name}: write {folder}/camera.json")
        images.append(AerialImage(path, K, np.zeros(5) if usual is None else usual[1], row.T_world_camera))
    surface = load_surface(first_of(folder, ("dsm.tif", "dsm.npz"), "a surface model"))
    return AerialSet(tuple(images), surface)


def first_of(folder: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of some files that is there. Raises: BenchError."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise BenchError(f"{folder} lacks {what}: expected {' or '.join(names)}")
    return found


def read_json(path: Path) -> Any:
    """A small JSON file. Raises: BenchError."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise BenchError(f"{path} is too large")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"cannot read {path}: {error}") from error


def _camera(path: Path) -> tuple[Array, Array]:
    expected = f'{path}: expected {{"K": 3 x 3 numbers, "distortion": 0, 4, 5 or 8 numbers}}'
    value = read_json(path)
    try:
        K = np.array(value["K"], np.float64)
        distortion = np.array(value.get("distortion", []), np.float64)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BenchError(expected) from None
    if (
        not is_intrinsic(K)
        or distortion.shape not in ((0,), (4,), (5,), (8,))
        or not np.isfinite(distortion).all()
    ):
        raise BenchError(expected)
    return K, distortion if len(distortion) else np.zeros(5)
