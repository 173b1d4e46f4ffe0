"""Seasons: colours of leaves, hedges and roofs, and the ground under fallen leaves or snow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.appearance import CLUTTER_COLOURS, Appearance, Rgb
from rsdfm_ros.sim.ground import Colour, Image
from rsdfm_ros.sim.plan import Layout
from rsdfm_ros.sim.variety.textures import STRIP, fractal, pixel, road_mask

_AUTUMN = np.array([(0.62, 0.40, 0.10), (0.66, 0.24, 0.08), (0.48, 0.30, 0.14), (0.70, 0.56, 0.14)])
_BARE = np.array([(0.34, 0.29, 0.25), (0.42, 0.38, 0.35), (0.80, 0.82, 0.84)])
_SNOW = np.array([0.90, 0.92, 0.95])


def season_of(appearance: Appearance, season: str, seed: int) -> Appearance:
    """The appearance of a seed in a season; `summer` leaves it as it is."""
    if season == "summer":
        return appearance
    rng = np.random.default_rng([seed, 41])
    tones = _AUTUMN if season == "autumn" else _BARE
    leaves = tuple(_near(tones[int(rng.integers(len(tones)))], rng) for _ in appearance.leaves)
    if season == "autumn":
        return replace(appearance, leaves=leaves)
    covered = rng.uniform(0.3, 1.0, len(appearance.roofs))
    roofs = tuple(tone + c * (_SNOW - tone) for tone, c in zip(appearance.roofs, covered, strict=True))
    return replace(appearance, leaves=leaves, roofs=roofs)


def clutter_colours(season: str) -> dict[str, Rgb]:
    """Colours of what is no labelled object."""
    leaf = {"autumn": (0.42, 0.32, 0.12), "winter": (0.62, 0.62, 0.60)}
    return {**CLUTTER_COLOURS, "leaf": leaf[season]} if season in leaf else CLUTTER_COLOURS


def season_ground(image: Image, land: Colour, layout: Layout, season: str, seed: int) -> tuple[Image, Colour]:
    """The painted ground and the colour of the land around it in a season."""
    if season == "summer":
        return image, land
    rng = np.random.default_rng([seed, 42])
    if season == "winter":
        return _snow(image, land, layout, rng)
    dry = np.array([1.18, 0.98, 0.72]) * rng.uniform(0.85, 1.05)
    out = image.copy()
    table = np.clip(np.arange(256)[:, None, None] * dry, 0, 255).astype(np.uint8)
    for first in range(0, len(out), STRIP):
        part = out[first : first + STRIP]
        green = (part[..., 1] > part[..., 0].astype(np.int16) + 6) & (part[..., 1] > part[..., 2])
        np.copyto(part, cv2.LUT(part, table), where=green[..., None])
    _litter(out, layout, rng)
    return out, _colour(np.array(land) * dry)


def _colour(rgb: NDArray[np.float64]) -> Colour:
    r, g, b = (float(c) for c in np.clip(rgb, 0, 255))
    return r, g, b


def _near(tone: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.clip(tone * rng.uniform(0.8, 1.2) + rng.normal(0, 0.02, 3), 0.03, 1))


def _litter(out: Image, layout: Layout, rng: np.random.Generator) -> None:
    """Fallen leaves, dense below crowns."""
    px = len(out)
    near = np.zeros((px, px), np.uint8)
    for tree in layout.trees:
        u, v = pixel(px, tree.x, tree.y)
        cv2.circle(near, (u // 16, v // 16), max(1, round(tree.crown_radius_m * 1.5 * px / 250)), 255, -1)
    density = cv2.GaussianBlur(near, (0, 0), 9.0).astype(np.float32) * np.float32(0.7 / 255)
    fallen = rng.random((px, px), dtype=np.float32) < density
    colours = (255 * _AUTUMN * rng.uniform(0.8, 1.2, (len(_AUTUMN), 1))).astype(np.uint8)
    out[fallen] = colours[rng.integers(len(colours), size=int(fallen.sum()))]


def _snow(image: Image, land: Colour, layout: Layout, rng: np.random.Generator) -> tuple[Image, Colour]:
    """Snow everywhere but in patches; on carriageways only a part, as they are cleared."""
    px = len(image)
    depth, cleared = float(rng.uniform(0.6, 2.5)), float(rng.uniform(0.8, 3.5))
    roads = cv2.GaussianBlur(road_mask(px, layout), (0, 0), 6.0)
    noise, rough = fractal(rng, px), fractal(rng, px)
    white = 255 * _SNOW * rng.uniform(0.9, 1.0)
    out = np.empty_like(image)
    for first in range(0, px, STRIP):
        rows = slice(first, first + STRIP)
        deep = depth - cleared * roads[rows] + 0.8 * noise[rows]
        cover = np.clip(0.5 + 0.8 * deep, 0, 0.97)[..., None]
        part = image[rows].astype(np.float32)
        part += cover * (white.astype(np.float32) * np.exp(0.03 * rough[rows])[..., None] - part)
        out[rows] = np.clip(part, 0, 255, out=part)
    return out, _colour(np.array(land) + 0.9 * (white - np.array(land)))
