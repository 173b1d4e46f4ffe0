"""Speed of the shipped model on this machine, into docs/performance.md; continues an earlier run.

python -m benchmarks.performance [--only SECTION] [--quick] [--again] [--model models/nano]

Figures of sections that are not measured stay on the page, each with the machine that it comes from.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError, status_of
from benchmarks.page import between, places
from benchmarks.performance import frame, missions, node, replay
from benchmarks.performance.section import Plan, Section, section_text
from benchmarks.store import Store, read_json
from rsdfm_ros import __version__
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.provenance import commit_of, machine, model_identity
from rsdfm_ros.shipped import SHIPPED_MODEL, shipped

PAGE = Path("docs/performance.md")
OUT = Path("out/bench/performance")
SECTIONS: tuple[Section, ...] = (frame.SECTION, node.SECTION, replay.SECTION, missions.FLEET, missions.DEMO)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [s.name for s in SECTIONS]
    parser.add_argument("--only", action="append", choices=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument(
        "--model", default=SHIPPED_MODEL, help="model folder, or random:CONFIGURATION (default %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="as little as possible: for a trial, not for figures"
    )
    parser.add_argument("--again", action="store_true", help="measure anew what was measured already")
    parser.add_argument("--out", type=Path, help=f"folder of the results (default {OUT}, {OUT}-quick)")
    parser.add_argument(
        "--page", type=Path, help=f"page to write to (default {PAGE}; with --quick a copy in --out)"
    )
    return parser.parse_args(argv)


def common(args: argparse.Namespace) -> dict[str, Any]:
    """What all results of a run have in common."""
    folder = shipped(args.model)
    return {
        "model": args.model,
        "weights_sha256": model_identity(folder)["weights_sha256"],
        "version": __version__,
        "commit": commit_of(Path(__file__).resolve().parents[2]),
        "machine": machine(),
        "quick": args.quick,
    }


def opened(path: Path, about: Mapping[str, Any], *, again: bool) -> Store:
    """The results of a section so far; none of another machine, model or version."""
    if path.exists() and (again or read_json(path)["common"] != dict(about)):
        print(f"  {path} is measured anew", file=sys.stderr)
        path.unlink()
    return Store(path, about)


def write_page(page: Path, template: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the results by section into the page; sections without results keep their text."""
    text = template.read_text()
    unknown = set(places(text)) ^ {s.name for s in SECTIONS}
    if unknown:
        raise BenchError(f"{template} and the sections differ in {', '.join(sorted(unknown))}")
    for section in SECTIONS:
        if section.name in results:
            shown = section_text(section, results[section.name], page.parent / "images", page)
            text = between(text, section.name, shown)
    write_atomically(page, text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, then write the page; returns the exit status."""
    args = parse(argv)
    out = args.out or (OUT.with_name(OUT.name + "-quick") if args.quick else OUT)
    page = args.page or (out / PAGE.name if args.quick else PAGE)
    return status_of(lambda: _measure(args, out, page), out)


def _measure(args: argparse.Namespace, out: Path, page: Path) -> int:
    plan = Plan(str(args.model), args.quick, out)
    failed: list[str] = []
    results: dict[str, Mapping[str, Any]] = {}
    out.mkdir(parents=True, exist_ok=True)
    about = common(args)
    for section in SECTIONS:
        if args.only is not None and section.name not in args.only:
            continue
        start = time.monotonic()
        print(f"{section.title} ({section.name})", file=sys.stderr)
        store = opened(out / f"{section.name}.json", about, again=args.again)
        try:
            section.run(plan, store)
        except RsdfmError as error:
            print(f"error: {section.name}: {error}", file=sys.stderr)
            failed.append(section.name)
            continue
        results[section.name] = {"common": store.common, "units": store.units}
        write_page(page, page if page.is_file() else PAGE, results)
        print(f"  {time.monotonic() - start:.0f} s", file=sys.stderr)
    print(f"{page} written from {out}" if results else "nothing was measured", file=sys.stderr)
    return 2 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
