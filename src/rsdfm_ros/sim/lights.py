"""The lights of a world in a weather: sun, sky and shadows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.appearance import Appearance


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
