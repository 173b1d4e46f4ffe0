"""Simulates missions of several UAVs as a data set in the nuScenes schema; an interrupted one can be continued."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rsdfm_ros.data.nuscenes.merge import merge
from rsdfm_ros.outputs import locked_folder
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.dataset.render import (
    Parameters,
    WorldFactory,
    remember_parameters,
    remove_leftovers,
    render,
    simulated_world,
)
from rsdfm_ros.sim.record import to_record
from rsdfm_ros.words import counted


@dataclass(frozen=True)
class Simulated:
    """Progress of a simulation: scenes rendered by it, scenes that existed before, frames written by it."""

    rendered: int = 0
    already_there: int = 0
    frames: int = 0


def simulate_dataset(
    config: SimConfig,
    out: Path,
    *,
    seed: int,
    scenes: int,
    uavs: int,
    frames: int,
    depth: bool = False,
    jobs: int | None = None,
    make_world: WorldFactory | None = None,
    progress: Callable[[Simulated], None] = lambda done: None,
) -> Simulated:
    """Simulates the scenes of seeds `seed` … `seed` + `scenes` − 1 that `out` does not hold yet.

    depth: store depth, too · jobs: processes (default: one per core) · make_world: other worlds than the simulator's,
    which then do not depend on `config` · progress: is called after every frame and scene.
    Raises: RsdfmError for whatever the user can act on, and KeyboardInterrupt, with what was saved, after Ctrl-C.
    """
    parameters = Parameters(seed, uavs, frames, depth, to_record(config))
    make_world = make_world or partial(simulated_world, camera=parameters.camera, frames=frames)
    done = Simulated()
    try:
        with locked_folder(out):
            remember_parameters(out, parameters)
            remove_leftovers(out)
            with contextlib.closing(
                render(out, parameters, scenes, jobs or available_cores(), make_world)
            ) as events:
                for event in events:
                    done = replace(
                        done,
                        rendered=done.rendered + (event.event == "done"),
                        already_there=done.already_there + (event.event == "present"),
                        frames=done.frames + (event.event == "frame"),
                    )
                    progress(done)
            merge(out, parameters={"seed": seed, "uavs": uavs, "frames": frames})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done.already_there + done.rendered} of {scenes} scenes are saved in {out}; "
            "the same command goes on from there"
        ) from None
    return done


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def progress_bar(scenes: int, frames: int) -> Generator[Callable[[Simulated], None], None, None]:
    """A progress bar on standard error for :func:`simulate_dataset`; yields what to give it as `progress`."""
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} · scenes {task.fields[scenes]} · left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("frames", total=scenes * frames, scenes=f"0/{scenes}", rate="")

        def show(done: Simulated) -> None:
            elapsed = max(bar.tasks[0].elapsed or 0.0, 1e-3)
            bar.update(
                task,
                total=(scenes - done.already_there) * frames,
                completed=done.frames,
                scenes=f"{done.already_there + done.rendered}/{scenes}",
                rate=f"{done.frames / elapsed:.2f}/s",
            )

        yield show


def say_simulated(out: Path, done: Simulated, *, scenes: int, frames: int, uavs: int) -> None:
    """Says on standard error what a data set holds now."""
    Console(stderr=True).print(
        f"{out}: {counted(scenes, 'scene')} × {counted(frames, 'frame')} × {counted(uavs, 'UAV')} "
        f"({done.rendered} new)"
    )
