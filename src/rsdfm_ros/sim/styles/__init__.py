"""Styles of the simulated world: each makes a plan (Layout) from a generator of random numbers.

A new style is a file with a function `plan(rng) -> Layout`, a name in config.STYLES and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rsdfm_ros.sim import layout
from rsdfm_ros.sim.config import STYLES
from rsdfm_ros.sim.plan import Layout
from rsdfm_ros.sim.styles import carpark, highway, industrial, oldtown, rural, suburb
from rsdfm_ros.sim.styles.kit import tidy

PLANS: Mapping[str, Callable[[np.random.Generator], Layout]] = MappingProxyType(
    {
        "oldtown": oldtown.plan,
        "suburb": suburb.plan,
        "rural": rural.plan,
        "carpark": carpark.plan,
        "highway": highway.plan,
        "industrial": industrial.plan,
    }
)


def make_plan(seed: int, style: str = "block") -> Layout:
    """The plan of a seed in a style of config.STYLES."""
    if style == "block":
        return layout.make_layout(seed)
    return tidy(PLANS[style](np.random.default_rng([seed, 1, STYLES.index(style)])))
