"""Play a recorded bag through the live nodes: at any rate, or as fast as they answer."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from rsdfm_ros.fleet import run_folder
from rsdfm_ros.fleet.checks import check_apart, check_fleet
from rsdfm_ros.fleet.commands.running import add_output_arguments, print_result, run_with_output
from rsdfm_ros.fleet.description.options import checked_setting
from rsdfm_ros.fleet.description.parts import ReplayDescription
from rsdfm_ros.fleet.description.reading import load_fleet, parse_override
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.fleet.replay import parse_rate, replay_fleet
from rsdfm_ros.view.web.options import address_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm replay`."""
    parser.add_argument("bag", help="folder of the bag, or one of its files")
    parser.add_argument(
        "--fleet",
        default="config/fleet/demo.yaml",
        help="fleet description with model and settings (default: %(default)s); the bag says which UAVs there are",
    )
    parser.add_argument(
        "--map", default="", metavar="YAML", help="topic map for bags with other topics than ours"
    )
    run_folder.add_arguments(parser, "out/replay")
    parser.add_argument(
        "--rate",
        default="max",
        help="recorded seconds per second, e.g. 0.5, 1 or 10; max: the next images come when every UAV has answered, "
        "so that nothing is dropped whatever the machine's speed (default: %(default)s)",
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="leave out so much at the beginning"
    )
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="S", help="play so much (default: all)"
    )
    parser.add_argument(
        "--loop", type=int, default=1, metavar="N", help="play it N times (then nothing is scored)"
    )
    parser.add_argument(
        "--uav",
        action="append",
        default=[],
        metavar="NAME",
        help="run only this UAV of the bag; the packets that the others have sent are played as recorded, which needs "
        "the model that sent them; may be repeated (default: all)",
    )
    parser.add_argument("--model", help="model folder instead of the one that the description names")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override a setting of the fleet"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm replay`."""
    overrides = dict(parse_override(text) for text in args.set)
    if args.model is not None:
        overrides["model"] = args.model
    described = load_fleet(args.fleet, overrides)
    replay = dataclasses.replace(
        ReplayDescription(),
        bag=args.bag,
        topic_map=args.map,
        start_s=checked_setting("--start", "replay.start_s", args.start),
        duration_s=checked_setting("--duration", "replay.duration_s", args.duration),
        loops=checked_setting("--loop", "replay.loops", args.loop),
    )
    fleet, notes = replay_fleet(described, replay, rate=parse_rate(args.rate), uavs=args.uav)
    check_fleet(fleet)
    out = run_folder.chosen_path(args)
    check_apart(fleet, out)
    address = address_of(args)
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    with claim_domain(fleet, out) as claim, run_folder.folder_of(args) as folder:
        fleet = claim.fleet
        print(claim.sentence, file=sys.stderr if args.json else sys.stdout, flush=True)
        if not args.json:
            speed = "in lockstep" if fleet.world.lockstep else f"at rate {fleet.world.real_time_factor:g}"
            print(
                f"{', '.join(fleet.agents)} from {args.bag} {speed}, model {fleet.model}; logs in {folder.work}. "
                "Ctrl-C ends it.",
                flush=True,
            )
        result = run_with_output(fleet, folder, args, address)
    return print_result(result, out, as_json=args.json)
