"""Simulate missions of several UAVs and write them as a nuScenes dataset."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.data.nuscenes.merge import merge
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_output_folder, locked_folder
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.sim.dataset.render import (
    Parameters,
    WorldFactory,
    remember_parameters,
    remove_leftovers,
    render,
    simulated_world,
)
from rsdfm_ros.sim.record import changes, to_record
from rsdfm_ros.words import counted

MAX_UAVS = 8
MAX_FRAMES = SimConfig().max_frames
"""Most frames that the flights and the traffic of a simulated world are planned for."""

SEED_LIMIT = 2**31


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
        help="scene n uses seed + n; train 0-7999, validation 8000-8999, test from 9000 (default %(default)s)",
    )
    parser.add_argument(
        "--uavs", type=int, default=4, help=f"UAVs per scene, 1 to {MAX_UAVS} (default %(default)s)"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=40,
        help=f"frames per scene at 2 Hz, 1 to {MAX_FRAMES} (default %(default)s)",
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--jobs", type=int, default=cores, help="processes (default %(default)s, one per core)"
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
    config = world_options.parse(args)
    parameters = Parameters(args.seed, args.uavs, args.frames, args.depth, to_record(config))
    make_world = make_world or partial(simulated_world, camera=parameters.camera, frames=args.frames)
    console = Console(stderr=True)
    start = time.monotonic()
    done = present = frames = 0
    try:
        with locked_folder(args.out):
            remember_parameters(args.out, parameters)
            remove_leftovers(args.out)
            with (
                _bar(console) as bar,
                contextlib.closing(
                    render(args.out, parameters, args.scenes, args.jobs, make_world)
                ) as events,
            ):
                task = bar.add_task(
                    "frames", total=args.scenes * args.frames, scenes=f"0/{args.scenes}", rate=""
                )
                for event in events:
                    frames += event.event == "frame"
                    done += event.event == "done"
                    if event.event == "present":
                        present += 1
                        bar.update(task, total=(args.scenes - present) * args.frames)
                    bar.update(
                        task,
                        completed=frames,
                        scenes=f"{present + done}/{args.scenes}",
                        rate=f"{frames / max(time.monotonic() - start, 1e-3):.2f}/s",
                    )
            merge(args.out, parameters={"seed": args.seed, "uavs": args.uavs, "frames": args.frames})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{present + done} of {args.scenes} scenes are saved in {args.out}; the same command goes on from there"
        ) from None
    summary = {
        "out": str(args.out),
        "version": schema.VERSION,
        "scenes": args.scenes,
        "rendered": done,
        "already_there": present,
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
        console.print(
            f"{args.out}: {counted(args.scenes, 'scene')} × {counted(args.frames, 'frame')} × "
            f"{counted(args.uavs, 'UAV')} ({done} new)"
        )
    return 0


def _require(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RsdfmError(f"{option} {value} is out of range: expected {low} to {high}")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} · scenes {task.fields[scenes]} · left"),
        TimeRemainingColumn(),
        console=console,
    )
