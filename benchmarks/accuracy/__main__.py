"""Accuracy of the shipped model on everything that docs/benchmarks.md reports, and under the attacks of
docs/reliability.md; continues an earlier run.

python -m benchmarks.accuracy [--only SECTION] [--scenes N] [--quick] [--model models/nano]

Sections may be measured side by side, each with --only and --no-page; --page-only then writes the page.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.bench import QUICK, Bench, Sizes
from benchmarks.accuracy.page import BARS, section_text
from benchmarks.accuracy.section import Section
from benchmarks.accuracy.sections import SECTIONS
from benchmarks.errors import BenchError, status_of
from benchmarks.page import bars_table, between, places
from benchmarks.store import Store, read_json
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.shipped import SHIPPED_MODEL

PAGE = Path("docs/benchmarks.md")
OUT = Path("out/bench/accuracy")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [s.name for s in SECTIONS if not s.shows]
    parser.add_argument("--only", action="append", choices=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument(
        "--model", type=Path, default=Path(SHIPPED_MODEL), help="model folder (default %(default)s)"
    )
    parser.add_argument(
        "--layout-model",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="model folder with a layout head, for the section layout; may be repeated",
    )
    parser.add_argument(
        "--lift-models",
        type=Path,
        nargs=2,
        default=[],
        metavar=("RELATIVE", "ABSOLUTE"),
        help="folders of two models that differ in their lift alone, for the section carrying",
    )
    parser.add_argument(
        "--scenes", type=int, metavar="N", help="at most so many scenes (default: 8, 2 of most sections)"
    )
    parser.add_argument(
        "--sizes",
        default="",
        metavar="NAME=N,…",
        help="other sizes than the defaults, e.g. part_egos=4 (names in benchmarks/accuracy/bench.py)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short scene, some minutes: for a trial, not for figures"
    )
    parser.add_argument("--out", type=Path, help=f"folder of the results (default {OUT}, {OUT}-quick)")
    parser.add_argument(
        "--page", type=Path, help=f"page to write to (default {PAGE}; with --quick a copy in --out)"
    )
    page = parser.add_mutually_exclusive_group()
    page.add_argument(
        "--page-only", action="store_true", help="measure nothing: write the page from what is there"
    )
    page.add_argument("--no-page", action="store_true", help="measure, and leave the page as it is")
    return parser.parse_args(argv)


def write_page(
    page: Path, template: Path, sections: Sequence[Section], out: Path, name: str = PAGE.name
) -> None:
    """Writes what `out` holds for the page `name` into a page: sections without results keep their text, which names
    the weights that it is about. The bars of all sections go where the page has a place for them."""
    text, bars = template.read_text(), []
    unknown = set(places(text)) - {s.name for s in sections} - {BARS}
    if unknown:
        raise BenchError(f"{template} has places for {', '.join(sorted(unknown))}, which no section writes")
    for section in sections:
        path = out / f"{section.source}.json"
        results = read_json(path) if path.exists() else None
        bars += [(section.name, bar) for bar in section.bars(results["units"] if results else {})]
        if section.page == name and results:
            shown = section_text(section, results, page.parent / "images", page)
            text = between(text, section.name, shown)
    write_atomically(page, between(text, BARS, bars_table(bars)) if BARS in places(text) else text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the missing sections, then write the page; returns the exit status."""
    args = parse(argv)
    out = args.out or (OUT.with_name(OUT.name + "-quick") if args.quick else OUT)
    page = args.page or (out / PAGE.name if args.quick else PAGE)
    return status_of(lambda: _run(args, out, page), out)


def _run(args: argparse.Namespace, out: Path, page: Path) -> int:
    if not args.page_only:
        sizes = (QUICK if args.quick else Sizes()).changed(args.sizes)
        sizes = sizes if args.scenes is None else sizes.at_most(args.scenes)
        bench = Bench(args.model, sizes, args.layout_model, args.lift_models)
        for section in SECTIONS:
            if not section.shows and (args.only is None or section.name in args.only):
                measure(bench, section, out)
    if args.no_page:
        return 0
    for name in dict.fromkeys(section.page for section in SECTIONS):
        target = page if name == PAGE.name else page.with_name(name)
        write_page(target, PAGE.with_name(name), SECTIONS, out, name)
        print(f"{target} written from {out}", file=sys.stderr)
    return 0


def measure(bench: Bench, section: Section, out: Path) -> None:
    """Computes what a section still lacks."""
    start = time.monotonic()
    print(f"{section.title} ({section.name})", file=sys.stderr)
    store = Store(out / f"{section.name}.json", bench.common())
    section.run(bench, store)
    store.write()
    print(f"  {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
