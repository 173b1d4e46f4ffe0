"""Fly four simulated UAVs over real DDS with a live table, then write a report, a video and a bag."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.next_steps import steps_after_demo
from rsdfm_ros.evaluation.recording import RunReader
from rsdfm_ros.evaluation.report_command import make_report
from rsdfm_ros.fleet.description import FleetDescription, load_fleet, parse_override
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.fleet.live_table import live_table, status_text
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.fleet.outcome import print_outcome
from rsdfm_ros.words import counted

MADE: tuple[str, ...] = (
    "frames",
    "bag",
    "logs",
    "report.html",
    "bev.mp4",
    "result.json",
    "void.json",
    "status.jsonl",
    "scene.json",
)
"""What a run leaves in its folder, and what the next run replaces."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm demo`."""
    parser.add_argument(
        "--fleet", type=Path, default=Path("config/fleet/demo.yaml"), help="fleet description"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="DIR", help="folder for the results"
    )
    parser.add_argument("--model", help="model folder instead of the one that the description names")
    parser.add_argument(
        "--frames", type=int, help="frames to fly at 2 Hz instead of what the description says"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a setting")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm demo`."""
    overrides = dict(parse_override(text) for text in args.set)
    overrides |= {"world.frames": args.frames} if args.frames is not None else {}
    overrides |= {"model": args.model} if args.model is not None else {}
    fleet = load_fleet(args.fleet, overrides)
    if not fleet.evaluator.enabled or fleet.world.kind != "simulation":
        raise RsdfmError(f"{args.fleet}: the demo needs world.kind `simulation` and evaluator.enabled")
    console = Console(stderr=args.json)
    with claim_domain(fleet, args.out) as claim:
        console.print(claim.sentence, highlight=False)
        return _fly(args, claim.fleet, console)


def _fly(args: argparse.Namespace, fleet: FleetDescription, console: Console) -> int:
    """The mission and its report, in a ROS domain that is held."""
    clear(args.out)
    console.print(
        f"{counted(fleet.uavs, 'UAV')} over DDS, model {fleet.model}, {counted(fleet.world.frames, 'frame')}; "
        f"logs in {args.out / 'logs'}. Ctrl-C ends it.",
        soft_wrap=True,
    )
    try:
        with watch(console, fleet) as on_status:
            flown = run_fleet(fleet, out_dir=args.out, on_status=on_status, claimed=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the mission was stopped; what was recorded so far is in {args.out}"
        ) from None
    recorded = RunReader(args.out)
    console.print(f"flown in {flown.seconds:.0f} s; making the report …")
    made = make_report(recorded, args.out)
    made += [p for p in (args.out / "result.json", args.out / "bag") if p.exists()]
    if args.json:
        summary = {"seconds": flown.seconds, "results": recorded.result["results"]}
        summary |= {"provenance": recorded.result["provenance"], "files": [str(p) for p in made]}
        print(json.dumps(summary))
        return 0
    print_outcome(recorded.result, console, made, steps_after_demo(args.out, fleet.world.seed))
    return 0


def clear(out: Path) -> None:
    """Make the folder and remove what an earlier run left there; RsdfmError if it holds anything else."""
    if out.exists() and not out.is_dir():
        raise RsdfmError(f"--out {out} is a file: give a folder")
    strangers = sorted(p.name for p in out.iterdir() if p.name not in MADE) if out.is_dir() else []
    if strangers and not any((out / name).exists() for name in ("result.json", "status.jsonl", "scene.json")):
        raise RsdfmError(
            f"--out {out} holds {', '.join(strangers[:3])} and no earlier run: give another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in MADE:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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

    def table(line: dict[str, Any] | None) -> Group:
        return live_table(line, frames, budget, lockstep=fleet.in_lockstep)

    with Live(table(None), console=console, refresh_per_second=4) as live:
        yield lambda line: live.update(table(line))
