"""The highest rate at which one UAV alone, with three peers played from a bag, answers its images over real DDS.

python -m benchmarks.replay_rate [--model models/nano] [--threads 1] [--images 100] [--json out.json]

Each try is a `rsdfm replay --uav uav1 --rate …` of a bag that is made first, from simulated images and from what three
other UAVs send for them. The rate is doubled or halved until one holds and another does not, then bisected.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.commands import json_of, rsdfm
from rsdfm_ros.evaluation.bags.evaluate import load_perception
from rsdfm_ros.evaluation.speed.bag import RATE_HZ, write_bag
from rsdfm_ros.evaluation.speed.scene import render
from rsdfm_ros.evaluation.speed.stages import PEERS
from rsdfm_ros.evaluation.speed.uav_frame import packets_of
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL

SHARE = 0.99
"""Share of the images that must be answered."""
ON_TIME = 0.95
"""Share of the rate that the replay itself must reach on a machine that it shares with the UAV."""
START_HZ, LEAST_HZ, MOST_HZ = 2.0, 0.125, 64.0
FLEET = "config/fleet/realtime.yaml"


@dataclass(frozen=True)
class Try:
    """One replay. asked_hz, images_hz: images per second as asked for, and as they came · images, answered: how many ·
    rate_hz: answered images per second · p50_ms, p95_ms: from the stamp of an image to its last output, None without an
    answer."""

    asked_hz: float
    images_hz: float | None
    images: int
    answered: int
    rate_hz: float | None
    p50_ms: float | None
    p95_ms: float | None

    @classmethod
    def of(cls, asked_hz: float, figures: Mapping[str, Any]) -> Try:
        """From the figures of a UAV in result.json."""
        return cls(
            asked_hz,
            figures["rate_images_hz"],
            figures["images"],
            figures["images_answered"],
            figures["rate_answered_hz"],
            figures["stamp_to_output_p50_ms"],
            figures["stamp_to_output_p95_ms"],
        )

    @property
    def share(self) -> float:
        """Share of the images that was answered."""
        return self.answered / self.images if self.images else 0.0

    @property
    def holds(self) -> bool:
        """Whether that is enough, of images that came as fast as they should."""
        on_time = self.images_hz is not None and self.images_hz >= ON_TIME * self.asked_hz
        return on_time and self.share >= SHARE


def highest(attempt: Callable[[float], Try], within: float) -> float | None:
    """The highest rate in Hz that holds, up to a factor of `within`; None if not even LEAST_HZ does.

    attempt: plays at that rate of images, Hz.
    """
    good: float | None = None
    bad: float | None = None
    rate_hz = START_HZ
    while good is None or bad is None:
        if attempt(rate_hz).holds:
            good = rate_hz
        else:
            bad = rate_hz
        if good is None and bad is not None:
            if bad <= LEAST_HZ:
                return None
            rate_hz = bad / 2
        elif bad is None and good is not None:
            if good >= MOST_HZ:
                return good
            rate_hz = good * 2
    while bad / good > within:
        middle = float(f"{(good * bad) ** 0.5:.3g}")
        good, bad = (middle, bad) if attempt(middle).holds else (good, middle)
    return good


def make_bag(folder: Path, model: str, images: int) -> str:
    """Write the bag; the name of the UAV that is run."""
    perception, scene = load_perception(model), render(PEERS + 1)
    return write_bag(folder, scene, packets_of(perception, scene, scene.agents[1:]), images)


def replay(bag: Path, uav: str, rate_hz: float, model: str, threads: int) -> Try:
    """Play the bag with images of that rate."""
    with tempfile.TemporaryDirectory(prefix="rsdfm-replay-") as folder:
        words = ["replay", str(bag), "--uav", uav, "--rate", f"{rate_hz / RATE_HZ:.6g}", "--fleet", FLEET]
        words += ["--model", model, "--out", f"{folder}/out", "--json"]
        # As it is deployed: without the answers without peers, which are for comparison.
        for setting in (f"uav.threads={threads}", "uav.publish_single=false"):
            words += ["--set", setting]
        return Try.of(rate_hz, json_of(rsdfm(*words))["agents"][uav])


def main() -> None:
    """Find the rate, print a table, write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default=SHIPPED_MODEL, help="model folder (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the UAV (default %(default)s)")
    parser.add_argument("--images", type=int, default=100, help="of every try (default %(default)s)")
    parser.add_argument(
        "--within", type=float, default=1.1, help="factor to find it to (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tries as JSON")
    args = parser.parse_args()
    tries: dict[float, Try] = {}
    with tempfile.TemporaryDirectory(prefix="rsdfm-bag-") as folder:
        uav = make_bag(Path(folder) / "bag", args.model, args.images)

        def attempt(rate_hz: float) -> Try:
            tries[rate_hz] = replay(Path(folder) / "bag", uav, rate_hz, args.model, args.threads)
            return tries[rate_hz]

        found = highest(attempt, args.within)
    table = Table("images per second", "answered", "p50 ms", "p95 ms")
    for rate_hz, one in sorted(tries.items()):
        times = ("–" if ms is None else f"{ms:.0f}" for ms in (one.p50_ms, one.p95_ms))
        table.add_row(f"{rate_hz:g}", f"{100 * one.share:.0f} %", *times)
    Console().print(table)
    print(f"at least {100 * SHARE:.0f} % are answered up to {'none' if found is None else f'{found:g} Hz'}")
    if args.json:
        write_json(args.json, {"highest_hz": found, "tries": {f"{r:g}": vars(t) for r, t in tries.items()}})


if __name__ == "__main__":
    main()
