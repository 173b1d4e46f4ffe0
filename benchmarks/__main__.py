"""Times of one UAV-frame and its stages on this machine, and ratios against the straightforward ways of doing the same.

python -m benchmarks [--model models/nano] [--threads 2] [--engine torch] [--quick] [--json out.json]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from benchmarks.timing import median_ms
from rsdfm_ros.evaluation.bags.evaluate import load_perception
from rsdfm_ros.evaluation.engine import add_engine_argument
from rsdfm_ros.evaluation.speed.measure import QUICK_EXTENT, Speed
from rsdfm_ros.evaluation.speed.show import print_speed, progress
from rsdfm_ros.evaluation.speed.timing import threads
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, rotation_vector, transform
from rsdfm_ros.model.mapping import lift, lift_cells
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL


def camera(yaw: float) -> np.ndarray:
    """A camera 50 m up that looks 45° down at the origin from heading `yaw`."""
    R = rotation_vector([0.0, 0.0, yaw]) @ rotation_vector([0.0, np.pi / 4, 0.0]) @ R_BODY_OPTICAL
    return transform(R, [-50.0 * np.cos(yaw), -50.0 * np.sin(yaw), 50.0])


def lift_ratios(perception: Perception) -> dict[str, float]:
    """Times of other forms of the lift relative to ours, on the same data."""
    config, window = perception.config, square_window(64.0, 0.5)
    K = torch.from_numpy(intrinsics_from_fov(config.image_width, config.image_height, 1.3))[None]
    pose = torch.from_numpy(camera(0.0))[None]
    size = (config.image_height, config.image_width)
    cells = lift_cells(config, size, 2, K, pose, GroundPlane(), window)[0]
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(cells), 16, generator=generator)
    alpha = torch.rand(*cells.shape, generator=generator)
    flat, count = cells.reshape(-1).long(), window.ni * window.nj

    def index_add() -> torch.Tensor:
        weighted = (alpha[..., None] * features[:, None]).flatten(0, 1)
        return torch.zeros(count + 1, 16).index_add_(0, flat, weighted)

    def sorted_bags() -> torch.Tensor:
        order = torch.argsort(flat)
        offsets = torch.searchsorted(flat[order], torch.arange(count + 1))
        pixels = order // cells.shape[1]
        return F.embedding_bag(
            pixels, features, offsets, mode="sum", per_sample_weights=alpha.reshape(-1)[order]
        )

    ours = median_ms(lambda: lift(features[None], alpha[None], cells[None], window))
    return {
        "lift (ms)": ours,
        "index_add / lift": median_ms(index_add) / ours,
        "sorted embedding_bag / lift": median_ms(sorted_bags) / ours,
    }


def main() -> None:
    """Run everything, print tables, write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--model", default=SHIPPED_MODEL, help="model folder, or random:CONFIGURATION (default %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of one UAV (default %(default)s)")
    add_engine_argument(parser)
    parser.add_argument("--quick", action="store_true", help="few repetitions, two images: for a trial")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args()
    console = Console()
    with progress(Console(stderr=True)) as shown:
        speed = Speed(
            load_perception(str(args.model), engine=args.engine),
            QUICK_EXTENT if args.quick else None,
            number=args.threads,
            progress=shown,
        )
        speed.run()
    with threads(args.threads):
        ratios = lift_ratios(speed.model)
    print_speed(speed.figures, speed.failed, console)
    table = Table("lift of the mapping", "", title_justify="left")
    for name, value in ratios.items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)
    if args.json:
        write_json(args.json, {**speed.figures, "failed": speed.failed, "lift": ratios})


if __name__ == "__main__":
    main()
