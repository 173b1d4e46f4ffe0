"""What light and surfaces of a seed look like: drawn once, used by every back end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.ground import Image, paint_facade

FACADES, ROOFS, TREES = 4, 3, 3
BARK = (0.28, 0.21, 0.15)
_ROOF_TONES = (
    (0.42, 0.41, 0.40),
    (0.55, 0.53, 0.50),
    (0.48, 0.30, 0.24),
    (0.35, 0.37, 0.40),
    (0.62, 0.62, 0.60),
)


@dataclass(frozen=True)
class Looks:
    """Light and surfaces of a seed; colours are RGB from 0 to 1.

    towards_sun (3,) unit vector · sun, sky (3,) colours of their light · facades: FACADES pictures of walls that tile ·
    roofs, leaves: ROOFS and TREES colours.
    """

    towards_sun: NDArray[np.float64]
    sun: NDArray[np.float64]
    sky: NDArray[np.float64]
    facades: tuple[Image, ...]
    roofs: tuple[NDArray[np.float64], ...]
    leaves: tuple[NDArray[np.float64], ...]


def draw_looks(seed: int) -> Looks:
    """The looks that belong to a seed: one sun of random direction and warmth, light from the sky, surfaces."""
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
    facades = tuple(paint_facade(rng) for _ in range(FACADES))
    roofs = tuple(_roof(rng) for _ in range(ROOFS))
    leaves = tuple(_leaves(rng) for _ in range(TREES))
    return Looks(towards, sun, sky, facades, roofs, leaves)


def _roof(rng: np.random.Generator) -> NDArray[np.float64]:
    tone = np.array(_ROOF_TONES[int(rng.integers(len(_ROOF_TONES)))])
    return np.asarray(np.clip(tone * rng.uniform(0.85, 1.15), 0, 1))


def _leaves(rng: np.random.Generator) -> NDArray[np.float64]:
    green = np.array([0.22, 0.36, 0.14]) * rng.uniform(0.75, 1.3)
    return np.asarray(np.clip(green + rng.normal(0, 0.03, 3), 0.03, 1))
