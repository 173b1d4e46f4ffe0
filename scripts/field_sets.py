"""The shipped model on every public data set that can be read, as the table of docs/field_sets.md.

    scripts/with_ros .venv/bin/python scripts/field_sets.py --json out/field_sets.json

`--set NAME=DIR` measures a set itself. Without it a small one in its layout is written, with vehicles as boxes of one
colour on grey ground: what is then measured is that reading, geometry, fusion and scoring work together, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))

from rsdfm_ros.data.convert import command as convert
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.commands import evaluate
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL
from support import field_sets, public_sets

FRAMES = 8
METHODS = "single,late,rsdfm"


@dataclass(frozen=True)
class Set:
    """A public set: its name for people, the number of its agents, and what writes a small one in its layout."""

    title: str
    agents: int
    write: Callable[[Path], Path]


def _airv2x(root: Path) -> Path:
    field_sets.write_airv2x(root / "published", frames=FRAMES)
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    words = ["airv2x", str(root / "published"), "--out", str(root / "set"), "--unpickle"]
    convert.run(parser.parse_args(words))
    return root / "set"


def _group(root: Path) -> Path:
    return field_sets.write_coperception(root, samples=FRAMES // 2) / "v1.0-40m-group"


def _aerocollab3d(root: Path) -> Path:
    public_sets.write_air_co_pred(root, frames=FRAMES, scenes=("scene_3",), uavs=6)
    (root / "v1.0-trainval").rename(root / "v1.23-trainval")
    return root


SETS: Mapping[str, Set] = MappingProxyType(
    {
        "air-co-pred": Set(
            "Air-Co-Pred", 4, partial(public_sets.write_air_co_pred, frames=FRAMES, scenes=("scene-0-9",))
        ),
        "uav3d": Set("UAV3D", 5, partial(public_sets.write_uav3d, frames=FRAMES, scenes=("scene_0001",))),
        "aerocollab3d": Set("AeroCollab3D", 6, _aerocollab3d),
        "coperception-uavs": Set("CoPerception-UAVs (40 m)", 5, _group),
        "griffin": Set("Griffin", 2, partial(field_sets.write_griffin, seconds=(FRAMES - 1) / 2)),
        "airv2x": Set("AirV2X", 2, _airv2x),
    }
)


@dataclass(frozen=True)
class Row:
    """Figures of one set. source: `set`, or `fixture` for a small one in its layout."""

    name: str
    source: str
    agents: int
    frames: int
    iou_single: float | None
    iou_rsdfm: float | None
    ap_single: float | None
    ap_rsdfm: float | None
    bytes_per_frame: float | None


def measure(name: str, model: Path, given: Path | None) -> Row:
    """The figures of one set. Raises: RsdfmError."""
    with tempfile.TemporaryDirectory() as folder:
        data = SETS[name].write(Path(folder)) if given is None else given
        out = Path(folder) / "result.json"
        parser = argparse.ArgumentParser()
        evaluate.add_arguments(parser)
        words = [
            "--data",
            str(data),
            "--model",
            str(model),
            "--uavs",
            str(SETS[name].agents),
            "--methods",
            METHODS,
        ]
        evaluate.run(parser.parse_args([*words, "--json", str(out)]))
        rows = {row["method"]: row for row in json.loads(out.read_text())["results"]}
    return Row(
        name,
        "fixture" if given is None else "set",
        SETS[name].agents,
        rows["rsdfm"]["frames"],
        rows["single"]["iou_long"],
        rows["rsdfm"]["iou_long"],
        rows["single"]["ap"],
        rows["rsdfm"]["ap"],
        rows["rsdfm"]["bytes_per_frame"],
    )


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| set | measured on | agents | answers | IoU alone | IoU together | AP alone | AP together | bytes a frame |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = [row.iou_single, row.iou_rsdfm, row.ap_single, row.ap_rsdfm]
        shown = " | ".join("–" if value is None else f"{value:.3f}" for value in figures)
        source = "the set" if row.source == "set" else "**fixture**"
        size = "–" if row.bytes_per_frame is None else f"{row.bytes_per_frame:.0f}"
        lines.append(
            f"| {SETS[row.name].title} | {source} | {row.agents} | {row.frames} | {shown} | {size} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=DIR", help="a set itself (may be repeated)"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(SETS), default=list(SETS))
    parser.add_argument("--json", type=Path, default=Path("out/field_sets.json"))
    args = parser.parse_args()
    given = dict(item.partition("=")[::2] for item in args.set)
    if unknown := sorted(set(given) - set(SETS)):
        raise RsdfmError(
            f"--set {unknown[0]}: expected one of {', '.join(SETS)}, and = with a folder behind it"
        )
    rows = [measure(name, args.model, Path(given[name]) if name in given else None) for name in args.only]
    write_json(args.json, {"rows": [asdict(row) for row in rows]})
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
