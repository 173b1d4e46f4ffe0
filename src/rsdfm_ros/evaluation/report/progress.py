"""The progress bar of an evaluation, on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rsdfm_ros.evaluation.protocol import scored_frames
from rsdfm_ros.evaluation.scene_source import SceneSource


def frame_bar() -> Progress:
    """A bar that counts frames."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("· left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


@contextlib.contextmanager
def frames_shown(scenes: Sequence[SceneSource], title: str = "frames") -> Iterator[Callable[[], None]]:
    """Show a bar over the frames of an evaluation; yields what is called after each of them."""
    with frame_bar() as bar:
        task = bar.add_task(title, total=sum(max(scored_frames(s.frames).stop, 0) for s in scenes))
        yield lambda: bar.advance(task)
