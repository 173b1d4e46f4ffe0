"""Inspect, evaluate, record and export bags (rosbag2: MCAP and sqlite3)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import TopicMap, default_map
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.engine import add_engine_argument
from rsdfm_ros.evaluation.report.progress import frame_bar
from rsdfm_ros.fleet.commands import bag_export, bag_record
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.outputs import check_output_file
from rsdfm_ros.words import counted

FILE_WIDTH = 150
"""Columns of tables that go to a file or a pipe."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm bag`."""
    commands = parser.add_subparsers(dest="bag_command", metavar="WHAT", required=True)
    info = commands.add_parser("info", help="topics, rates, gaps, what an evaluation would miss, damage")
    info.add_argument("bag", type=Path, help="folder of the bag, or one of its files")
    _map_argument(info)
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run_bag=_info)
    evaluate = commands.add_parser("evaluate", help="compute a recorded flight anew and score it")
    evaluate.add_argument("bag", type=Path, help="folder of the bag, or one of its files")
    _map_argument(evaluate)
    evaluate.add_argument(
        "--model", default=FleetDescription.model, help="model folder (default %(default)s)"
    )
    evaluate.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N (default %(default)s)")
    add_engine_argument(evaluate)
    evaluate.add_argument(
        "--features",
        choices=("computed", "recorded"),
        default="computed",
        help="peers' features: computed from their images, or the packets that were recorded, with what the radio "
        "lost (default %(default)s)",
    )
    evaluate.add_argument(
        "--budget-bytes", type=int, default=DEFAULTS.budget_bytes, help="as of a UAV (default %(default)s)"
    )
    evaluate.add_argument(
        "--max-age",
        type=float,
        default=DEFAULTS.max_age_s,
        metavar="S",
        help="oldest features fused, s (default %(default)s)",
    )
    evaluate.add_argument(
        "--plain",
        action="store_true",
        help="fuse maps without preparation: no boxes beside features, no latency compensation, no pose alignment, "
        "no consistency check",
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write protocol and results there")
    evaluate.set_defaults(run_bag=_evaluate)
    record = commands.add_parser("record", help="record the topics of a fleet that flies now")
    bag_record.add_arguments(record)
    record.set_defaults(run_bag=bag_record.run)
    export = commands.add_parser(
        "export", help="a data set or a simulated mission as a bag, or a bag as a data set"
    )
    bag_export.add_arguments(export)
    export.set_defaults(run_bag=bag_export.run)


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm bag`."""
    return int(args.run_bag(args))


def _map_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--map",
        type=Path,
        metavar="YAML",
        help="topic map for bags with other topics, e.g. config/bags/foreign.yaml",
    )


def chosen_map(path: Path | None) -> TopicMap:
    """The map of that file, or that of our own topics."""
    return default_map() if path is None else load_map(path)


def _info(args: argparse.Namespace) -> int:
    from rsdfm_ros.data.bags.info import bag_info
    from rsdfm_ros.evaluation.bags.report import print_info

    topic_map = chosen_map(args.map)
    with open_bag(args.bag) as bag:
        info = bag_info(bag, topic_map)
    if args.json:
        print(json.dumps(info, indent=2, allow_nan=False))
    else:
        console = Console()
        print_info(info, console if console.is_terminal else Console(width=FILE_WIDTH))
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    if args.budget_bytes <= 0 or not 0 <= args.max_age <= 60:
        raise RsdfmError("expected a positive --budget-bytes and a --max-age of 0 to 60 s")
    if args.json is not None:
        check_output_file("--json", args.json)
    topic_map = chosen_map(args.map)
    # Imported here: torch takes a second, and `bag info` does not need it.
    from rsdfm_ros.evaluation.bags.answers import EngineOptions
    from rsdfm_ros.evaluation.bags.evaluate import evaluate_bag, load_perception
    from rsdfm_ros.evaluation.bags.report import print_evaluation
    from rsdfm_ros.model.engine.device import choose_device
    from rsdfm_ros.outputs import write_json
    from rsdfm_ros.provenance import provenance

    options = EngineOptions(
        budget_bytes=args.budget_bytes,
        max_age_s=args.max_age,
        ground_height_m=topic_map.ground_height_m,
        recorded_features=args.features == "recorded",
        send_boxes="never" if args.plain else "auto",
        move_peers=not args.plain,
        correct_poses=not args.plain,
        doubt_peers=not args.plain,
    )
    start_s = time.monotonic()
    stamps: list[int] = []
    perception = load_perception(args.model, choose_device(args.device), args.engine)
    with open_bag(args.bag) as bag, frame_bar() as bar:
        task = bar.add_task("instants", total=None)

        def on_instant(instant: Any, sensors: Any) -> None:
            if instant.images:
                stamps.append(instant.stamp_ns)
                images = max(sensors.expected.values())
                bar.update(task, completed=len(stamps), total=max(images, len(stamps)))

        try:
            result = evaluate_bag(bag, topic_map, perception, options, on_instant)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{counted(len(stamps), 'instant')} evaluated, nothing was written"
            ) from None
    took_s = time.monotonic() - start_s
    print_evaluation(result, Console())
    if stamps:
        flown_s = (max(stamps) - min(stamps)) / 1e9
        print(f"{flown_s:.1f} s of flight in {took_s:.1f} s", file=sys.stderr)
    if args.json is not None:
        origin = provenance(model=args.model, fingerprint=perception.fingerprint)
        write_json(args.json, {**result, "provenance": origin})
        print(f"results written to {args.json}", file=sys.stderr)
    return 0
