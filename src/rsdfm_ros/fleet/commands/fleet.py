"""Run a fleet: one process per UAV, the world and the evaluator, over DDS."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from rsdfm_ros.evaluation.report.next_steps import steps_with
from rsdfm_ros.fleet import run_folder
from rsdfm_ros.fleet.checks import check_apart, check_fleet, check_replay
from rsdfm_ros.fleet.companions import companions
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.fleet.mission import FleetResult, run_fleet
from rsdfm_ros.fleet.options import LISTS, SETTINGS, SWITCHES, choices, options_from, sentence
from rsdfm_ros.fleet.outcome import print_outcome
from rsdfm_ros.words import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("description", help="fleet description, e.g. config/fleet/demo.yaml (docs/fleet.md)")
    run_folder.add_arguments(parser, "out/fleet")
    for name in SETTINGS:
        values = choices(name)
        shown = "{" + ",".join(values) + "}" if values else name.rpartition("_")[2].upper()
        parser.add_argument(_flag(name), dest=name, metavar=shown, help=sentence(name))
    for name in LISTS:
        shown = {"params_file": "FILE", "remap": "FROM:=TO", "set": "NAME=VALUE"}[name]
        parser.add_argument(
            _flag(name), dest=name, action="append", default=[], metavar=shown, help=sentence(name)
        )
    for name in SWITCHES:
        parser.add_argument(_flag(name), dest=name, action="store_const", const="true", help=sentence(name))
    parser.add_argument("--verbose", action="store_true", help="show everything that the processes print")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status."""
    options = options_from({name: getattr(args, name) for name in (*SETTINGS, *LISTS, *SWITCHES)})
    fleet = options.load(args.description)
    check_fleet(fleet, options)
    check_replay(fleet)
    out = run_folder.chosen_path(args)
    check_apart(fleet, out)
    quiet = args.json
    with claim_domain(fleet, out) as claim, run_folder.folder_of(args) as folder:
        print(claim.sentence, file=sys.stderr if quiet else sys.stdout, flush=True)
        fleet, more, notes = companions(claim.fleet, options, folder.work)
        if not quiet:
            print(
                f"{counted(fleet.uavs, 'UAV')}, model {fleet.model}; logs and results in {folder.work}. "
                "Ctrl-C ends the fleet."
            )
            print("\n".join(notes), end="\n" if notes else "", flush=True)
        result = run_fleet(
            fleet,
            out_dir=folder,
            on_status=None if quiet else print_status,
            on_line=(lambda name, line: print(f"[{name}] {line}", file=sys.stderr)) if args.verbose else None,
            on_note=lambda note: print(f"warning: {note}", file=sys.stderr, flush=True),
            companions=more,
            claimed=True,
        )
    if result.result is None:
        return 0
    if args.json:
        print(json.dumps(result.result))
    else:
        print_ended(result, out)
    return 0


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def print_status(line: dict[str, Any]) -> None:
    """Print one line of status.jsonl."""
    parts = []
    for name, facts in line["agents"].items():
        single, both = _figure(facts["iou_single"]), _figure(facts["iou_collaborative"])
        parts.append(f"{name} IoU {single}→{both} {facts['bytes_sent_frame'] / 1e3:4.1f} kB")
    print(f"frame {line['frame']:3d}  " + "  ".join(parts), flush=True)


def print_ended(flown: FleetResult, out: Path) -> None:
    """Print the outcome of a mission; out: the folder with its results."""
    assert flown.result is not None
    console = Console()
    frames = counted(flown.result["protocol"]["frames_answered"], "frame")
    console.print(f"\n{frames} answered by every UAV, in {flown.seconds:.0f} s", highlight=False)
    files = [path for path in (out / "result.json", out / "bag") if path.exists()]
    print_outcome(flown.result, console, files, steps_with(out))


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
