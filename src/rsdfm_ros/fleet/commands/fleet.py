"""Run a fleet: one process per UAV, the world and the evaluator, over DDS."""

from __future__ import annotations

import argparse
import sys

from rsdfm_ros.fleet import run_folder
from rsdfm_ros.fleet.checks import check_apart, check_fleet, check_replay
from rsdfm_ros.fleet.commands.running import add_output_arguments, print_result, run_with_output
from rsdfm_ros.fleet.companions import companions
from rsdfm_ros.fleet.description.options import LISTS, SETTINGS, SWITCHES, choices, options_from, sentence
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.view.web.options import address_of
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
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status."""
    options = options_from({name: getattr(args, name) for name in (*SETTINGS, *LISTS, *SWITCHES)})
    fleet = options.load(args.description)
    check_fleet(fleet, options)
    check_replay(fleet)
    out = run_folder.chosen_path(args)
    check_apart(fleet, out)
    address = address_of(args)
    with claim_domain(fleet, out) as claim, run_folder.folder_of(args) as folder:
        print(claim.sentence, file=sys.stderr if args.json else sys.stdout, flush=True)
        fleet, more, notes = companions(claim.fleet, options, folder.work)
        if not args.json:
            print(
                f"{counted(fleet.uavs, 'UAV')}, model {fleet.model}; logs and results in {folder.work}. "
                "Ctrl-C ends the fleet."
            )
            print("\n".join(notes), end="\n" if notes else "", flush=True)
        result = run_with_output(fleet, folder, args, address, more)
    return print_result(result, out, as_json=args.json)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
