"""Add masks of roads and buildings to a simulated data set: `rsdfm data layout DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_output_folder
from rsdfm_ros.sim.dataset.add_layout import add_layout
from rsdfm_ros.words import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `rsdfm data layout`."""
    parser.add_argument("data", type=Path, metavar="DIR", help="folder made by rsdfm simulate")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="leave DIR alone: make a data set there, with links to its images (default: add them in DIR)",
    )
    parser.add_argument("--force", action="store_true", help="replace a data set that is in --out")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm data layout`."""
    if args.out is not None:
        check_output_folder("--out", args.out)
    elif args.force:
        raise RsdfmError("--force is for --out: layouts that a scene in DIR has already are kept")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scenes")
        added = add_layout(
            args.data,
            args.out,
            force=args.force,
            progress=lambda n, total: bar.update(task, completed=n, total=total),
        )
    print(f"{args.out or args.data}: layouts of {counted(added, 'scene')} added", file=sys.stderr)
    return 0
