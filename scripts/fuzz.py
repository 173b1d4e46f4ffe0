"""Mutated packets through decoding, inbox and fusion of a UAV, then damaged bags through what reads bags: `make fuzz`.

Every packet and bag depends on the seed and its number alone: an interrupted run goes on with --first and --first-bag,
and a reported one is run again with --first NUMBER --count 1 --bags 0, or --count 0 --first-bag NUMBER --bags 1. Ends
with status 1 if anything but a typed refusal came of one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))

from support.bag_campaign import BagCampaign
from support.fuzz_campaign import Campaign


def main() -> int:
    """Run, print what happened as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="packets (default: a million)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--bags", type=int, default=10_000, help="bags (default %(default)s)")
    parser.add_argument("--first-bag", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rsdfm-fuzz-") as folder, Progress() as bar:
        packets, bags = Campaign(args.seed), BagCampaign(args.seed, Path(folder))
        packet_task = bar.add_task("packets", total=args.count)
        bag_task = bar.add_task("bags", total=args.bags)
        try:
            packets.run(args.first, args.count, lambda r: bar.update(packet_task, completed=r.packets))
            bags.run(args.first_bag, args.bags, lambda r: bar.update(bag_task, completed=r.bags))
        except KeyboardInterrupt:
            done = packets.report.packets, bags.report.bags
            more = f"--first {args.first + done[0]} --count {args.count - done[0]}"
            more += f" --first-bag {args.first_bag + done[1]} --bags {args.bags - done[1]}"
            print(f"stopped: --seed {args.seed} {more} goes on", file=sys.stderr)
    print(json.dumps({**vars(packets.report), "bags": vars(bags.report)}, indent=2))
    return 1 if packets.report.untyped or bags.report.untyped else 0


if __name__ == "__main__":
    sys.exit(main())
