"""Times of one agent's stages on this machine, and ratios against the straightforward ways of doing the same.

python -m benchmarks [--model models/nano] [--threads 2] [--json out.json]
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
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, rotation_vector, transform
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.mapping import lift, lift_cells
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame

CELLS = 1500


def camera(yaw: float) -> np.ndarray:
    """A camera 50 m up that looks 45° down at the origin from heading `yaw`."""
    R = rotation_vector([0.0, 0.0, yaw]) @ rotation_vector([0.0, np.pi / 4, 0.0]) @ R_BODY_OPTICAL
    return transform(R, [-50.0 * np.cos(yaw), -50.0 * np.sin(yaw), 50.0])


def stages(perception: Perception) -> dict[str, float]:
    """Milliseconds of every stage of one UAV that fuses three peers."""
    K = intrinsics_from_fov(480, 270, np.deg2rad(75))
    image = np.random.default_rng(0).integers(0, 255, (270, 480, 3), dtype=np.uint8)
    ego = perception.perceive(image, K, camera(0.0))
    bevs = [perception.perceive(image, K, camera(1.6 * n)) for n in range(1, 4)]
    frame = perception.compress(ego, CELLS)
    packets = encode_frame(frame)
    fused = perception.fuse(ego, bevs, [0.0] * 3)
    history = [fused] * 3
    present = perception.segment(history)
    return {
        "perceive (encoder + mapping)": median_ms(lambda: perception.perceive(image, K, camera(0.1))),
        "compress": median_ms(lambda: perception.compress(ego, CELLS)),
        "encode packets": median_ms(lambda: encode_frame(frame)),
        "decode packets": median_ms(lambda: assemble([decode_packet(p) for p in packets])),
        "decompress one peer": median_ms(lambda: perception.decompress(frame, camera(0.0))),
        "fuse four agents + neck": median_ms(lambda: perception.fuse(ego, bevs, [0.0] * 3)),
        "detect": median_ms(lambda: perception.detect(history)),
        "segment": median_ms(lambda: perception.segment(history)),
        "predict": median_ms(lambda: perception.predict(history, present)),
    }


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
    """Run everything, print a table, write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(SHIPPED_MODEL))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    trained = (args.model / "manifest.yaml").is_file()
    perception = (
        Perception.load(args.model)
        if trained
        else Perception.random(load_model_config("config/model/nano.yaml"))
    )
    times, ratios = stages(perception), lift_ratios(perception)
    total = times["perceive (encoder + mapping)"]
    table = Table(title=f"stages of one UAV, {torch.get_num_threads()} threads")
    for column in ("stage", "median ms", "relative to perceive"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, value in times.items():
        table.add_row(name, f"{value:.1f}", f"{value / total:.2f}")
    for name, value in ratios.items():
        table.add_row(name, f"{value:.2f}", "")
    Console().print(table)
    if args.json:
        write_json(args.json, {"threads": torch.get_num_threads(), "stages_ms": times, "lift": ratios})


if __name__ == "__main__":
    main()
