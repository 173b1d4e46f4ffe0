"""`rsdfm evaluate --mapping`: figures of the mapping stage alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.nuscenes import Dataset, open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.commands.evaluate import origin_of, write_json
from rsdfm_ros.evaluation.commands.progress import frame_bar
from rsdfm_ros.evaluation.commands.request import FRAMES, asked_seeds
from rsdfm_ros.evaluation.metrics.accumulator import Result
from rsdfm_ros.evaluation.metrics.mapping import FixedHeight, MappingScore, mapping_scores
from rsdfm_ros.evaluation.report.table import format_value
from rsdfm_ros.evaluation.scenes import refuse_training_data
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.model.device import choose_device
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.dataset import world_options

STRIDE = 4
"""Every fourth frame is judged: those between look much alike."""
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("height MAE m", "height_mae_m", ".3f"),
    ("position m", "position_error_m", ".2f"),
    ("median m", "position_median_m", ".2f"),
    ("90 % m", "position_p90_m", ".2f"),
    ("mapped", "object_pixels_mapped", ".3f"),
)


def run_mapping(args: argparse.Namespace) -> int:
    """Runs `rsdfm evaluate --mapping`."""
    perception = Perception.load(args.model, choose_device(args.device))
    scenes = _scenes(args, perception)
    torch.set_num_threads(1)
    scores: dict[str, MappingScore] = {}
    names: list[str] = []
    frames = 0
    with frame_bar() as bar:
        task = bar.add_task("frames", total=None)
        for name, ground, scene in scenes:
            names.append(name)
            compared = variants(perception.on_ground(ground), args.fixed_height)
            for frame in scene:
                for variant, score in mapping_scores(compared, [frame], ground).items():
                    scores.setdefault(variant, MappingScore()).merge(score)
                frames += 1
                bar.advance(task)
    results = {variant: score.result() for variant, score in scores.items()}
    print_mapping(results, Console())
    if args.json is not None:
        protocol = {
            "model": str(args.model),
            "model_fingerprint": f"{perception.fingerprint:016x}",
            "data": str(args.data) if args.data is not None else "simulated",
            "scenes": names,
            "frames": frames,
            "stride": STRIDE,
            "uavs": args.uavs,
            "fixed_height_m": args.fixed_height,
        }
        origin = origin_of(args.model, perception, asked_seeds(args)[0] if args.data is None else None)
        write_json(args.json, {"protocol": protocol, "mapping": results, "provenance": origin})
        print(f"results written to {args.json}", file=sys.stderr)
    return 0


def variants(perception: Perception, fixed_height_m: float) -> dict[str, Perception]:
    """What is compared: a model with the true height and with a fixed one; one without heights is only itself."""
    if perception.config.lift == "absolute":
        return {"absolute depth": perception}
    return {"true height": perception, "fixed height": FixedHeight.of(perception, fixed_height_m)}


def print_mapping(results: dict[str, Result], console: Console) -> None:
    """One row per variant."""
    table = Table()
    table.add_column("")
    for heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for name, row in results.items():
        table.add_row(name, *(format_value(row[key], kind) for _, key, kind in COLUMNS))
    console.print(table)
    console.print(
        "Height: of pixels that show what belongs on the map. Position: distance on the map between the mean place of "
        "a pixel of an object and the true one. Mapped: share of these pixels that come to lie on the map at all.",
        highlight=False,
    )


Scene = tuple[str, Ground, Iterator[WorldFrame]]
"""Name, ground and frames with depth of a scene."""


def _scenes(args: argparse.Namespace, perception: Perception) -> Iterator[Scene]:
    """The scenes that the options ask for. Raises: RsdfmError, before the first of them is made or read."""
    if args.data is None:
        seeds, config = asked_seeds(args), world_options.parse(world_options.given(args))
        refuse_training_data(perception.manifest, seeds)
        steps = range(0, args.frames or FRAMES, STRIDE)
        return ((f"seed {seed}", *rendered(seed, args.uavs, config, steps)) for seed in seeds)
    dataset = open_dataset(args.data)
    places = range(len(dataset.scenes) if args.scenes is None else min(args.scenes, len(dataset.scenes)))
    infos = [dataset.scenes[place] for place in places]
    refuse_training_data(perception.manifest, [info.seed for info in infos])
    flat = [info.name for info in infos if not info.depth]
    if flat:
        raise RsdfmError(f"{flat[0]} in {args.data} has no depth: simulate with --depth")
    return (_recorded(dataset, place, args) for place in places)


def _recorded(dataset: Dataset, place: int, args: argparse.Namespace) -> Scene:
    info = dataset.scenes[place]
    agents = range(min(args.uavs, len(info.agents)))
    steps = range(0, info.frames if args.frames is None else min(args.frames, info.frames), STRIDE)
    frames = map(partial(dataset.load, place, depth=True, agents=agents), steps)
    return info.name, dataset.dem(place) or GroundPlane(), frames


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
