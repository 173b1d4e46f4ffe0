"""What OpenDroneMap leaves behind: images/, opensfm/reconstruction.json, odm_dem/dsm.tif.

OpenDroneMap's world is the topocentric frame of OpenSfM, shifted to the projected position of its reference: axes are
not turned by the meridian convergence, and neither is the surface model that it makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.aerial.folder import AerialImage, AerialSet, read_json
from benchmarks.aerial.surface import load_surface
from benchmarks.errors import BenchError

Array = NDArray[np.float64]
RECONSTRUCTION = Path("opensfm/reconstruction.json")
_SUFFIXES = (".tif", ".jpg", ".jpeg", ".png", ".JPG", ".JPEG")
_EXPECTED = "expected a reconstruction of OpenSfM with cameras, shots and reference_lla"


def is_project(folder: Path) -> bool:
    """Whether a folder is one of OpenDroneMap."""
    return (folder / RECONSTRUCTION).is_file()


def load_project(folder: Path) -> AerialSet:
    """The images of the first reconstruction of a project whose surface model is in the UTM zone of its reference.

    Raises: BenchError, GroundError.
    """
    path = folder / RECONSTRUCTION
    value = read_json(path)
    try:
        model = value[0]
        reference = model["reference_lla"]
        origin = _utm(
            float(reference["longitude"]), float(reference["latitude"]), float(reference["altitude"])
        )
        images = []
        for name, shot in model["shots"].items():
            found = [
                p for s in ("", *_SUFFIXES) if (p := folder / "images" / f"{Path(name).name}{s}").is_file()
            ]
            if found:
                K, distortion = _camera(model["cameras"][shot["camera"]])
                images.append(AerialImage(found[0], K, distortion, _pose(shot, origin)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BenchError(f"{path}: {_EXPECTED} ({error!r})") from None
    if not images:
        raise BenchError(f"{folder}/images holds none of the images that {path.name} names")
    return AerialSet(tuple(images), load_surface(folder / "odm_dem/dsm.tif"))


def _utm(longitude: float, latitude: float, altitude: float) -> Array:
    try:
        import pyproj
    except ImportError:
        raise BenchError("projects of OpenDroneMap are read with pyproj: pip install pyproj") from None
    zone = int((longitude + 180) // 6) + 1
    there = pyproj.Proj(proj="utm", zone=zone, ellps="WGS84", south=latitude < 0)
    x, y = there(longitude, latitude)
    # OpenDroneMap keeps whole metres of the reference
    return np.array([round(x), round(y), altitude], np.float64)


def _pose(shot: dict[str, Any], origin: Array) -> Array:
    """T_world_camera (4, 4) of a shot, whose rotation and translation are from the world to the camera."""
    R, _ = cv2.Rodrigues(np.array(shot["rotation"], np.float64))
    T = np.eye(4)
    T[:3, :3] = R.T
    T[:3, 3] = origin - R.T @ np.array(shot["translation"], np.float64)
    if not np.isfinite(T).all():
        raise ValueError("a pose is not finite")
    return T


def _camera(camera: dict[str, Any]) -> tuple[Array, Array]:
    """K and distortion: OpenSfM measures in units of the larger side, from the middle of the image."""
    if camera["projection_type"] not in ("brown", "perspective"):
        raise ValueError(f"camera model {camera['projection_type']}: expected brown or perspective")
    w, h = float(camera["width"]), float(camera["height"])
    side = max(w, h)
    f = camera.get("focal")
    fx, fy = (side * float(camera[k] if f is None else f) for k in ("focal_x", "focal_y"))
    K = np.array(
        [
            [fx, 0, 0.5 * w + side * camera.get("c_x", 0.0)],
            [0, fy, 0.5 * h + side * camera.get("c_y", 0.0)],
            [0, 0, 1],
        ]
    )
    return K, np.array([float(camera.get(k, 0.0)) for k in ("k1", "k2", "p1", "p2", "k3")])
