"""Fly four simulated UAVs over real DDS with a live table, then write a report, a video and a bag."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.recording import RunReader, Surroundings
from rsdfm_ros.evaluation.report_command import make_report
from rsdfm_ros.evaluation.table import print_table
from rsdfm_ros.fleet import run_folder
from rsdfm_ros.fleet.checks import check_fleet
from rsdfm_ros.fleet.description import FleetDescription, load_fleet, parse_override
from rsdfm_ros.fleet.live_table import live_table, status_text
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.fleet.options import checked_setting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm demo`."""
    parser.add_argument(
        "--fleet", type=Path, default=Path("config/fleet/demo.yaml"), help="fleet description"
    )
    run_folder.add_arguments(parser, "out/demo")
    parser.add_argument("--model", help="model folder instead of the one that the description names")
    parser.add_argument(
        "--frames", type=int, help="frames to fly at 2 Hz instead of what the description says"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a setting")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm demo`."""
    overrides = dict(parse_override(text) for text in args.set)
    if args.frames is not None:
        overrides["world.frames"] = checked_setting("--frames", "world.frames", args.frames)
    overrides |= {"model": args.model} if args.model is not None else {}
    fleet = load_fleet(args.fleet, overrides)
    if not fleet.evaluator.enabled or fleet.world.kind != "simulation":
        raise RsdfmError(f"{args.fleet}: the demo needs world.kind `simulation` and evaluator.enabled")
    check_fleet(fleet)
    console = Console(stderr=args.json)
    with run_folder.folder_of(args) as folder:
        out = folder.work
        surroundings_of(fleet).write(out)
        console.print(
            f"{fleet.uavs} UAVs over DDS, model {fleet.model}, {fleet.world.frames} frames; logs in {out / 'logs'}. "
            "Ctrl-C ends it."
        )
        with watch(console, fleet) as on_status:
            flown = run_fleet(fleet, out_dir=folder, on_status=on_status)
        recorded = RunReader(out)
        console.print(f"flown in {flown.seconds:.0f} s; making the report …")
        made = make_report(recorded, out)
        made += [p for p in (out / "result.json", out / "bag") if p.exists()]
    made = [folder.final(path) for path in made]
    rows = recorded.result["results"]
    if args.json:
        print(json.dumps({"seconds": flown.seconds, "results": rows, "files": [str(p) for p in made]}))
        return 0
    print_table(rows, console, title="The mission, mean over all UAVs (single: alone, rsdfm: with peers)")
    console.print("\n".join(f"  {path}" for path in made), highlight=False)
    return 0


def surroundings_of(fleet: FleetDescription) -> Surroundings:
    """Roads, buildings and cameras of the simulated world, for the pictures."""
    from rsdfm_ros.sim.config import SimConfig
    from rsdfm_ros.sim.layout import make_layout

    layout = make_layout(fleet.world.seed)
    return Surroundings(
        [_corners(r) for r in layout.road_rectangles()],
        [_corners(b.footprint) for b in layout.buildings],
        SimConfig().K,
    )


@contextlib.contextmanager
def watch(console: Console, fleet: FleetDescription) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that shows status lines: as a live table on a terminal, as lines elsewhere."""
    frames, budget = fleet.world.frames, fleet.uav.budget_bytes
    if not console.is_terminal:

        def say(line: dict[str, Any]) -> None:
            if line["frame"] % 5 == 0 or line["frame"] == frames - 1:
                console.print(status_text(line, frames), highlight=False, soft_wrap=True)

        yield say
        return
    with Live(live_table(None, frames, budget), console=console, refresh_per_second=4) as live:
        yield lambda line: live.update(live_table(line, frames, budget))


def _corners(rectangle: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = rectangle
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
