"""Fly four simulated UAVs over real DDS with a live table, then write a report, a video and a bag."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.next_steps import steps_after_demo
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.fleet import run_folder
from rsdfm_ros.fleet.checks import check_fleet
from rsdfm_ros.fleet.commands import flight_options
from rsdfm_ros.fleet.companions import web_page
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.options import checked_setting
from rsdfm_ros.fleet.description.reading import load_fleet, parse_override
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.fleet.live_table import live_table, status_text
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.fleet.outcome import print_outcome
from rsdfm_ros.view.web.options import SAYS, add_web_arguments, address_of
from rsdfm_ros.view.web.report import make_report
from rsdfm_ros.words import counted, path_word, program


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
    flight_options.add_arguments(parser)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a setting")
    add_web_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm demo`."""
    overrides = flight_options.flight_overrides(args, dict(parse_override(text) for text in args.set))
    if args.frames is not None:
        overrides["world.frames"] = checked_setting("--frames", "world.frames", args.frames)
    overrides |= {"model": args.model} if args.model is not None else {}
    fleet = load_fleet(args.fleet, overrides)
    if not fleet.evaluator.enabled or fleet.world.kind != "simulation":
        raise RsdfmError(f"{args.fleet}: the demo needs world.kind `simulation` and evaluator.enabled")
    check_fleet(fleet)
    address = address_of(args)
    console = Console(stderr=args.json)
    chosen = run_folder.chosen_path(args)
    with claim_domain(fleet, chosen) as claim, run_folder.folder_of(args) as folder:
        fleet, out = claim.fleet, folder.work
        console.print(claim.sentence, highlight=False)
        console.print(
            f"{counted(fleet.uavs, 'UAV')} over DDS, model {fleet.model}, {counted(fleet.world.frames, 'frame')}; "
            f"logs in {out / 'logs'}. Ctrl-C ends it.",
            soft_wrap=True,
        )
        beside = []
        if address is not None:
            console.print(SAYS.format(address.url), style="bold", highlight=False, soft_wrap=True)
            beside.append(web_page(fleet, address, out))
        with watch(console, fleet) as on_status:
            flown = run_fleet(fleet, out_dir=folder, on_status=on_status, companions=beside, claimed=True)
        recorded = RunReader(out, place=chosen)
        console.print(f"flown in {flown.seconds:.0f} s; making the report …")
        try:
            made = make_report(recorded, out)
        except KeyboardInterrupt:
            again = f"{program()} report {path_word(chosen)}"
            raise KeyboardInterrupt(f"the report was not finished, `{again}` makes it") from None
        made += [p for p in (out / "result.json", out / "bag") if p.exists()]
    made = [folder.final(path) for path in made]
    if args.json:
        summary = {"seconds": flown.seconds, "results": recorded.result["results"]}
        summary |= {"provenance": recorded.result["provenance"], "files": [str(p) for p in made]}
        print(json.dumps(summary))
        return 0
    print_outcome(recorded.result, console, made, steps_after_demo(chosen, fleet.world.seed))
    return 0


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
