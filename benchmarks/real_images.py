"""A model on real aerial images without labels: its heights against a surface model, and its detections to look at.

    scripts/with_ros python -m benchmarks.real_images FOLDER --out out/real

FOLDER holds images, poses and a surface model in the form of benchmarks/aerial/folder.py (docs/training.md), or is
a project of OpenDroneMap. OUT receives a picture per image and result.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.aerial.folder import AerialSet, load_folder
from benchmarks.aerial.measure import GROUNDS, Heights, assumed_ground, detect, figures, looks, measure
from benchmarks.aerial.opensfm import is_project, load_project
from benchmarks.aerial.picture import picture
from benchmarks.errors import BenchError, status_of
from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL

_ROWS = (
    "ground_mae_m",
    "place_median_m",
    "zero_mae_m",
    "height_mae_m",
    "height_bias_m",
    "correlation",
    "predicted_of_higher_m",
)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_images", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("folder", type=Path, help="images with poses and a surface model")
    parser.add_argument("--model", default=SHIPPED_MODEL, help="default: %(default)s")
    parser.add_argument("--tiles", type=int, default=1, help="cut every image into N x N parts (default 1)")
    parser.add_argument("--out", type=Path, default=Path("out/real"), help="default: %(default)s")
    args = parser.parse_args(argv)
    return status_of(lambda: _run(args), args.out)


def _run(args: argparse.Namespace) -> int:
    if not 1 <= args.tiles <= 16:
        raise BenchError(f"--tiles {args.tiles}: expected 1 to 16")
    if not args.folder.is_dir():
        raise BenchError(f"there is no folder {args.folder}")
    data = load_project(args.folder) if is_project(args.folder) else load_folder(args.folder)
    torch.set_num_threads(1)
    perception = Perception.load(args.model)
    if perception.config.lift == "absolute":
        raise BenchError(f"{args.model} maps by absolute depths: expected a model with heights")
    result = evaluate(perception, data, args.tiles, args.out)
    write_json(args.out / "result.json", {"model": str(args.model), "tiles": args.tiles, **result})
    _print(result)
    return 0


def evaluate(perception: Perception, data: AerialSet, tiles: int, out: Path) -> dict[str, Any]:
    """Figures by assumed ground, and detections and camera by image; writes the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    top = max(perception.config.heights_m)
    heights: dict[str, list[Heights]] = {kind: [] for kind in GROUNDS}
    images = []
    for image in data.images:
        for look in looks(image, data.surface, tiles):
            for kind in GROUNDS:
                model = perception.on_ground(assumed_ground(look, kind))
                found_heights = measure(model, look)
                heights[kind].append(found_heights)
                if kind != GROUNDS[0]:
                    continue
                found = detect(model, look)
                shown = picture(look, found_heights, found, top)
                cv2.imwrite(str(out / f"{look.name}.jpg"), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
                position = look.view.T_map_camera[:3, 3]
                images.append(
                    {
                        "name": look.name,
                        "camera_height_m": round(float(look.ground.height(position)), 1),
                        "detections": {n: int((found.classes == k).sum()) for k, n in enumerate(CLASSES)},
                    }
                )
    if not images:
        raise BenchError("no image shows a part of the surface model")
    return {"figures": {kind: figures(heights[kind], top) for kind in GROUNDS}, "images": images}


def _print(result: dict[str, Any]) -> None:
    table = Table(title="heights against the surface model")
    table.add_column("figure")
    for kind in GROUNDS:
        table.add_column(f"ground: {kind}", justify="right")
    for name in _ROWS:
        values = [result["figures"][kind][name] for kind in GROUNDS]
        table.add_row(name, *("–" if v is None else f"{v:.3f}" for v in values))
    console = Console()
    console.print(table)
    for row in result["images"]:
        console.print(
            f"{row['name']}: camera {row['camera_height_m']} m above ground, detections {row['detections']}"
        )


if __name__ == "__main__":
    sys.exit(main())
