"""Light and surfaces of a world, drawn once from its seed and used by every back end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.facades import paint_facade, paint_hall_wall, paint_house_wall, paint_old_wall
from rsdfm_ros.sim.ground import Image

FACADES, ROOFS, TREES = 4, 3, 3
Rgb = tuple[float, float, float]
BARK = (0.28, 0.21, 0.15)
_ROOF_TONES = (
    (0.42, 0.41, 0.40),
    (0.55, 0.53, 0.50),
    (0.48, 0.30, 0.24),
    (0.35, 0.37, 0.40),
    (0.62, 0.62, 0.60),
)
_TILES = ((0.56, 0.27, 0.19), (0.48, 0.24, 0.18), (0.62, 0.36, 0.24), (0.40, 0.30, 0.26))
_HOUSE_ROOFS = (*_TILES, (0.26, 0.26, 0.28), (0.36, 0.37, 0.40), (0.42, 0.35, 0.28))
_HALL_ROOFS = (
    (0.62, 0.63, 0.64),
    (0.52, 0.54, 0.56),
    (0.70, 0.70, 0.68),
    (0.44, 0.47, 0.50),
    (0.36, 0.36, 0.36),
)
_PALETTES: dict[str, tuple[Callable[[np.random.Generator], Image], tuple[Rgb, ...]]] = {
    "town": (paint_facade, _ROOF_TONES),
    "old": (paint_old_wall, _TILES),
    "houses": (paint_house_wall, _HOUSE_ROOFS),
    "halls": (paint_hall_wall, _HALL_ROOFS),
}
CLUTTER_COLOURS: dict[str, Rgb] = {
    "leaf": (0.20, 0.34, 0.13),
    "wood": (0.45, 0.33, 0.22),
    "steel": (0.52, 0.54, 0.56),
    "dark": (0.14, 0.15, 0.16),
    "white": (0.88, 0.88, 0.86),
    "red": (0.62, 0.14, 0.11),
    "blue": (0.13, 0.27, 0.52),
    "green": (0.14, 0.38, 0.22),
    "yellow": (0.82, 0.66, 0.14),
    "orange": (0.80, 0.38, 0.10),
    "rust": (0.46, 0.25, 0.16),
    "stone": (0.62, 0.60, 0.55),
}
"""Colours of what is no labelled object."""


@dataclass(frozen=True)
class Appearance:
    """Light and surfaces of a seed; colours are RGB from 0 to 1.

    towards_sun (3,) unit vector · sun, sky (3,) colours of their light · facades: FACADES images of walls that tile ·
    roofs, leaves: ROOFS and TREES colours · shadows: whether the sun casts any · shine: of its highlights.
    """

    towards_sun: NDArray[np.float64]
    sun: NDArray[np.float64]
    sky: NDArray[np.float64]
    facades: tuple[Image, ...]
    roofs: tuple[NDArray[np.float64], ...]
    leaves: tuple[NDArray[np.float64], ...]
    shadows: bool = True
    shine: float = 0.15


def draw_appearance(seed: int, palette: str = "town") -> Appearance:
    """The appearance of a seed: one sun of random direction and warmth, light from the sky, surfaces.

    palette: which walls and roofs, one of `town`, `old`, `houses`, `halls`.
    """
    rng = np.random.default_rng([seed, 8])
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(32, 75))
    towards = np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    warmth = rng.uniform(0.0, 0.12)
    sun = rng.uniform(0.65, 0.9) * np.array([1.0, 1.0 - 0.5 * warmth, 1.0 - warmth])
    sky = rng.uniform(0.32, 0.45) * np.array([0.95, 0.98, 1.05])
    paint, tones = _PALETTES[palette]
    facades = tuple(paint(rng) for _ in range(FACADES))
    roofs = tuple(_roof(rng, tones) for _ in range(ROOFS))
    leaves = tuple(_leaves(rng) for _ in range(TREES))
    return Appearance(towards, sun, sky, facades, roofs, leaves)


def _roof(rng: np.random.Generator, tones: tuple[Rgb, ...]) -> NDArray[np.float64]:
    tone = np.array(tones[int(rng.integers(len(tones)))])
    return np.asarray(np.clip(tone * rng.uniform(0.85, 1.15), 0, 1))


def _leaves(rng: np.random.Generator) -> NDArray[np.float64]:
    green = np.array([0.22, 0.36, 0.14]) * rng.uniform(0.75, 1.3)
    return np.asarray(np.clip(green + rng.normal(0, 0.03, 3), 0.03, 1))


def light_of(appearance: Appearance, weather: str, seed: int) -> Appearance:
    """The lights of a seed's appearance in a weather; `clear` leaves them as they are."""
    rng = np.random.default_rng([seed, 21])
    if weather == "overcast":
        grey = float(rng.uniform(0.55, 0.68)) * np.array([0.97, 1.0, 1.03])
        return replace(
            appearance,
            sun=0.28 * np.ones(3),
            sky=grey,
            towards_sun=_towards(0.0, 88.0),
            shadows=False,
            shine=0.0,
        )
    if weather == "haze":
        return replace(appearance, sun=0.75 * appearance.sun, sky=appearance.sky + 0.1, shine=0.0)
    if weather == "low-sun":
        towards = _towards(float(rng.uniform(0, 360)), float(rng.uniform(10, 22)))
        warm = float(rng.uniform(0.85, 1.1)) * np.array([1.0, 0.80, 0.56])
        return replace(
            appearance,
            sun=warm,
            sky=float(rng.uniform(0.34, 0.46)) * np.array([0.9, 0.97, 1.15]),
            towards_sun=towards,
        )
    if weather == "night":
        # as if lit evenly: `Night` decides how much of it is seen
        flat = 0.62 * np.ones(3)
        return replace(
            appearance,
            sun=0.3 * np.ones(3),
            sky=flat,
            towards_sun=_towards(40.0, 70.0),
            shadows=False,
            shine=0.0,
        )
    return appearance


def _towards(azimuth_deg: float, elevation_deg: float) -> NDArray[np.float64]:
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])
