"""The layout of a simulated scene as a raster: where roads and buildings are."""

from __future__ import annotations

from rsdfm_ros.data.layout_map import LayoutMap, layout_of_rectangles
from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.layout import Layout, make_layout


def layout_map(layout: Layout) -> LayoutMap:
    """Carriageways with their parking strips, and the footprints of buildings, over the painted ground."""
    rectangles = {
        "road": layout.road_rectangles(),
        "building": [building.footprint for building in layout.buildings],
    }
    return layout_of_rectangles(rectangles, PAINTED_EXTENT_M)


def layout_of_seed(seed: int) -> LayoutMap:
    """The layout of the world of a seed, without making that world."""
    return layout_map(make_layout(seed))
