"""The random choices of a world: everything that its configuration leaves open, drawn once from the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdfm_ros.sim.config import (
    HELD_OUT_STYLES,
    MIXED,
    SEASONS,
    STYLES,
    TERRAINS,
    TEXTURES,
    WEATHERS,
    WorldConfig,
)

TRAINING_STYLES = tuple(s for s in STYLES if s not in HELD_OUT_STYLES)
"""Styles that `mixed` draws from."""


@dataclass(frozen=True)
class Draw:
    """One world: see WorldConfig; vehicles is None where the style decides."""

    style: str
    weather: str
    vehicles: int | None
    people: int
    turn_rad: float
    terrain: str
    blur_s: float
    noise: float
    season: str
    textures: str
    distractors: int

    @property
    def words(self) -> dict[str, str]:
        """Style, weather and terrain, as they are noted with a scene; season and textures where they are not the
        standard ones."""
        usual = WorldConfig()
        more = {"season": self.season, "textures": self.textures}
        return {
            "style": self.style,
            "weather": self.weather,
            "terrain": self.terrain,
            **{name: word for name, word in more.items() if word != getattr(usual, name)},
        }


def draw_world(seed: int, config: WorldConfig) -> Draw:
    """The world of a seed: a pure function, independent of other seeds."""
    rng = np.random.default_rng([seed, 20])
    style, weather, terrain = (
        known[int(rng.integers(len(known)))] for known in (TRAINING_STYLES, WEATHERS, TERRAINS)
    )
    numbers = rng.random(5)
    later = np.random.default_rng([seed, 26])  # so that worlds without these options stay as they are
    season, textures = (known[int(later.integers(len(known)))] for known in (SEASONS, TEXTURES))
    numbers = np.append(numbers, later.random())

    def between(n: int, limits: tuple[float, float]) -> float:
        return limits[0] + float(numbers[n]) * (limits[1] - limits[0])

    return Draw(
        style if config.style == MIXED else config.style,
        weather if config.weather == MIXED else config.weather,
        None if config.vehicles is None else round(between(0, config.vehicles)),
        round(between(1, config.people)),
        math.radians(between(2, config.turn_deg)),
        terrain if config.terrain == MIXED else config.terrain,
        1e-3 * between(3, config.blur_ms),
        between(4, config.noise),
        season if config.season == MIXED else config.season,
        textures if config.textures == MIXED else config.textures,
        round(between(5, config.distractors)),
    )
