"""Mutated packets through decoding, inbox and fusion of one UAV: `make fuzz`.

Every packet depends on the seed and its number alone: an interrupted run goes on with --first, and a reported packet is
run again with --first NUMBER --count 1. Ends with status 1 if anything but a typed refusal came of a packet.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))

from support.fuzz_campaign import Campaign, Report


def main() -> int:
    """Run, print what happened as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="packets (default: a million)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    campaign = Campaign(args.seed)
    with Progress() as bar:
        task = bar.add_task("packets", total=args.count)

        def progress(report: Report) -> None:
            bar.update(task, completed=report.packets)

        try:
            campaign.run(args.first, args.count, progress)
        except KeyboardInterrupt:
            went = args.first + campaign.report.packets
            print(f"stopped: --seed {args.seed} --first {went} goes on", file=sys.stderr)
    print(json.dumps(vars(campaign.report), indent=2))
    return 1 if campaign.report.untyped else 0


if __name__ == "__main__":
    sys.exit(main())
