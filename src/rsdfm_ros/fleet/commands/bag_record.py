"""`rsdfm bag record`: record_node in a process of its own, with a line on the recorded bag."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import expression_of
from rsdfm_ros.data.bags.writer import METADATA, STORAGES, owned
from rsdfm_ros.domains import HIGHEST, joined_domain
from rsdfm_ros.errors import RsdfmError, require_ros
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec
from rsdfm_ros.outputs import is_vacant, output_folder

POLL_S = 0.1
MAX_S, MAX_MB = 1e9, 1e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm bag record`."""
    parser.add_argument(
        "--out", type=Path, required=True, default=argparse.SUPPRESS, metavar="DIR", help="folder of the bag"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the bag in this folder; it stays until the new one is complete",
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
        "--storage", choices=STORAGES, default=STORAGES[0], help="format (default: %(default)s)"
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
    parameters = _checked(args)
    with output_folder(
        out,
        marker=METADATA,
        owned=owned(out),
        force=args.force,
        worth_keeping=_readable,
    ) as work:
        domain = args.domain
        if domain < 0:
            joined, sentence = joined_domain()
            domain = domain if joined is None else joined
            print(sentence, file=sys.stderr, end="\n" if sentence else "", flush=True)
        status = _record(record_specification(work, parameters, domain=domain))
        if status:
            left = "nothing was written" if is_vacant(work) else f"what was written so far is in {work}"
            raise RsdfmError(f"the recorder ended with status {status}; {left}")
        if not (work / METADATA).is_file():
            raise RsdfmError("the recorder was stopped before it began; nothing was written")
    if work != out:
        print(f"the bag is now in {out}", file=sys.stderr)
    return 0


def _checked(args: argparse.Namespace) -> dict[str, object]:
    """The parameters of record_node. Raises: RsdfmError for arguments that it would refuse."""
    if args.map is not None and args.topics:
        raise RsdfmError("give --topics or --map, not both")
    for option, expression in (("--topics", args.topics), ("--exclude", args.exclude)):
        try:
            re.compile(expression)
        except re.error as error:
            raise RsdfmError(f"{option} {expression!r} is no regular expression: {error}") from error
    for option, value, high in (("--duration", args.duration, MAX_S), ("--max-size", args.max_size, MAX_MB)):
        if not 0 <= value <= high:
            raise RsdfmError(f"{option}: expected 0 to {high:g}, got {value:g}")
    if not -1 <= args.domain <= HIGHEST:
        raise RsdfmError(f"--domain: expected 0 to {HIGHEST}, or -1 for the environment's, got {args.domain}")
    return {
        "topics": args.topics if args.map is None else expression_of(load_map(args.map)),
        "exclude": args.exclude,
        "storage": args.storage,
        "duration_s": float(args.duration),
        "max_bytes": round(args.max_size * 1e6),
        "use_sim_time": bool(args.use_sim_time),
    }


def _record(spec: NodeSpec) -> int:
    """Run the recorder to its end or until Ctrl-C; its exit status."""
    with (
        tempfile.TemporaryDirectory(prefix="rsdfm_record_") as logs,
        Supervisor(Path(logs), lambda name, line: print(line, file=sys.stderr, flush=True)) as supervisor,
    ):
        supervisor.start(spec)
        try:
            while supervisor.status(spec.name) is None:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            supervisor.stop()
        return supervisor.status(spec.name) or 0


def _readable(bag: Path) -> bool:
    """Whether a killed recorder has left messages."""
    try:
        open_bag(bag).close()
    except BagError:
        return False
    return True


def record_specification(out: Path, parameters: dict[str, object], *, domain: int = -1) -> NodeSpec:
    """The process of a recorder that writes to `out`."""
    environment = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    if domain >= 0:
        environment["ROS_DOMAIN_ID"] = str(domain)
    return NodeSpec("recorder", "companion", "record_node", "", {"out": str(out), **parameters}, environment)
