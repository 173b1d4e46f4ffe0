"""The request of `rsdfm evaluate`, checked before a model is loaded or a scene simulated."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rsdfm_ros.agent.options import PACKET_BYTES_RANGE
from rsdfm_ros.data.bags.topic_map import MAX_RECORDED_UAVS
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.protocol import HISTORY, Protocol
from rsdfm_ros.evaluation.scenes import DatasetScene, open_scenes, simulated
from rsdfm_ros.evaluation.settings import protocol_of
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.heads.lookup import import_plugins
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.options import require_range
from rsdfm_ros.outputs import check_output_file
from rsdfm_ros.sim.config import (
    DEFAULT_FRAMES,
    MAX_FRAMES,
    MAX_UAVS,
    SEED_LIMIT,
    TEST_SEEDS_FROM,
    VALIDATION_SEEDS_FROM,
)
from rsdfm_ros.sim.dataset import world_options

SCENES = 8
"""Number of scenes simulated by default."""
_MODES = ("sweep", "mapping", "calibrate")


def check_options(args: argparse.Namespace) -> None:
    """Raise RsdfmError for options that contradict each other or are out of range, and for outputs that cannot be
    written."""
    modes = [f"--{mode}" for mode in _MODES if getattr(args, mode)]
    if len(modes) > 1:
        raise RsdfmError(f"{' and '.join(modes)} exclude each other")
    if args.plot is not None and not args.sweep:
        raise RsdfmError("--plot draws sweeps: give --sweep too")
    if args.sweep and args.json is None:
        raise RsdfmError("--sweep keeps its points in a file: give --json FILE")
    if modes and modes[0] != "--sweep" and args.disturb:
        raise RsdfmError(f"--disturb does not go with {modes[0]}, which is about undisturbed UAVs")
    if args.json is not None:
        check_output_file("--json", args.json)
    if args.plot is not None:
        _check_plot(args.plot)
    simulated = args.data is None
    shortest = 1 if args.mapping else HISTORY + FUTURE_STEPS
    require_range("--scenes", args.scenes, 1, 100_000)
    require_range("--uavs", args.uavs, 1, MAX_UAVS if simulated else MAX_RECORDED_UAVS)
    require_range("--seed", args.seed, 0, SEED_LIMIT - (args.scenes or SCENES))
    require_range("--budget-bytes", args.budget_bytes, 1, 10**9)
    require_range("--max-packet-bytes", args.max_packet_bytes, *PACKET_BYTES_RANGE)
    require_range("--fixed-height", args.fixed_height, 1, 1000, "m")
    require_range("--egos", args.egos, 1, args.uavs)
    if args.frames is not None and args.frames < shortest:
        why = f": {HISTORY} for the history of the first and {FUTURE_STEPS} for the future of the last one scored"
        raise RsdfmError(f"--frames {args.frames}: expected at least {shortest}{'' if args.mapping else why}")
    if simulated:
        require_range("--frames", args.frames, 1, MAX_FRAMES)
        world_options.parse(world_options.given(args))
    elif options := world_options.given(args):
        raise RsdfmError(
            f"--{next(iter(options))} is for scenes simulated now: --data says itself what its world is like"
        )
    choose_device(args.device)
    import_plugins(args.plugin)


def asked_seeds(args: argparse.Namespace) -> range:
    """The seeds of the scenes that are simulated where there is no --data."""
    usual = VALIDATION_SEEDS_FROM if args.calibrate else TEST_SEEDS_FROM
    first = usual if args.seed is None else args.seed
    return range(first, first + (args.scenes or SCENES))


def asked_scenes(args: argparse.Namespace) -> tuple[list[DatasetScene], str]:
    """The scenes that the options ask for, and where they come from."""
    if args.data is not None:
        scenes = open_scenes(
            args.data, args.uavs, first=args.seed, scenes=args.scenes, frames=args.frames, check=True
        )
        return scenes, str(args.data)
    seeds = asked_seeds(args)
    folder = simulated(
        seeds.start, len(seeds), args.uavs, args.frames or DEFAULT_FRAMES, world_options.given(args)
    )
    return open_scenes(folder, args.uavs, first=seeds.start, scenes=len(seeds)), "simulated"


def asked_protocol(
    args: argparse.Namespace,
    perception: Perception,
    scenes: Sequence[DatasetScene],
    source: str,
    disturbance: Disturbance,
) -> Protocol:
    """The protocol that the options ask for, as it is written beside the results. Raises: LeakageError."""
    return protocol_of(
        perception,
        scenes,
        model=str(args.model),
        source=source,
        uavs=args.uavs,
        egos=args.egos,
        budget_bytes=args.budget_bytes,
        max_packet_bytes=args.max_packet_bytes,
        disturbance=disturbance,
    )


def _check_plot(path: Path) -> None:
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise RsdfmError(f"--plot {path}: expected a name that ends in .svg, .png or .pdf")
    check_output_file("--plot", path)
