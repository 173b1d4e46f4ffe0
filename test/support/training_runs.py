"""Short training runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from rsdfm_ros.training import command

SETTINGS = {
    "model": {
        "name": "tiny",
        "image_height": 64,
        "image_width": 96,
        "window_tiles": [-2, -2, 4, 4],
        "channels": 16,
        "low_channels": 4,
        "high_channels": 4,
        "encoder_widths": [8, 8, 16, 16],
        "pyramid_channels": 16,
        "neck_widths": [8, 16, 16],
        "memory_channels": 4,
        "motion_channels": 8,
        "task_channels": 16,
        "fine_channels": 8,
    },
    "training": {
        "steps": 6,
        "temporal_steps": 3,
        "codec_steps": 2,
        "temporal_batch": 2,
        "batch_frames": 1,
        "window_tiles": [-1, -1, 2, 2],
        "codec_from": 0.0,
        "translate_m": 3.0,
    },
}


def arguments(config: Path, out: Path, **changes: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(
        ["--data", "unused", "--config", str(config), "--out", str(out), "--threads", "1"]
    )
    vars(args).update(changes)
    return args
