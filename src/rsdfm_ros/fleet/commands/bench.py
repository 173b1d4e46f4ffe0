"""Measure how fast the model is on this computer: about two minutes, and one sentence at the end.

One UAV-frame with three peers (image to answers) and its stages, the frame of a whole fleet, the cost over peers and of
a smaller region, and the rate that one UAV holds over real DDS. A figure that cannot be measured says why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rsdfm_ros.errors import RsdfmError, reason, require_ros
from rsdfm_ros.evaluation.engine import add_engine_argument
from rsdfm_ros.options import require_range
from rsdfm_ros.shipped import SHIPPED_MODEL

if TYPE_CHECKING:  # torch takes a second to import, and `--help` does not need it
    from rsdfm_ros.evaluation.speed.measure import Progress, Speed

REPLAYED_IMAGES = 24
"""Images of the replay over DDS."""
MAX_THREADS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model", default=SHIPPED_MODEL, help="model folder, or random:CONFIGURATION for untrained weights"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of one UAV")
    add_engine_argument(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a rough look in seconds: few repetitions, and no replay over DDS",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm bench`."""
    require_range("--threads", args.threads, 1, MAX_THREADS)
    from rsdfm_ros.evaluation.bags.evaluate import load_perception
    from rsdfm_ros.evaluation.speed.conclusion import conclusion, rate_alone
    from rsdfm_ros.evaluation.speed.measure import QUICK_EXTENT, Speed
    from rsdfm_ros.evaluation.speed.show import print_speed, progress
    from rsdfm_ros.provenance import provenance

    perception = load_perception(args.model, engine=args.engine)
    extent = QUICK_EXTENT if args.quick else None
    with progress(Console(stderr=True)) as shown:
        speed = Speed(perception, extent, number=args.threads, progress=shown)
        try:
            speed.run()
            if not args.quick:
                _replay(speed, args.model, args.engine, shown)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("nothing was written") from None
    figures: dict[str, Any] = {**speed.figures, **rate_alone(speed.figures)}
    figures |= {"conclusion": conclusion(figures), "failed": speed.failed}
    about = provenance(seed=figures.get("scene_seed"), model=args.model, fingerprint=perception.fingerprint)
    if args.json:
        print(json.dumps({**figures, "provenance": about}))
    else:
        console = Console()
        print_speed(figures, speed.failed, console)
        console.print(figures["conclusion"], highlight=False, markup=False)
    return 0


def _replay(speed: Speed, model: str, engine: str, shown: Progress) -> None:
    """Add the rate of one UAV over DDS to the figures, or why there is none."""
    from rsdfm_ros.fleet.alone import replayed_alone

    with shown("one UAV over DDS", 1) as step, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rsdfm-bench-")))
        try:
            require_ros("the replay")
            uav = speed.write_bag(folder / "bag", REPLAYED_IMAGES)
            alone = replayed_alone(
                model, folder / "bag", uav, folder / "out", speed.figures["threads"], engine
            )
        except RsdfmError as error:
            speed.failed["replay"] = reason(error)
        else:
            speed.figures["replay"] = {**alone, "lockstep": True}
        step()
