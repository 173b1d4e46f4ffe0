"""The parameters about the ground under a UAV; docs/mapping.md explains them with examples."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.data.messages.ground_heights import MAX_AGE_S
from rsdfm_ros.settings import setting

PLANE, TOPIC, RANGE, DEM = "plane", "topic", "range", "dem"
GROUND_MODELS = (PLANE, TOPIC, RANGE, DEM)


@dataclass(frozen=True)
class GroundSettings:
    """Source of the ground. In uav_node those of encoder_node count."""

    ground_model: str = setting(
        PLANE,
        "plane: ground_height_m and ground_normal; topic: heights of the ground on ground/height; range: heights of "
        "the camera above it on ground/range; dem: the grid in ground_dem; in uav_node that of encoder_node counts",
        choices=GROUND_MODELS,
    )
    ground_height_m: float = setting(
        0.0, "height of the ground plane in the lattice frame, at its origin, m", low=-1e4, high=1e4
    )
    ground_normal: tuple[float, ...] = setting(
        (0.0, 0.0, 1.0),
        "normal of the ground plane, of any length, pointing up",
        length=(3,),
        low=-1e3,
        high=1e3,
    )
    ground_dem: str = setting("", "grid of ground heights in the lattice frame (.npz)")
    ground_max_age_s: float = setting(
        MAX_AGE_S,
        "a height of the ground this much older or newer than an image is not used for it, s",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
