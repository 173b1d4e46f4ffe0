"""Simulate missions of several UAVs and write them as a nuScenes dataset."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_output_folder
from rsdfm_ros.sim.config import (
    DEFAULT_FRAMES,
    DEFAULT_UAVS,
    MAX_FRAMES,
    MAX_UAVS,
    SEED_LIMIT,
    TEST_SEEDS_FROM,
    VALIDATION_SEEDS_FROM,
)
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.sim.dataset.render import WorldFactory
from rsdfm_ros.sim.dataset.simulate import available_cores, progress_bar, say_simulated, simulate_dataset
from rsdfm_ros.sim.record import changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rsdfm simulate`."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="folder of the dataset",
    )
    parser.add_argument(
        "--scenes", type=int, default=1, metavar="N", help="scenes in total (default %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help=f"scene n uses seed + n; train 0-{VALIDATION_SEEDS_FROM - 1}, validation "
        f"{VALIDATION_SEEDS_FROM}-{TEST_SEEDS_FROM - 1}, test from {TEST_SEEDS_FROM} (default %(default)s)",
    )
    parser.add_argument(
        "--uavs",
        type=int,
        default=DEFAULT_UAVS,
        help=f"UAVs per scene, 1 to {MAX_UAVS} (default %(default)s)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=DEFAULT_FRAMES,
        help=f"frames per scene at 2 Hz, 1 to {MAX_FRAMES} (default %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=int, default=available_cores(), help="processes (default %(default)s, one per core)"
    )
    parser.add_argument("--depth", action="store_true", help="store depth too, as 16-bit PNG in centimetres")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    world_options.add_arguments(parser)


def run(args: argparse.Namespace, make_world: WorldFactory | None = None) -> int:
    """Runs `rsdfm simulate`; worlds are those of the built-in simulator unless `make_world` makes others.

    Raises RsdfmError for errors that the user can act on, and KeyboardInterrupt, which names the saved scenes, after
    Ctrl-C.
    """
    _require("--scenes", args.scenes, 1, 100_000)
    _require("--seed", args.seed, 0, SEED_LIMIT - args.scenes)
    _require("--uavs", args.uavs, 1, MAX_UAVS)
    _require("--frames", args.frames, 1, MAX_FRAMES)
    _require("--jobs", args.jobs, 1, 1024)
    check_output_folder("--out", args.out)
    config = world_options.parse(world_options.given(args))
    start = time.monotonic()
    with progress_bar(args.scenes, args.frames) as progress:
        done = simulate_dataset(
            config,
            args.out,
            seed=args.seed,
            scenes=args.scenes,
            uavs=args.uavs,
            frames=args.frames,
            depth=args.depth,
            jobs=args.jobs,
            make_world=make_world,
            progress=progress,
        )
    summary = {
        "out": str(args.out),
        "version": schema.VERSION,
        "scenes": args.scenes,
        "rendered": done.rendered,
        "already_there": done.already_there,
        "frames_per_scene": args.frames,
        "uavs": args.uavs,
        "seed": args.seed,
        "depth": args.depth,
        "world": changes(config),
        "seconds": round(time.monotonic() - start, 3),
    }
    if args.json:
        print(json.dumps(summary))
    else:
        say_simulated(args.out, done, scenes=args.scenes, frames=args.frames, uavs=args.uavs)
    return 0


def _require(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RsdfmError(f"{option} {value} is out of range: expected {low} to {high}")
