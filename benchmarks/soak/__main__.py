"""A fleet of real processes over real DDS that is killed, stopped, restarted, disturbed and attacked for a while.

python -m benchmarks.soak [--minutes 10] [--seed 1] [--json out/soak/result.json]
python -m benchmarks.soak --lifecycle 200 [--json out/soak/lifecycle.json]

Every UAV takes images at a fixed rate and hears the others over fault_injector_node; the link of the last one belongs
to an attacker. Disturbances are drawn from the seed: SIGKILL, SIGSTOP and SIGCONT, SIGINT and a new start, other
strengths of the radio, other attacks. Bars: resident memory of no process grows by 1 MB/h or more after its warm-up (a
short run judges by the lower limit of the interval), outputs come within 3 s once a process takes images again, no
process is stuck, crashes or stays behind, no error but typed refusals. Status 1 if one is missed, 130 after Ctrl-C,
which keeps what was measured.

With --lifecycle every node is configured, activated, deactivated and cleaned up so often, in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.soak import lifecycle
from benchmarks.soak.campaign import Campaign, Seen
from benchmarks.soak.plan import events
from benchmarks.soak.processes import fleet_of, specifications
from benchmarks.soak.report import result_of, show
from benchmarks.soak.world import World
from rsdfm_ros.boundary import EXIT_INTERRUPTED, guarded
from rsdfm_ros.evaluation.speed.scene import Scene, render
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import environment_of
from rsdfm_ros.outputs import check_output_file, write_json
from rsdfm_ros.provenance import provenance
from rsdfm_ros.shipped import SHIPPED_MODEL

OUT = Path("out/soak")
MISSED_STATUS = 1
FILE_WIDTH = 120
"""Columns of tables that go to a file or a pipe."""


def soak(args: argparse.Namespace, scene: Scene, console: Console) -> tuple[dict[str, Any], bool]:
    """The result, and whether the run was not interrupted."""
    seconds, seen, complete = 60.0 * args.minutes, Seen(), False
    fleet, mark = fleet_of(str(args.model), args.uavs), uuid.uuid4().hex
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(claim_domain(fleet, args.json.parent)).fleet
        os.environ.update(environment_of(fleet))  # cameras send as those of a fleet do
        world = World(scene, fleet.agents, fleet.network.domain)
        stack.callback(world.close)
        supervisor = stack.enter_context(Supervisor(args.json.parent / "log", seen.on_line))
        specs = specifications(fleet, args.seed, mark)
        plan = events(args.seed, fleet.agents, args.gap)
        campaign = Campaign(specs, supervisor, world, plan, seen, args.rate)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("starting", total=seconds)
                campaign.begin()

                def progress(now: Seen) -> None:
                    words = f"{sum(now.events.values())} disturbances, {sum(world.heard.values())} answers"
                    bar.update(task, completed=now.disturbed_s, description=words)

                campaign.disturb(seconds, progress)
            complete = True
        except KeyboardInterrupt:
            console.print("interrupted: ending the fleet")
        finally:
            campaign.close(mark)
    return result_of(seen, seconds, complete=complete), complete


def rounds(args: argparse.Namespace, scene: Scene, console: Console) -> tuple[dict[str, Any], bool]:
    """The result of the lifecycle rounds, and whether they were not interrupted."""
    found: dict[str, dict[str, Any]] = {}
    fleet, complete = fleet_of(str(args.model), 1), False
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(claim_domain(fleet, args.json.parent)).fleet
        environment = environment_of(fleet)
        os.environ.update(environment)
        world = World(scene, fleet.agents, fleet.network.domain)
        stack.callback(world.close)
        supervisor = stack.enter_context(Supervisor(args.json.parent / "log"))
        chosen = lifecycle.cases(str(args.model))
        bar = stack.enter_context(Progress(console=console))
        task = bar.add_task("rounds", total=args.lifecycle * len(chosen))

        def progress(name: str) -> None:
            bar.update(task, advance=1, description=name)

        try:
            for name, figures in lifecycle.measure(
                chosen, args.lifecycle, world, supervisor, environment, progress
            ):
                found[name] = figures
            complete = True
        except KeyboardInterrupt:
            console.print("interrupted: what was measured is kept")
    return lifecycle.result_of(found, complete=complete), complete


def run() -> int:
    """Measure, print, write; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length (default %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the disturbances (default %(default)s)")
    parser.add_argument("--uavs", type=int, default=4, help="UAVs (default %(default)s)")
    parser.add_argument("--rate", type=float, default=2.0, help="images per second (default %(default)g)")
    parser.add_argument(
        "--gap", type=float, default=10.0, help="mean time between two disturbances, s (default %(default)g)"
    )
    parser.add_argument(
        "--model", default=SHIPPED_MODEL, help="model folder, or random:CONFIGURATION (default %(default)s)"
    )
    parser.add_argument("--lifecycle", type=int, metavar="ROUNDS", help="lifecycle rounds per node instead")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help=f"result (default {OUT}/….json), logs beside it"
    )
    args = parser.parse_args()
    if not (0 < args.minutes <= 10_080 and 2 <= args.uavs <= 8 and 0 < args.rate <= 30 and args.gap >= 0.5):
        parser.error(
            "expected --minutes up to a week, --uavs 2 to 8, --rate up to 30 Hz, --gap from 0.5 s on"
        )
    if args.lifecycle is not None and args.lifecycle < 3:
        parser.error("expected at least 3 rounds")
    name = "result.json" if args.lifecycle is None else "lifecycle.json"
    args.json = (args.json or OUT / name).absolute()
    check_output_file("--json", args.json)
    torch.set_num_threads(1)
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    scene = render(args.uavs if args.lifecycle is None else 1)
    if args.lifecycle is None:
        result, complete = soak(args, scene, console)
        show(result, console)
    else:
        result, complete = rounds(args, scene, console)
        lifecycle.show(result, console)
    about = {"seed": args.seed, "uavs": args.uavs, "rate_hz": args.rate, "gap_s": args.gap}
    write_json(args.json, {**about, **result, "provenance": provenance(seed=args.seed, model=args.model)})
    console.print(f"result in {args.json}")
    return EXIT_INTERRUPTED if not complete else MISSED_STATUS if result["missed"] else 0


if __name__ == "__main__":
    raise SystemExit(guarded(run))
