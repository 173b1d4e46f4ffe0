"""Heights that a model predicts for an aerial image, against the surface model that the image shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.aerial.folder import AerialImage
from benchmarks.aerial.surface import Surface
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.evaluation.metrics.mapping import LEAST_MASS, expected_places
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.camera import viewing_rays
from rsdfm_ros.geometry.ground import Ground, GroundPlane, points_at_heights
from rsdfm_ros.geometry.height_grid import GroundError, HeightGrid
from rsdfm_ros.model.perception import Perception

Array = NDArray[np.float64]
GROUNDS = ("surface", "plane")
"""What a model takes for the ground: the bare earth of the surface model, or the level plane at its median height."""
BANDS_M = ((0.0, 0.5), (0.5, 2.0), (2.0, 3.4))
_MAX_DEPTH_M = 1000.0


@dataclass(frozen=True)
class Look:
    """A part of an aerial image in a map frame with its origin on the ground in the middle of what it shows.

    view: image, K, pose · surface: with buildings and trees · ground: the bare earth.
    """

    name: str
    view: CameraView
    surface: Surface
    ground: HeightGrid


@dataclass(frozen=True)
class Heights:
    """Per pixel of a grid (h, w), in m: true height of the surface above the bare earth, error of the ground that the
    model assumed, predicted height above that ground, horizontal error of the predicted place; which pixels count."""

    true: Array
    ground_error: Array
    predicted: Array
    place_error: Array
    counts: NDArray[np.bool_]


def looks(image: AerialImage, surface: Surface, tiles: int) -> Iterator[Look]:
    """An image in tiles × tiles parts, each with intrinsics of its own: a part has the resolution on the ground of a
    camera that many times nearer."""
    pixels, K = image.read()
    bare = surface.bare_earth()
    height, width = pixels.shape[0] // tiles, pixels.shape[1] // tiles
    for row in range(tiles):
        for column in range(tiles):
            part = np.ascontiguousarray(pixels[row * height :, column * width :][:height, :width])
            shifted = K.copy()
            shifted[:2, 2] -= (column * width, row * height)
            ray = viewing_rays(np.array([0.5 * width, 0.5 * height]), shifted, image.T_world_camera)
            hit, valid = points_at_heights(
                ray[None], image.T_world_camera[:3, 3], [0.0], bare, max_depth_m=_MAX_DEPTH_M
            )
            if not valid[0, 0]:
                continue  # looks beside the surface model or above the horizon
            origin = hit[0, 0]
            T = image.T_world_camera.copy()
            T[:3, 3] -= origin
            moved = Surface(bare, surface.filled).moved(origin).grid
            name = image.path.stem + (f"-{row}{column}" if tiles > 1 else "")
            yield Look(name, CameraView("uav1", part, shifted, T), surface.moved(origin), moved)


def assumed_ground(look: Look, kind: str) -> Ground:
    """The ground of a look that a model is given, a name of GROUNDS."""
    if kind == "surface":
        return look.ground
    if kind != "plane":
        raise GroundError(f"unknown ground {kind!r}: expected one of {', '.join(GROUNDS)}")
    xy = np.stack(np.meshgrid(*(np.linspace(-50, 50, 21),) * 2), -1)
    return GroundPlane(offset=float(np.median(look.ground.elevation(xy))))


def measure(perception: Perception, look: Look) -> Heights:
    """Heights of a look; the ground of the model is the assumed one."""
    places, predicted, mass = expected_places(perception, look.view)
    h, w = predicted.shape
    view = look.view
    v = ((np.arange(h) + 0.5) * view.image.shape[0] / h).astype(int)
    u = ((np.arange(w) + 0.5) * view.image.shape[1] / w).astype(int)
    rays = viewing_rays(np.stack(np.meshgrid(u + 0.5, v + 0.5), -1), view.K, view.T_map_camera)
    points, valid = points_at_heights(
        rays, view.T_map_camera[:3, 3], [0.0], look.surface.grid, max_depth_m=_MAX_DEPTH_M
    )
    points = points[..., 0, :]
    known = valid[..., 0] & look.surface.known(points[..., :2])
    true = look.ground.height(points)
    error = perception.ground.elevation(points[..., :2]) - look.ground.elevation(points[..., :2])
    off = np.linalg.norm((places - points)[..., :2], axis=-1)
    return Heights(true, np.asarray(error), predicted, off, known & (mass > LEAST_MASS))


def detect(perception: Perception, look: Look) -> Detections:
    """Boxes that the model finds in a look without peers."""
    bev = perception.perceive(look.view.image, look.view.K, look.view.T_map_camera)
    return perception.detect([perception.fuse(bev, [], [])])


def figures(heights: list[Heights], top_m: float) -> dict[str, float | int | None]:
    """Figures over all pixels that show something between the ground and the highest bin of the model.

    height_mae_m: predicted against true heights · zero_mae_m: the same if everything lay on the ground ·
    ground_mae_m: assumed against bare earth · place_median_m: horizontal error of predicted places · correlation: of
    predicted and true heights · height_mae_m_LOW_HIGH: by true height.
    """
    true, error, predicted, off = (
        np.concatenate([getattr(h, name)[h.counts] for h in heights])
        for name in ("true", "ground_error", "predicted", "place_error")
    )
    shown = (true <= top_m) if len(true) else np.zeros(0, bool)
    t, p = true[shown].clip(0.0), predicted[shown]

    def mean(values: Array) -> float | None:
        return float(values.mean()) if len(values) else None

    out: dict[str, float | int | None] = {
        "pixels": len(true),
        "pixels_scored": int(shown.sum()),
        "ground_mae_m": mean(np.abs(error)),
        "place_median_m": float(np.median(off[shown])) if len(t) else None,
        "height_mae_m": mean(np.abs(p - t)),
        "height_bias_m": mean(p - t),
        "zero_mae_m": mean(t),
        "correlation": float(np.corrcoef(p, t)[0, 1]) if len(t) > 2 and p.std() > 0 and t.std() > 0 else None,
    }
    for low, high in BANDS_M:
        inside = (t >= low) & (t < high)
        out[f"height_mae_m_{low:g}_{high:g}"] = mean(np.abs(p - t)[inside])
        out[f"pixels_{low:g}_{high:g}"] = int(inside.sum())
    tall = true > top_m
    out["pixels_higher"] = int(tall.sum())
    out["predicted_of_higher_m"] = mean(predicted[tall])
    return out
