"""Makes the page and the video of a recorded run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.page import Section, write_report
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.video import write_video

PAGE, MOVIE = "report.html", "bev.mp4"


def make_report(
    run: RunReader,
    out: Path,
    *,
    agent: str | None = None,
    video: bool = True,
    mission: Section | None = None,
) -> list[Path]:
    """Write report.html and, if frames were recorded, bev.mp4; returns what was written.

    mission: a further section, which shows the whole mission (view/web/report.py makes it).
    """
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
        _write(run, page := out / PAGE, movie, shown, mission)
        unfinished.pop_all()
    return [page, *([movie] if movie else [])]


def _write(run: RunReader, page: Path, movie: Path | None, shown: str, mission: Section | None) -> None:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("video and report", total=(len(run.frames) if movie else 0) + 3)
        if movie is not None:
            write_video(run, movie, shown, lambda: bar.advance(task))
        write_report(run, page, movie, lambda: bar.advance(task), mission)
