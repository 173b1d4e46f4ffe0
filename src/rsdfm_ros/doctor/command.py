"""Check the installation: what is missing, and how to install it; or a running fleet (--live)."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rsdfm_ros.doctor.checks import Check, examine
from rsdfm_ros.doctor.live import DEFAULT_S, examine_fleet, seconds

MARKS = {"ok": "ok", "missing": "MISSING", "absent": "-", "warning": "WARNING", "error": "ERROR"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm doctor`."""
    parser.add_argument(
        "--live",
        nargs="?",
        type=seconds,
        const=DEFAULT_S,
        metavar="SECONDS",
        help="listen to the diagnostics of the fleet that runs here, or in ROS_DOMAIN_ID, instead, and tell what its "
        f"nodes warn of, cameras unlike those of the training too ({DEFAULT_S:g} s unless given)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when something needed is missing, or a node reports an error."""
    findings: list[Check] = []
    for check in examine() if args.live is None else examine_fleet(args.live):
        findings.append(check)
        if not args.json:
            print(f"{MARKS[check.status]:>7}  {check.name:<16} {check.found}", flush=True)
            if check.cure:
                print(f"{'':>7}  {'':<16} cure: {check.cure}", flush=True)
    if args.json:
        print(json.dumps([asdict(check) for check in findings], indent=2))
    return int(any(check.status in ("missing", "error") for check in findings))
