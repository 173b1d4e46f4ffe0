"""Write access rules of a fleet for SROS 2."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from rsdfm_ros.domains import HIGHEST
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.reading import load_fleet
from rsdfm_ros.fleet.security.documents import governance, permissions
from rsdfm_ros.fleet.security.rules import features_topic, grants
from rsdfm_ros.options import require_range
from rsdfm_ros.outputs import output_folder, write_atomically
from rsdfm_ros.words import counted

GOVERNANCE, ENCLAVES, PERMISSIONS = "governance.xml", "enclaves", "permissions.xml"
VALID = ("2024-01-01", "2034-12-31")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm security`."""
    commands = parser.add_subparsers(dest="security_command", metavar="WHAT", required=True)
    init = commands.add_parser("init", help="governance and permissions documents of a fleet, to be signed")
    init.add_argument("description", help="fleet description, e.g. config/fleet/demo.yaml (docs/fleet.md)")
    init.add_argument(
        "--out", type=Path, default=Path("out/security"), metavar="DIR", help="folder to write to"
    )
    init.add_argument("--force", action="store_true", help="replace the documents in this folder")
    init.add_argument(
        "--domain", type=int, metavar="N", help="ROS domain (default: that of the description, else 0)"
    )
    init.add_argument("--valid-from", default=VALID[0], metavar="DAY", help="first day of the permissions")
    init.add_argument("--valid-until", default=VALID[1], metavar="DAY", help="last day of the permissions")
    init.set_defaults(run_security=_init)


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm security`."""
    return int(args.run_security(args))


def _init(args: argparse.Namespace) -> int:
    require_range("--domain", args.domain, 0, HIGHEST)
    valid = (_day("--valid-from", args.valid_from), _day("--valid-until", args.valid_until))
    if valid[0] > valid[1]:
        raise RsdfmError(f"--valid-until {valid[1]} is before --valid-from {valid[0]}")
    fleet = load_fleet(args.description)
    domain = max(0, fleet.network.domain) if args.domain is None else args.domain
    features = ["rt" + features_topic(fleet, index) for index in range(fleet.uavs)]
    allowed = grants(fleet)
    with output_folder(args.out, marker=GOVERNANCE, owned=(GOVERNANCE, ENCLAVES), force=args.force) as folder:
        for grant in allowed:
            place = folder / ENCLAVES / grant.enclave.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            write_atomically(place / PERMISSIONS, permissions(grant, domain, valid))
        write_atomically(folder / GOVERNANCE, governance(domain, features))
    print(f"access rules of {counted(len(allowed), 'enclave')} in {args.out}, for ROS domain {domain}:")
    print("\n".join(f"  {grant.enclave}" for grant in allowed))
    print("Sign them with the permissions CA of your keystore: docs/security.md")
    return 0


def _day(option: str, text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise RsdfmError(f"{option} {text}: expected a day such as 2026-01-31") from None
