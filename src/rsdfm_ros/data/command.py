"""Check data sets, describe the conventions of their tables, convert and complete them: `rsdfm data WHAT`.

The subcommand `layout`, which needs the simulator, is in `sim/dataset/layout_command.py`; cli.py adds it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rsdfm_ros.boundary import EXIT_PROBLEMS
from rsdfm_ros.data.check import Report, check
from rsdfm_ros.data.convert import command as convert
from rsdfm_ros.data.description import FILE_NAME
from rsdfm_ros.data.presets import PRESETS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_new_file, write_atomically


def add_arguments(
    parser: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Adds the options of `rsdfm data`; returns what further subcommands are added to."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    checking = what.add_parser("check", help="list everything that is missing or inconsistent in a data set")
    checking.add_argument("data", type=Path, metavar="DIR", help="folder, DIR@split, or a description file")
    checking.add_argument(
        "--images", action="store_true", help="decode every image, not only look for its file"
    )
    checking.add_argument("--json", action="store_true", help="print the report as JSON")
    describing = what.add_parser(
        "describe", help="print or keep the description of a data set, to be adapted"
    )
    describing.add_argument("data", type=Path, nargs="?", metavar="DIR", help=f"write {FILE_NAME} there")
    describing.add_argument("--preset", choices=sorted(PRESETS), required=True, help="preset to start from")
    describing.add_argument("--force", action="store_true", help=f"replace a {FILE_NAME} that is there")
    converting = what.add_parser(
        "convert",
        help="make a data set of one whose layout cannot be read in place: AirV2X, video with poses",
    )
    convert.add_arguments(converting)
    return what


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm data`; 1 if a check found something that forbids using the set."""
    if args.what == "convert":
        return convert.run(args)
    if args.what == "describe":
        return _describe(args)
    report = check(args.data, decode=args.images)
    if args.json:
        problems = [asdict(problem) for problem in report.problems]
        print(json.dumps({"path": report.path, "facts": report.facts, "problems": problems}))
    else:
        _print(report)
    return EXIT_PROBLEMS if report.grave else 0


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
