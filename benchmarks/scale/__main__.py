"""Traffic and fusion time of a UAV against the size of the fleet: 4 and 16 UAVs over 1 km², 64 over 4 km², and 16 over
a tenth of one.

python -m benchmarks.scale [--model models/nano] [--images 6] [--json out.json] [--plot scale.svg]

UAVs fly straight over a square at random places, each with a region of interest around it. Nothing is rendered: their
maps are tiles of features that the model makes of drawn images, the same tile at the same place for all of them.
Everything after that is as in flight: senders with budgets, demands once a second, packets, receivers, fusion. Bytes
are those of serialised messages without DDS and UDP headers; times are of the CPU, so that they hold on a busy
machine, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import drawing
from benchmarks.scale.fleet import Fleet, World
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.bags.evaluate import load_perception
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL

DENSE_KM2 = 0.1
CASES = ((4, 1.0), (16, 1.0), (64, 4.0), (16, DENSE_KM2))
"""UAVs and square kilometres."""


def measure(model: Perception, cases: Sequence[tuple[int, float]], images: int) -> list[dict[str, Any]]:
    """Figures of every case, with demands and without: bytes per second and UAV, and fusion time."""
    world, found = World(model), []
    for uavs, area_km2 in track(cases, "fleets", transient=True):
        for demand in (True, False):
            traffic = Fleet(world, uavs, area_km2, demand=demand).fly(images)
            seconds = images * FRAME_PERIOD_S
            fused = [item for t in traffic for item in t.fusion_ms]
            found.append(
                {
                    "uavs": uavs,
                    "area_km2": area_km2,
                    "demand": demand,
                    "neighbours": float(np.mean([t.neighbours for t in traffic])),
                    "neighbours_most": int(np.max([t.neighbours for t in traffic])),
                    "fused_peers": float(np.mean([n for n, _ in fused])),
                    "fusion_ms": float(np.median([ms for _, ms in fused])),
                    "fusion_ms_by_peers": {
                        n: float(np.median([ms for m, ms in fused if m == n]))
                        for n in sorted({n for n, _ in fused})
                    },
                    **{
                        f"{name}_bytes_s": float(np.mean([getattr(t, name) for t in traffic]) / seconds)
                        for name in ("features_out", "demand_out", "features_in", "demand_in")
                    },
                }
            )
    return found


def plot(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Bytes in and fusion time, with demands and without, against UAVs (not those close together) and neighbours."""
    titles = {True: "demands", False: "without demands"}
    apart = [f for f in found if f["area_km2"] != DENSE_KM2]

    def lines(cases: Sequence[dict[str, Any]], x: str, value: Any) -> dict[str, list[tuple[float, float]]]:
        return {
            title: sorted((f[x], value(f)) for f in cases if f["demand"] == kind)
            for kind, title in titles.items()
        }

    def received(f: dict[str, Any]) -> float:
        return float(f["features_in_bytes_s"] + f["demand_in_bytes_s"]) / 1e3

    def fusion(f: dict[str, Any]) -> float:
        return float(f["fusion_ms"])

    panels = (
        ("UAVs", "kB/s in per UAV", lines(apart, "uavs", received)),
        ("UAVs", "fusion, ms of CPU", lines(apart, "uavs", fusion)),
        ("overlapping neighbours", "kB/s in per UAV", lines(found, "neighbours", received)),
        ("overlapping neighbours", "fusion, ms of CPU", lines(found, "neighbours", fusion)),
    )
    drawing.write([drawing.Panel(x, y, shown, from_zero=True) for x, y, shown in panels], path, per_row=2)


def show(found: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the table of docs/reliability.md."""
    table = Table(title="per UAV")
    columns = (
        "UAVs",
        "km²",
        "demands",
        "neighbours",
        "kB/s out",
        "kB/s in",
        "of it demands",
        "fused peers",
        "fusion ms",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for f in found:
        out = f["features_out_bytes_s"] + f["demand_out_bytes_s"]
        into = f["features_in_bytes_s"] + f["demand_in_bytes_s"]
        table.add_row(
            *(str(f["uavs"]), f"{f['area_km2']:g}", "yes" if f["demand"] else "no"),
            *(
                f"{f['neighbours']:.1f}",
                f"{out / 1e3:.2f}",
                f"{into / 1e3:.2f}",
                f"{f['demand_in_bytes_s'] / 1e3:.2f}",
            ),
            *(f"{f['fused_peers']:.1f}", f"{f['fusion_ms']:.1f}"),
        )
    console.print(table)


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--model", default=SHIPPED_MODEL, help="model folder, or random:CONFIGURATION (default %(default)s)"
    )
    parser.add_argument(
        "--images", type=int, default=6, help="images that count, at 2 Hz (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them (SVG)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(load_perception(str(args.model)), CASES, args.images)
    show(found, Console())
    if args.json:
        write_json(args.json, {"model": str(args.model), "images": args.images, "cases": found})
    if args.plot:
        plot(found, args.plot)


if __name__ == "__main__":
    main()
