"""Make a page of images, tables and plots, and a video, from the folder of a recorded run."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.page import write_report
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.video import write_video
from rsdfm_ros.outputs import check_new_file, check_output_folder

PAGE, MOVIE = "report.html", "bev.mp4"


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


def make_report(run: RunReader, out: Path, *, agent: str | None = None, video: bool = True) -> list[Path]:
    """Write report.html and, if frames were recorded, bev.mp4; returns what was written."""
    if not run.agents:
        raise RsdfmError(f"{run.folder / 'result.json'} names no UAVs in protocol.agents")
    if agent is not None and agent not in run.agents:
        raise RsdfmError(f"{agent} took no part in this run: expected one of {', '.join(run.agents)}")
    shown = agent or run.agents[0]
    out.mkdir(parents=True, exist_ok=True)
    movie = out / MOVIE if video and run.frames else None
    with contextlib.ExitStack() as unfinished:
        if movie is not None and not movie.exists():
            unfinished.callback(
                movie.unlink, missing_ok=True
            )  # a video without its page would block the next report
        _write(run, page := out / PAGE, movie, shown)
        unfinished.pop_all()
    return [page, *([movie] if movie else [])]


def _write(run: RunReader, page: Path, movie: Path | None, shown: str) -> None:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("video and report", total=(len(run.frames) if movie else 0) + 3)
        if movie is not None:
            write_video(run, movie, shown, lambda: bar.advance(task))
        write_report(run, page, movie, lambda: bar.advance(task))
