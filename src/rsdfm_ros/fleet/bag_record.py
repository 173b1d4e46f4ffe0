"""`rsdfm bag record`: record_node in a process of its own, with a line on what was written."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import expression_of
from rsdfm_ros.domains import joined_domain
from rsdfm_ros.errors import RsdfmError, require_ros
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec

POLL_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm bag record`."""
    parser.add_argument(
        "--out", type=Path, required=True, default=argparse.SUPPRESS, metavar="DIR", help="folder of the bag"
    )
    parser.add_argument(
        "--topics",
        default="",
        metavar="REGEX",
        help="topics to record, the whole name (default: those of the fleet)",
    )
    parser.add_argument(
        "--map", type=Path, metavar="YAML", help="record the topics of this topic map instead"
    )
    parser.add_argument("--exclude", default="", metavar="REGEX", help="topics to leave out")
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="format (default: %(default)s)"
    )
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="S", help="recorded time (default: until Ctrl-C)"
    )
    parser.add_argument(
        "--max-size", type=float, default=0.0, metavar="MB", help="begin a further file after so much"
    )
    parser.add_argument(
        "--use-sim-time", action="store_true", help="stamp with /clock, as for a simulated fleet"
    )
    parser.add_argument(
        "--domain",
        type=int,
        default=-1,
        help="ROS_DOMAIN_ID (default: the environment's, without one that of the fleet that runs on this machine)",
    )


def run(args: argparse.Namespace) -> int:
    """Records until Ctrl-C, the duration, or an error."""
    require_ros("recording")
    out = Path(args.out)
    if out.exists():
        raise RsdfmError(f"{out} exists already: choose another folder or remove it")
    if args.map is not None and args.topics:
        raise RsdfmError("give --topics or --map, not both")
    if args.duration < 0 or args.max_size < 0:
        raise RsdfmError("--duration and --max-size cannot be negative")
    domain = args.domain
    if domain < 0:
        joined, sentence = joined_domain()
        domain = domain if joined is None else joined
        print(sentence, file=sys.stderr, end="\n" if sentence else "", flush=True)
    spec = record_specification(
        out,
        {
            "topics": args.topics if args.map is None else expression_of(load_map(args.map)),
            "exclude": args.exclude,
            "storage": args.storage,
            "duration_s": float(args.duration),
            "max_bytes": round(args.max_size * 1e6),
            "use_sim_time": bool(args.use_sim_time),
        },
        domain=domain,
    )
    logs = out.parent / f"{out.name}.logs"
    with Supervisor(logs, lambda name, line: print(line, file=sys.stderr, flush=True)) as supervisor:
        supervisor.start(spec)
        try:
            while supervisor.status(spec.name) is None:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            supervisor.stop()
        status = supervisor.status(spec.name)
    (logs / f"{spec.name}.log").unlink(missing_ok=True)
    (logs / f"{spec.name}.yaml").unlink(missing_ok=True)
    if logs.is_dir() and not any(logs.iterdir()):
        logs.rmdir()
    if status:
        raise RsdfmError(f"the recorder ended with status {status}; what was written so far is in {out}")
    return 0


def record_specification(out: Path, parameters: dict[str, object], *, domain: int = -1) -> NodeSpec:
    """The process of a recorder that writes to `out`."""
    environment = {
        "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    if domain >= 0:
        environment["ROS_DOMAIN_ID"] = str(domain)
    return NodeSpec("recorder", "companion", "record_node", "", {"out": str(out), **parameters}, environment)
