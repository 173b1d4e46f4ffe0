"""The option of commands that says what runs the network."""

from __future__ import annotations

import argparse

from rsdfm_ros.model.config import ENGINES


def add_engine_argument(parser: argparse.ArgumentParser, default: str = "auto") -> None:
    """Declare `--engine`."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=default,
        help="what runs the network: torch, the reference; openvino, where it is installed, on CPUs; auto, as nodes "
        "take: torch (default %(default)s)",
    )
