"""Evaluates the mapping stage alone: heights of pixels and places of objects' pixels over scenes with depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.evaluation.metrics.accumulator import Result
from rsdfm_ros.evaluation.metrics.mapping import FixedHeight, MappingScore, mapping_scores
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import SimConfig

STRIDE = 4
"""Every fourth frame is scored: those between are similar."""


@dataclass(frozen=True)
class MappingScene:
    """A scene with depth. frames: every STRIDE-th, read or rendered when it is its turn."""

    name: str
    ground: Ground
    frames: Iterator[WorldFrame]


@dataclass(frozen=True)
class MappingFigures:
    """Names of the scenes, number of frames, and figures by variant (see `variants`)."""

    scenes: tuple[str, ...]
    frames: int
    results: dict[str, Result]


def evaluate_mapping(
    perception: Perception,
    scenes: Iterable[MappingScene],
    fixed_height_m: float,
    on_frame: Callable[[], None] = lambda: None,
) -> MappingFigures:
    """Figures of all variants over all scenes; `on_frame` is called after each frame. Torch computes on one thread."""
    torch.set_num_threads(1)
    scores: dict[str, MappingScore] = {}
    names: list[str] = []
    frames = 0
    for scene in scenes:
        names.append(scene.name)
        compared = variants(perception.on_ground(scene.ground), fixed_height_m)
        for frame in scene.frames:
            for variant, score in mapping_scores(compared, [frame], scene.ground).items():
                scores.setdefault(variant, MappingScore()).merge(score)
            frames += 1
            on_frame()
    return MappingFigures(
        tuple(names), frames, {variant: score.result() for variant, score in scores.items()}
    )


def variants(perception: Perception, fixed_height_m: float) -> dict[str, Perception]:
    """Variants that are compared: a model with the true height and with a fixed one; one without heights has no
    other."""
    if perception.config.lift == "absolute":
        return {"absolute depth": perception}
    return {"true height": perception, "fixed height": FixedHeight.of(perception, fixed_height_m)}


def recorded_scene(dataset: Dataset, place: int, uavs: int, frames: int | None) -> MappingScene:
    """A scene of a data set as its first `uavs` UAVs saw it, all of it or its first frames."""
    info = dataset.scenes[place]
    agents = range(min(uavs, len(info.agents)))
    steps = range(0, info.frames if frames is None else min(frames, info.frames), STRIDE)
    loaded = map(partial(dataset.load, place, depth=True, agents=agents), steps)
    return MappingScene(info.name, dataset.dem(place) or GroundPlane(), loaded)


def rendered_scene(seed: int, uavs: int, config: SimConfig, frames: int) -> MappingScene:
    """A simulated mission."""
    return MappingScene(f"seed {seed}", *rendered(seed, uavs, config, range(0, frames, STRIDE)))


def rendered(seed: int, uavs: int, config: SimConfig, frames: range) -> tuple[Ground, Iterator[WorldFrame]]:
    """The ground and frames with depth of a simulated mission; the last frame frees the renderer."""
    from rsdfm_ros.sim.world import World

    world = World(seed, uavs, config)
    ground = world.dem() or GroundPlane()

    def images() -> Iterator[WorldFrame]:
        with world:
            for k in frames:
                yield world.frame(k, depth=True)

    return ground, images()
