"""The cameras that weights were trained with, as their manifest tells them, and whether a camera is like those.

    training:
      cameras: {pitch_deg: [30.0, 70.0], altitude_m: [25.0, 100.0], fov_deg: [45.0, 95.0]}

Pitch is that of the optical axis below the horizon, altitude is above the ground, the field of view is horizontal. An
entry that is left out is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.model.manifest import ManifestError

Range = tuple[float, float]
SLACK = {"pitch_deg": 2.0, "altitude_m": 2.0, "fov_deg": 2.0}
"""So far outside is still like the training: attitude and height of a flight vary."""
WORDS = {
    "pitch_deg": ("the camera looks {:.0f}° below the horizon", "°"),
    "altitude_m": ("the camera is {:.0f} m above the ground", " m"),
    "fov_deg": ("the lens has {:.0f}°", "°"),
}


@dataclass(frozen=True)
class CameraRange:
    """Ranges of the cameras of the training; None where it is not known."""

    pitch_deg: Range | None = None
    altitude_m: Range | None = None
    fov_deg: Range | None = None


@dataclass(frozen=True)
class CameraUse:
    """A camera at an image."""

    pitch_deg: float
    altitude_m: float
    fov_deg: float


def camera_range_of(manifest: Mapping[str, Any]) -> CameraRange:
    """The ranges of a manifest (model/manifest.py). Raises: ManifestError for those that are no ranges."""
    training = manifest.get("training") or {}
    entry = training.get("cameras") or {}
    names = [field.name for field in fields(CameraRange)]
    if not isinstance(entry, Mapping) or set(entry) - set(names):
        raise ManifestError(f"training.cameras: expected {', '.join(names)}, got {str(entry)[:200]}")
    return CameraRange(**{name: _range(name, value) for name, value in entry.items()})


def _range(name: str, value: Any) -> Range:
    numbers = isinstance(value, list | tuple) and len(value) == 2
    numbers = numbers and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not numbers or not all(math.isfinite(v) for v in value) or value[0] > value[1]:
        raise ManifestError(
            f"training.cameras.{name}: expected the least and the greatest, got {str(value)[:200]}"
        )
    return float(value[0]), float(value[1])


def use_of(
    K: NDArray[np.float64], width_px: int, T_map_camera: NDArray[np.float64], ground: Ground
) -> CameraUse:
    """Pitch, altitude and field of view of a camera with intrinsics K (3, 3) and images of this width."""
    position = T_map_camera[:3, 3]
    left, right = K[0, 2] / K[0, 0], (width_px - K[0, 2]) / K[0, 0]
    return CameraUse(
        pitch_deg=math.degrees(math.asin(float(np.clip(-T_map_camera[2, 2], -1.0, 1.0)))),
        altitude_m=float(position[2] - ground.elevation(position[:2])),
        fov_deg=math.degrees(math.atan(left) + math.atan(right)),
    )


def ranges_over(dataset: Dataset) -> dict[str, list[float]]:
    """Entry of a manifest: the ranges over all images of a data set whose size is known; empty without any. Where no
    elevation model is stored, the ground is level at z = 0. Raises: MissingFileError for a damaged one."""
    uses = []
    for scene, info in enumerate(dataset.scenes):
        ground = dataset.dem(scene) or GroundPlane()
        for k in range(info.frames):
            images = [image for of_agent in dataset.images(scene, k) for image in of_agent if image.size[1]]
            uses += [use_of(image.K, image.size[1], image.T_map_camera, ground) for image in images]
    if not uses:
        return {}
    values = np.array([(use.pitch_deg, use.altitude_m, use.fov_deg) for use in uses])
    least, most = values.min(axis=0).round(1), values.max(axis=0).round(1)
    return {field.name: [float(least[n]), float(most[n])] for n, field in enumerate(fields(CameraRange))}


def unlike(use: CameraUse, trained: CameraRange) -> Iterator[str]:
    """A sentence for everything that is outside of the training."""
    for name, (words, unit) in WORDS.items():
        limits, value = getattr(trained, name), getattr(use, name)
        if limits is not None and not limits[0] - SLACK[name] <= value <= limits[1] + SLACK[name]:
            yield f"{words.format(value)}, the weights were trained with {limits[0]:g} to {limits[1]:g}{unit}"
