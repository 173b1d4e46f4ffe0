"""The folder of a run: its files, its completeness, and its lock.

with run_folder(Path("out/fleet")) as folder:
    run_fleet(fleet, out_dir=folder)
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.parts import NONE
from rsdfm_ros.outputs import is_vacant, output_folder

OWNED = (
    "bag",
    "bev.mp4",
    "bev.part.mp4",
    "fleet.rviz",
    "frames",
    "gazebo",
    "logs",
    "report.html",
    "result.json",
    "result.json.partial",
    "scene.json",
    "status.jsonl",
    "void.json",
    ".under_way",
)
"""Files that a run leaves in its folder, and that the next run replaces."""
_UNDER_WAY = ".under_way"
"""Present from the first process until the mission has ended; holds the kind of its world."""


class _Unfinished(Exception):
    """Leaves the folder of a run whose results are not complete."""


@dataclass(frozen=True)
class RunFolder:
    """path: where the results are at the end · work: where the run writes them, another folder while earlier results
    are to be replaced."""

    path: Path
    work: Path

    def begin(self, world: str) -> None:
        """Note that a mission in a world of this kind is under way."""
        (self.work / _UNDER_WAY).write_text(world)

    def end(self) -> None:
        """Note that the mission has ended as it should."""
        (self.work / _UNDER_WAY).unlink(missing_ok=True)

    def final(self, path: Path) -> Path:
        """Final path of a file of the work folder."""
        return self.path / path.relative_to(self.work)


def add_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare --out and --force; `folder_of` takes them."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for results and logs (default: {default}, where an earlier run is kept as {default}-<its date>)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the finished run in this folder; it stays until the new one is complete",
    )
    parser.set_defaults(default_out=Path(default))


def chosen_path(args: argparse.Namespace) -> Path:
    """Path of the folder that the arguments name."""
    return Path(args.default_out if args.out is None else args.out)


def folder_of(args: argparse.Namespace) -> contextlib.AbstractContextManager[RunFolder]:
    """The folder that the arguments name. Raises: OutputError when it is entered."""
    return run_folder(chosen_path(args), force=args.force, keep_earlier=args.out is None)


@contextlib.contextmanager
def run_folder(
    path: Path,
    *,
    force: bool = False,
    keep_earlier: bool = False,
    option: str = "--out",
    force_option: str = "--force",
) -> Iterator[RunFolder]:
    """The locked folder of a run (outputs.output_folder); an interruption names the remaining files.

    Raises: OutputError before anything is changed; KeyboardInterrupt with a sentence.
    """
    stopped = None
    with output_folder(
        path,
        marker=_finished,
        owned=OWNED,
        force=force,
        keep_earlier=keep_earlier,
        option=option,
        force_option=force_option,
        worth_keeping=_holds_a_flight,
    ) as work:
        try:
            yield RunFolder(path, work)
        except KeyboardInterrupt as interrupt:
            if _finished(work) is None:
                raise KeyboardInterrupt(f"{_said(interrupt)}; {_left_in(work, work)}") from interrupt
            stopped = KeyboardInterrupt(f"{_said(interrupt)}; {_left_in(work, path)}")
    if stopped is not None:
        raise stopped


def held_run_folder(path: Path, *, force: bool, option: str, force_option: str) -> RunFolder:
    """The folder of a run that ends with this process, as that of a launch file does. Raises: OutputError."""
    stack = contextlib.ExitStack()
    folder = stack.enter_context(run_folder(path, force=force, option=option, force_option=force_option))
    atexit.register(_let_go, stack, folder)
    return folder


def _let_go(stack: contextlib.ExitStack, folder: RunFolder) -> None:
    if _world(folder.work) == NONE:
        folder.end()  # a fleet without a simulated world flies until it is stopped
    with contextlib.suppress(_Unfinished), stack:
        if _finished(folder.work) is None:
            raise _Unfinished


def _finished(folder: Path) -> Path | None:
    """The file that shows that a run has finished: its results or, without an evaluator, its recording."""
    if (folder / _UNDER_WAY).exists():
        return None
    marks = (folder / "result.json", folder / "bag" / "metadata.yaml")
    return next((mark for mark in marks if mark.is_file()), None)


def _holds_a_flight(folder: Path) -> bool:
    """Whether an unfinished run has recorded real UAVs: simulations and replays can be repeated, flights cannot."""
    if _world(folder) != NONE:
        return False
    try:
        open_bag(folder / "bag").close()
    except RsdfmError:
        return False
    return True


def _world(folder: Path) -> str:
    """Kind of the world of a mission that is under way, "" if there is none."""
    mark = folder / _UNDER_WAY
    return mark.read_text() if mark.is_file() else ""


def _said(interrupt: KeyboardInterrupt) -> str:
    return str(interrupt) or "the run was stopped"


def _left_in(work: Path, place: Path) -> str:
    if _finished(work) is not None:
        return f"the results of the whole mission are in {place}"
    return "nothing was written" if is_vacant(work) else f"what was written so far is in {place}"
