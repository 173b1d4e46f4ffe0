"""Calibrate cameras from a recorded flight: the time of their images, the angles of their mounting."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TopicMap, default_map
from rsdfm_ros.shipped import SHIPPED_MODEL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm calibrate`."""
    commands = parser.add_subparsers(dest="calibrate_command", metavar="WHAT", required=True)
    time = commands.add_parser("time", help="by how much stamps of images are off, from their motion")
    _bag_arguments(time)
    time.set_defaults(run_calibrate=_time)
    mount = commands.add_parser(
        "mount", help="by which angles cameras are mounted wrongly, from common objects"
    )
    _bag_arguments(mount)
    mount.add_argument("--model", default=SHIPPED_MODEL, help="model folder (default %(default)s)")
    mount.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N (default %(default)s)")
    mount.set_defaults(run_calibrate=_mount)


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
    _print_left_out(console, sensors)
    return 0 if all(t.image_time_offset_s is not None for t in times) else 1


def _mount(args: argparse.Namespace) -> int:
    # Imported here: torch takes a second, and `calibrate time` does not need it.
    from rsdfm_ros.evaluation.bags.evaluate import load_perception
    from rsdfm_ros.evaluation.calibration.mount_of_bag import camera_mounts, mounts_as_dict
    from rsdfm_ros.model.engine.device import choose_device

    topic_map, console = _chosen_map(args.map), Console()
    with open_bag(args.bag) as bag, console.status("reading images") as status:
        perception = load_perception(str(args.model), choose_device(args.device))
        mounts, sensors = camera_mounts(
            bag, topic_map, perception, lambda n: status.update(f"instants with two UAVs: {n}")
        )
    if args.json:
        print(json.dumps(mounts_as_dict(mounts), indent=2, allow_nan=False))
        return 0 if not any(m.problem for m in mounts) else 1
    table = Table(
        "UAV", "camera", "about right (°)", "about down (°)", "about forward (°)", "common objects", ""
    )
    for one in mounts:
        angles = zip(np.rad2deg(one.found.rotation), np.rad2deg(one.found.sigma), strict=True)
        shown = [f"{value:+.2f} ± {sigma:.2f}" for value, sigma in angles]
        table.add_row(one.uav, one.camera, *shown, str(one.found.matches), one.problem)
    console.print(table)
    for one in mounts:
        if not one.problem and one.extrinsics is not None:
            numbers = ", ".join(f"{v:.6f}" for v in one.extrinsics)
            console.print(f"{one.uav}: extrinsics: [{numbers}]", markup=False, soft_wrap=True)
    _print_left_out(console, sensors)
    return 0 if not any(m.problem for m in mounts) else 1


def _print_left_out(console: Console, sensors: Sensors) -> None:
    for (uav, why), number in sorted(sensors.rejects.items()):
        console.print(f"{uav}: {number} left out ({why}): {sensors.reasons[uav, why]}", markup=False)
