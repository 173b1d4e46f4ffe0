"""Check data sets, describe the conventions of their tables, add layouts: `rsdfm data check|describe|layout DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from rsdfm_ros.data.check import Report, check
from rsdfm_ros.data.description import FILE_NAME
from rsdfm_ros.data.presets import PRESETS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_new_file, check_output_folder, write_atomically
from rsdfm_ros.sim.dataset.add_layout import add_layout
from rsdfm_ros.words import counted

EXIT_PROBLEMS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm data`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    checking = what.add_parser("check", help="say all that is missing or inconsistent in a data set")
    checking.add_argument("data", type=Path, metavar="DIR", help="folder, DIR@split, or a description file")
    checking.add_argument(
        "--images", action="store_true", help="decode every image, not only look for its file"
    )
    checking.add_argument("--json", action="store_true", help="print the report as JSON")
    describing = what.add_parser(
        "describe", help="print or keep the description of a data set, to be adapted"
    )
    describing.add_argument("data", type=Path, nargs="?", metavar="DIR", help=f"write {FILE_NAME} there")
    describing.add_argument("--preset", choices=sorted(PRESETS), required=True, help="what to start from")
    describing.add_argument("--force", action="store_true", help=f"replace a {FILE_NAME} that is there")
    layout = what.add_parser("layout", help="add masks of roads and buildings to a simulated data set")
    layout.add_argument("data", type=Path, metavar="DIR", help="folder made by rsdfm simulate")
    layout.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="leave DIR alone: make a data set there, with links to its images (default: add them in DIR)",
    )
    layout.add_argument("--force", action="store_true", help="replace a data set that is in --out")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm data`; 1 if a check found something that forbids using the set."""
    if args.what == "describe":
        return _describe(args)
    if args.what == "layout":
        return _layout(args)
    report = check(args.data, decode=args.images)
    if args.json:
        problems = [asdict(problem) for problem in report.problems]
        print(json.dumps({"path": report.path, "facts": report.facts, "problems": problems}))
    else:
        _print(report)
    return EXIT_PROBLEMS if report.grave else 0


def _layout(args: argparse.Namespace) -> int:
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


def _describe(args: argparse.Namespace) -> int:
    text = PRESETS[args.preset].to_yaml()
    if args.data is None:
        print(text, end="")
        return 0
    if not args.data.is_dir():
        raise RsdfmError(f"{args.data} is no folder: expected the one that holds the folders of tables")
    path = args.data / FILE_NAME
    check_new_file("DIR: the file", path, force=args.force)
    write_atomically(path, text)
    print(f"wrote {path}", file=sys.stderr)
    return 0


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for name, value in report.facts.items():
        console.print(f"{name:>22}  {escape(str(value))}")
    for problem in report.problems:
        label = "[bold red]problem[/]" if problem.grave else "[yellow]note[/]"
        console.print(f"{label}  {escape(str(problem))}")
    if not report.grave:
        console.print(f"{escape(report.path)} can be used")
