"""Make a data set in the nuScenes schema of one whose layout cannot be read in place: `rsdfm data convert WHAT`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from rsdfm_ros.data.convert import airv2x, video
from rsdfm_ros.data.convert.poses import read_poses
from rsdfm_ros.data.description import FILE_NAME
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.nuscenes import SceneWriter, merge
from rsdfm_ros.data.nuscenes.images import is_intrinsic
from rsdfm_ros.data.nuscenes.schema import SIDE_FILE, VERSION
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.options import require_range
from rsdfm_ros.outputs import check_output_folder, output_folder
from rsdfm_ros.words import counted

POSES = ("camera-to-world", "world-to-camera")
OWNED = (VERSION, "maps", "samples", "scenes", FILE_NAME)
"""What a conversion writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm data convert`."""
    what = parser.add_subparsers(dest="layout", required=True, metavar="WHAT")
    flying = what.add_parser("airv2x", help="AirV2X as published, whose metadata are pickles")
    flying.add_argument("data", type=Path, metavar="DIR", help="folder of sequences, or one sequence")
    flying.add_argument(
        "--unpickle",
        action="store_true",
        help="read the pickles, in a process of its own that accepts nothing but containers, numbers and arrays",
    )
    flying.add_argument("--ground", action="store_true", help="take cars and roadside units as agents, too")
    flying.add_argument(
        "--rate",
        type=float,
        default=airv2x.RATE_HZ,
        metavar="HZ",
        help="instants per second (default: %(default)g)",
    )
    filming = what.add_parser("video", help="images of UAVs with a table of camera poses, without boxes")
    filming.add_argument(
        "--uav",
        nargs=2,
        type=Path,
        action="append",
        required=True,
        metavar=("IMAGES", "POSES"),
        help="folder of images and table of poses of a UAV; once for each",
    )
    filming.add_argument(
        "--intrinsics",
        nargs=4,
        type=float,
        metavar=("FX", "FY", "CX", "CY"),
        help="in pixels (default: of the table)",
    )
    filming.add_argument(
        "--rate", type=float, metavar="HZ", help="images per second, where nothing says their times"
    )
    filming.add_argument(
        "--poses", choices=POSES, default=POSES[0], help="what the poses map to what (default: %(default)s)"
    )
    filming.add_argument(
        "--axes",
        choices=("optical", "forward"),
        default="optical",
        help="axis that a camera looks along: z, or x",
    )
    filming.add_argument(
        "--ground-height",
        type=float,
        default=0.0,
        metavar="M",
        help="height of the ground in the world of the poses",
    )
    filming.add_argument(
        "--scene", default="video", metavar="NAME", help="name of the scene (default: %(default)s)"
    )
    for converter in (flying, filming):
        converter.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder of the new data set"
        )
        converter.add_argument("--force", action="store_true", help="replace a data set that is in --out")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm data convert`."""
    return _airv2x(args) if args.layout == "airv2x" else _video(args)


def _airv2x(args: argparse.Namespace) -> int:
    if not args.unpickle:
        raise RsdfmError(
            f"{airv2x.PICKLES}: nothing was read. If you trust where {args.data} comes from, add --unpickle: they are "
            "then read by a process of its own that accepts nothing but plain containers, numbers and arrays"
        )
    if not args.data.is_dir():
        raise DatasetError(args.data, "is no folder", "give a folder of sequences of AirV2X")
    require_range("--rate", args.rate, 0.1, 1000, "Hz")
    check_output_folder("--out", args.out)
    found = airv2x.sequences(args.data)
    if not found:
        raise DatasetError(
            args.data, "holds no sequence (timestamp_NNNNNN/agent_NNNNNN)", "give a folder of AirV2X"
        )
    plans = [airv2x.plan(path, ground=args.ground, rate_hz=args.rate) for path in found]
    ground = sorted({name for plan in plans for name in plan.ground})
    with output_folder(args.out, marker=f"{VERSION}/{SIDE_FILE}", owned=OWNED, force=args.force) as work:
        for plan in plans:
            frames = _shown(airv2x.frames(plan, args.rate), len(plan.steps), plan.name)
            _write(SceneWriter(work, plan.name), frames)
        # CARLA's towns lie at different heights: the ground comes from the vehicles.
        text = "preset: nuscenes\nground_height_m: boxes\norigin: cameras\n"
        (work / FILE_NAME).write_text(text + (f"ground_agents: [{', '.join(ground)}]\n" if ground else ""))
        merge(work)
    total = sum(len(plan.steps) for plan in plans)
    print(f"{counted(len(plans), 'scene')} with {counted(total, 'frame')} in {args.out}", file=sys.stderr)
    return 0


def _video(args: argparse.Namespace) -> int:
    require_range("--rate", args.rate, 0.1, 1000, "Hz")
    require_range("--ground-height", args.ground_height, -1e5, 1e5, "m")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", args.scene):
        raise RsdfmError(f"--scene {args.scene!r}: expected letters, digits, _, . and -")
    K = None if args.intrinsics is None else _camera_matrix(*args.intrinsics)
    check_output_folder("--out", args.out)
    flights = [
        video.flight(
            images,
            read_poses(table, world_to_camera=args.poses == POSES[1]),
            K=K,
            rate_hz=args.rate,
            forward=args.axes == "forward",
        )
        for images, table in args.uav
    ]
    when = video.instants(flights)
    if not when:
        raise RsdfmError(
            "the UAVs have no images at the same time: check the times of the tables, or give --rate"
        )
    with output_folder(args.out, marker=f"{VERSION}/{SIDE_FILE}", owned=OWNED, force=args.force) as work:
        writer = SceneWriter(work, args.scene, about={"truth": "none"})
        _write(writer, _shown(video.frames(flights, when), len(when), args.scene))
        text = f"preset: nuscenes\nground_height_m: {args.ground_height:g}\norigin: cameras\n"
        (work / FILE_NAME).write_text(text)
        merge(work)
    made = f"{counted(len(when), 'frame')} of {counted(len(flights), 'UAV')}"
    print(f"{made}, without truth, in {args.out}", file=sys.stderr)
    return 0


def _camera_matrix(fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float64]:
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    if not is_intrinsic(K):
        raise RsdfmError(
            f"--intrinsics {fx:g} {fy:g} {cx:g} {cy:g}: expected focal lengths above 0 and a point, in pixels"
        )
    return K


def _write(writer: SceneWriter, frames: Iterable[WorldFrame]) -> None:
    for frame in frames:
        writer.add(frame)
    writer.finish()


def _shown(frames: Iterable[WorldFrame], total: int, name: str) -> Iterable[WorldFrame]:
    console = Console(stderr=True)
    return track(frames, name, total=total, console=console, transient=True, disable=not console.is_terminal)
