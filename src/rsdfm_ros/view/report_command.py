"""Make a page of images, tables and plots, and a video, from the folder of a recorded run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rsdfm_ros.evaluation.report.make import MOVIE, PAGE
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.outputs import check_new_file, check_output_folder
from rsdfm_ros.view.web.report import make_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm report`."""
    parser.add_argument("run", type=Path, help="folder of a run, e.g. out/demo")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where report.html and bev.mp4 go (default: the run)"
    )
    parser.add_argument("--agent", help="the UAV whose maps bev.mp4 shows (default: the first)")
    parser.add_argument("--no-video", action="store_true", help="leave out bev.mp4")
    parser.add_argument("--force", action="store_true", help="replace a page and video that are in --out")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm report`."""
    recorded, out = RunReader(args.run), args.out or args.run
    own = out.resolve() == args.run.resolve()  # those of the run itself are made anew at will
    check_output_folder("--out", out)
    for name in (PAGE, MOVIE):
        check_new_file("--out: the file", out / name, force=own or args.force)
    made = make_report(recorded, out, agent=args.agent, video=not args.no_video)
    for path in made:
        print(path)
    return 0
