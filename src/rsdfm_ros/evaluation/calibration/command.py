"""Calibrate cameras from a recorded flight: the time of their images, the angles of their mounting."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import TopicMap, default_map


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm calibrate`."""
    commands = parser.add_subparsers(dest="calibrate_command", metavar="WHAT", required=True)
    time = commands.add_parser("time", help="by how much stamps of images are off, from their motion")
    _bag_arguments(time)
    time.set_defaults(run_calibrate=_time)


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm calibrate`."""
    return int(args.run_calibrate(args))


def _bag_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="folder of the bag, or one of its files")
    parser.add_argument(
        "--map",
        type=Path,
        metavar="YAML",
        help="topic map for bags with other topics, e.g. config/bags/foreign.yaml",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _chosen_map(path: Path | None) -> TopicMap:
    return default_map() if path is None else load_map(path)


def _time(args: argparse.Namespace) -> int:
    from rsdfm_ros.evaluation.calibration.time_of_bag import camera_times, times_as_dict

    console = Console()
    with open_bag(args.bag) as bag, console.status("reading images") as status:
        times, sensors = camera_times(
            bag, _chosen_map(args.map), lambda number: status.update(f"reading images: {number}")
        )
    if args.json:
        print(json.dumps(times_as_dict(times), indent=2, allow_nan=False))
        return 0 if all(t.image_time_offset_s is not None for t in times) else 1
    table = Table("UAV", "camera", "offset (ms)", "± (ms)", "pairs", "error (px)", "image_time_offset_s")
    for one in times:
        found, value = one.found, one.image_time_offset_s
        table.add_row(
            one.uav,
            one.camera,
            *(
                (
                    f"{1e3 * found.offset_s:+.1f}",
                    f"{1e3 * found.sigma_s:.1f}",
                    str(found.pairs),
                    f"{found.before_px:.2f} → {found.residual_px:.2f}",
                )
                if found is not None
                else ("", "", "", "")
            ),
            one.problem if value is None else f"{value:.4f}",
        )
    console.print(table)
    for (uav, why), number in sorted(sensors.rejects.items()):
        console.print(f"{uav}: {number} left out ({why}): {sensors.reasons[uav, why]}", markup=False)
    return 0 if all(t.image_time_offset_s is not None for t in times) else 1
