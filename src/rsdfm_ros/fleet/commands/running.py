"""A mission from the command line: run it, print what happens, print what it has come to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from rsdfm_ros.evaluation.report.next_steps import steps_with
from rsdfm_ros.fleet.companions import web_page
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.mission import FleetResult, run_fleet
from rsdfm_ros.fleet.outcome import print_outcome
from rsdfm_ros.fleet.run_folder import RunFolder
from rsdfm_ros.fleet.specification import NodeSpec
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.options import SAYS, add_web_arguments
from rsdfm_ros.words import counted


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments about what is printed."""
    add_web_arguments(parser)
    parser.add_argument("--verbose", action="store_true", help="show everything that the processes print")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")


def run_with_output(
    fleet: FleetDescription,
    folder: RunFolder,
    args: argparse.Namespace,
    address: Address | None,
    more: Sequence[NodeSpec] = (),
) -> FleetResult:
    """Run a fleet whose ROS domain is claimed, with further processes, and print what these arguments ask for.

    address: of the page for browsers, None for none. Raises: as `run_fleet`.
    """
    if address is not None:
        print(SAYS.format(address.url), file=sys.stderr if args.json else sys.stdout, flush=True)
        more = [*more, web_page(fleet, address, folder.work)]
    return run_fleet(
        fleet,
        out_dir=folder,
        on_status=None if args.json else print_status,
        on_line=(lambda name, line: print(f"[{name}] {line}", file=sys.stderr)) if args.verbose else None,
        on_note=lambda note: print(f"warning: {note}", file=sys.stderr, flush=True),
        companions=more,
        claimed=True,
    )


def print_result(flown: FleetResult, out: Path, *, as_json: bool) -> int:
    """Print the outcome of a mission; out: the folder with its results. The exit status."""
    if flown.result is not None and as_json:
        print(json.dumps(flown.result))
    elif flown.result is not None:
        print_ended(flown, out)
    return 0


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
