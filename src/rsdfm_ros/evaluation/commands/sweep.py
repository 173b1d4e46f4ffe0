"""`rsdfm evaluate --sweep`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rsdfm_ros.evaluation.commands.request import asked_protocol, asked_scenes, asked_seeds
from rsdfm_ros.evaluation.methods.by_name import check_methods
from rsdfm_ros.evaluation.protocol import Protocol
from rsdfm_ros.evaluation.report.progress import frames_shown
from rsdfm_ros.evaluation.report.sweep_plot import write_plot
from rsdfm_ros.evaluation.scenes import (
    DatasetScene,
    check_staggered,
    open_scenes,
    refuse_training_data,
    seeds_of,
)
from rsdfm_ros.evaluation.scores import results_of
from rsdfm_ros.evaluation.session import evaluate_scenes
from rsdfm_ros.evaluation.settings import settings_of
from rsdfm_ros.evaluation.sweep import Axis, Case, SweepFile, parse_sweeps, points_on, run_sweep
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.options import require_range
from rsdfm_ros.provenance import provenance
from rsdfm_ros.sim.config import MAX_UAVS, TEST_SEEDS_FROM
from rsdfm_ros.sim.dataset import world_options


def run_sweeps(args: argparse.Namespace, methods: tuple[str, ...]) -> int:
    """Every point that is still missing, then tables and the plot."""
    axes = parse_sweeps(args.sweep, args.disturb, args.budget_bytes, args.uavs)
    methods = tuple(dict.fromkeys(("single", *methods)))  # gains are differences to it
    perception = Perception.load(args.model, choose_device(args.device), args.engine)

    def evaluate_case(case: Case, title: str) -> tuple[Protocol, list[dict[str, Any]]]:
        here = argparse.Namespace(**vars(args))
        here.uavs, here.budget_bytes = case.uavs, case.budget_bytes
        scenes, source = asked_scenes(here)
        protocol = asked_protocol(here, perception, scenes, source, case.disturbance)
        with frames_shown(scenes, title) as on_frame:
            (scores,) = evaluate_scenes(perception, scenes, [settings_of(protocol, methods)], on_frame)
        return protocol, results_of(scores)

    common = _common(args, perception, methods)
    seed = common["seed"] if args.data is None else args.seed
    origin = provenance(seed=seed, model=args.model, fingerprint=perception.fingerprint)
    file = SweepFile(args.json, common, axes, origin)
    _check_cases(args, perception, methods, axes)
    run_sweep(axes, file, evaluate_case)
    console = Console()
    for axis in axes:
        console.print(_table(file.content, axis))
    print(f"sweep written to {args.json}", file=sys.stderr)
    if args.plot is not None:
        write_plot(file.content, args.plot)
        print(f"plot written to {args.plot}", file=sys.stderr)
    return 0


def _check_cases(
    args: argparse.Namespace, perception: Perception, methods: tuple[str, ...], axes: Sequence[Axis]
) -> None:
    """Raise RsdfmError for a case that cannot be evaluated."""
    cases = [(f"--sweep {a.name}={v}", c) for a in axes for v, c in zip(a.values, a.cases, strict=True)]
    for _, case in cases:
        check_methods(perception, methods, case.disturbance)
    if args.data is None:
        refuse_training_data(perception.manifest, asked_seeds(args))
        for name, case in cases:
            require_range(f"{name}: number of UAVs", case.uavs, 1, MAX_UAVS)
        return
    scenes: list[DatasetScene] = []
    for uavs in sorted({case.uavs or args.uavs for _, case in cases}):
        scenes = open_scenes(
            args.data, uavs, first=args.seed, scenes=args.scenes, frames=args.frames, check=True
        )
    refuse_training_data(perception.manifest, seeds_of(scenes))
    for _, case in cases:
        check_staggered(scenes, case.disturbance)


def _common(args: argparse.Namespace, perception: Perception, methods: tuple[str, ...]) -> dict[str, Any]:
    """Values that all points of a file have in common."""
    return {
        "model": str(args.model),
        "model_fingerprint": f"{perception.fingerprint:016x}",
        "data": "simulated" if args.data is None else str(Path(args.data)),
        "seed": TEST_SEEDS_FROM if args.seed is None else args.seed,
        "scenes": args.scenes,
        "frames": args.frames,
        "egos": args.egos,
        "methods": list(methods),
        "world": world_options.given(args),
    }


def _table(content: dict[str, Any], axis: Axis) -> Table:
    """IoU over ±50 m of single, and the gain of every other method."""
    points = points_on(content, axis.name)
    table = Table(title=f"{axis.name}: IoU ±50 m of single, gains of the others")
    table.add_column(axis.name)
    names = list(points[0][1]) if points else []
    for name in names:
        table.add_column(name, justify="right")
    for value, rows in points:
        cells = []
        for name in names:
            figure = rows[name].get("iou_long" if name == "single" else "gain_iou_long")
            cells.append("–" if figure is None else f"{figure:{'' if name == 'single' else '+'}.3f}")
        table.add_row(value, *cells)
    return table
