"""The layout of a simulated scene as a raster of roads and buildings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsdfm_ros.data.layout_map import LayoutMap, layout_of_rectangles
from rsdfm_ros.geometry.rotations import rotation_vector, transform
from rsdfm_ros.sim.config import PAINTED_EXTENT_M, WorldConfig
from rsdfm_ros.sim.draw import draw_world
from rsdfm_ros.sim.plan import Layout
from rsdfm_ros.sim.styles import make_plan


def layout_map(layout: Layout, turn_rad: float = 0.0) -> LayoutMap:
    """Carriageways with their parking strips, and the footprints of buildings, over the painted ground.

    turn_rad: of the plan against the map frame, in which the raster lies (sim/draw.py).
    """
    rectangles = {
        "road": layout.road_rectangles(),
        "building": [building.footprint for building in layout.buildings],
    }
    plan = layout_of_rectangles(rectangles, PAINTED_EXTENT_M)
    if not turn_rad:
        return plan
    side = (np.arange(len(plan.bits)) + 0.5) * plan.resolution_m + plan.origin[0]
    centres = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    turned = plan.moved(transform(rotation_vector([0.0, 0.0, turn_rad]), [0.0, 0.0, 0.0]))
    found, _ = turned.at(centres, plan.classes)
    bits = (found.astype(np.uint8) << np.arange(len(found), dtype=np.uint8)[:, None, None]).sum(axis=0)
    return replace(plan, bits=bits.astype(np.uint8))


def layout_of_seed(seed: int, world: WorldConfig | None = None) -> LayoutMap:
    """The layout of the world of a seed, without making that world. world: None for the standard one."""
    draw = draw_world(seed, world or WorldConfig())
    return layout_map(make_plan(seed, draw.style), draw.turn_rad)
