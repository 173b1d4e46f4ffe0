"""`rsdfm evaluate --mapping`: figures of the mapping stage alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from rsdfm_ros.data.check import refuse_unusable
from rsdfm_ros.data.opening import open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.commands.request import asked_seeds
from rsdfm_ros.evaluation.commands.results import write_results
from rsdfm_ros.evaluation.mapping import (
    STRIDE,
    MappingScene,
    evaluate_mapping,
    recorded_scene,
    rendered_scene,
)
from rsdfm_ros.evaluation.metrics.accumulator import Result
from rsdfm_ros.evaluation.report.progress import frame_bar
from rsdfm_ros.evaluation.report.table import format_value
from rsdfm_ros.evaluation.scenes import refuse_training_data
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import DEFAULT_FRAMES
from rsdfm_ros.sim.dataset import world_options

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("height MAE m", "height_mae_m", ".3f"),
    ("position m", "position_error_m", ".2f"),
    ("median m", "position_median_m", ".2f"),
    ("90 % m", "position_p90_m", ".2f"),
    ("mapped", "object_pixels_mapped", ".3f"),
)


def run_mapping(args: argparse.Namespace) -> int:
    """Runs `rsdfm evaluate --mapping`."""
    perception = Perception.load(args.model, choose_device(args.device), args.engine)
    scenes = _scenes(args, perception)
    with frame_bar() as bar:
        task = bar.add_task("frames", total=None)
        figures = evaluate_mapping(perception, scenes, args.fixed_height, lambda: bar.advance(task))
    print_mapping(figures.results, Console())
    protocol = {
        "model": str(args.model),
        "model_fingerprint": f"{perception.fingerprint:016x}",
        "data": str(args.data) if args.data is not None else "simulated",
        "scenes": list(figures.scenes),
        "frames": figures.frames,
        "stride": STRIDE,
        "uavs": args.uavs,
        "fixed_height_m": args.fixed_height,
    }
    seed = asked_seeds(args)[0] if args.data is None else None
    write_results(args, perception, {"protocol": protocol, "mapping": figures.results}, seed)
    return 0


def print_mapping(results: dict[str, Result], console: Console) -> None:
    """One row per variant."""
    table = Table()
    table.add_column("")
    for heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for name, row in results.items():
        table.add_row(name, *(format_value(row[key], spec) for _, key, spec in COLUMNS))
    console.print(table)
    console.print(
        "Height: of pixels that show what belongs on the map. Position: distance on the map between the mean place of "
        "a pixel of an object and the true one. Mapped: share of these pixels that come to lie on the map at all.",
        highlight=False,
    )


def _scenes(args: argparse.Namespace, perception: Perception) -> Iterator[MappingScene]:
    """The scenes that the options ask for. Raises: RsdfmError, before the first of them is made or read."""
    if args.data is None:
        seeds, config = asked_seeds(args), world_options.parse(world_options.given(args))
        refuse_training_data(perception.manifest, seeds)
        return (rendered_scene(seed, args.uavs, config, args.frames or DEFAULT_FRAMES) for seed in seeds)
    dataset = open_dataset(args.data)
    places = range(len(dataset.scenes) if args.scenes is None else min(args.scenes, len(dataset.scenes)))
    refuse_unusable(dataset.chosen(places), args.data)
    infos = [dataset.scenes[place] for place in places]
    refuse_training_data(perception.manifest, [info.seed for info in infos])
    flat = [info.name for info in infos if not info.depth]
    if flat:
        raise RsdfmError(f"{flat[0]} in {args.data} has no depth: simulate with --depth")
    return (recorded_scene(dataset, place, args.uavs, args.frames) for place in places)
