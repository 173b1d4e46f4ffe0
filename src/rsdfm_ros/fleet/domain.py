"""The ROS domain of a fleet: a free one, or the one that was asked for, held until it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdfm_ros.domains import (
    CHOSEN,
    ROS_DEFAULT,
    VARIABLE,
    DomainError,
    DomainHeld,
    Holder,
    environment_domain,
    has_ports,
    locked,
    this_process,
)
from rsdfm_ros.errors import require_ros
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import GAZEBO, NONE, REPLAY, SIMULATION
from rsdfm_ros.fleet.specification import (
    NODES,
    NodeSpec,
    environment_of,
    namespace_of,
    outside_remaps,
)
from rsdfm_ros.shared_memory import Cleared, remove_stale_ports

CHECK_LIMIT_S = 60.0
SHOWN = 4
"""At most this many of the things found in a domain are listed."""
OUTPUTS = ("bev/features", "status")
"""Topics that every UAV of a fleet publishes, in every kind of world."""


@dataclass(frozen=True)
class Claim:
    """A domain that is held. fleet: the description with it · sentence: message for the user."""

    fleet: FleetDescription
    domain: int
    sentence: str


@contextlib.contextmanager
def claim_domain(
    fleet: FleetDescription, out: str | Path | None, *, free: bool = True, option: str = "--domain"
) -> Iterator[Claim]:
    """Hold the ROS domain in which a fleet will run, from before its first process to after its last.

    That is what the description or else ROS_DOMAIN_ID asks for. Without either it is any free one, or, where the world
    is made by other programs or with `free` off, ROS' own default. out: folder of the results, named to others ·
    option: the option that chooses a domain, for the message of a refusal. Shared memory of ended processes in an
    unused domain is removed before the first process starts. Raises: DomainError where another fleet holds the domain
    that was asked for, or another publisher uses this fleet's topics there.
    """
    require_ros("a fleet")
    asked, any_will_do = asked_domain(fleet), free and fleet.world.kind in (SIMULATION, REPLAY)
    if asked is None and not any_will_do:
        asked = ROS_DEFAULT, "the default of ROS"
    mine = this_process(out, fleet.agents)
    with contextlib.ExitStack() as stack:
        if asked is None:
            made, cleared = _take_free(fleet, mine, stack)
        else:
            other = (
                f"leave the domain out (no {option}, no network.domain, no {VARIABLE}) to get a free one"
                if any_will_do
                else f"choose another domain with {option}"
            )
            made, cleared = _take(fleet, mine, stack, *asked, cure=f"end it, or {other}")
        domain = made.network.domain
        told = f"ROS domain {domain} ({VARIABLE}={domain} ros2 topic list)"
        yield Claim(made, domain, "; ".join(filter(None, (told, cleared.sentence()))))


def asked_domain(fleet: FleetDescription) -> tuple[int, str] | None:
    """The requested domain and the source of the request; None: any domain. Raises: DomainError."""
    if fleet.network.domain >= 0:
        return fleet.network.domain, "network.domain"
    given = environment_domain()
    return None if given is None else (given, VARIABLE)


def _take(
    fleet: FleetDescription, mine: Holder, stack: contextlib.ExitStack, domain: int, asked: str, *, cure: str
) -> tuple[FleetDescription, Cleared]:
    made = _in_domain(fleet, domain)
    try:
        stack.enter_context(locked(domain, mine))
    except DomainHeld as held:
        raise DomainError(
            f"ROS domain {domain} ({asked}) belongs to another fleet: {held.holder}: {cure}"
        ) from held
    cleared = remove_stale_ports([domain])
    if found := alive(made):
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DomainError(
            f"ROS domain {domain} ({asked}) is in use, and answers from there would mix with those of this fleet: "
            f"{'; '.join(found[:SHOWN])}{more}: {cure}"
        )
    return made, cleared


def _take_free(
    fleet: FleetDescription, mine: Holder, stack: contextlib.ExitStack
) -> tuple[FleetDescription, Cleared]:
    beyond = fleet.network.discovery_range not in ("LOCALHOST", "OFF")
    unusable: DomainError | None = None
    for domain in CHOSEN:
        made = _in_domain(fleet, domain)
        with contextlib.ExitStack() as attempt:
            try:
                attempt.enter_context(locked(domain, mine))
            except DomainHeld:
                continue
            except DomainError as error:  # a damaged file, or a damaged folder
                unusable = error
                continue
            if has_ports(domain):
                continue
            cleared = remove_stale_ports([domain])
            if beyond and alive(made):
                continue
            stack.push(attempt.pop_all())
            return made, cleared
    raise unusable or DomainError(
        f"every ROS domain from {min(CHOSEN)} to {max(CHOSEN)} is in use on this machine: end a fleet, or choose a "
        "domain with network.domain"
    )


def _in_domain(fleet: FleetDescription, domain: int) -> FleetDescription:
    return dataclasses.replace(fleet, network=dataclasses.replace(fleet.network, domain=domain))


def in_domain(spec: NodeSpec, domain: int) -> NodeSpec:
    """The same process in a ROS domain."""
    return dataclasses.replace(spec, environment={**spec.environment, VARIABLE: str(domain)})


def alive(fleet: FleetDescription) -> list[str]:
    """Find nodes and publishers in a fleet's domain that only this fleet may have (nodes/checks/domain_check.py).

    Raises: DomainError if the domain cannot be examined.
    """
    wanted = business(fleet) | {"expected": has_ports(fleet.network.domain)}
    command = [sys.executable, "-m", "rsdfm_ros.nodes.checks.domain_check", json.dumps(wanted)]
    environment = {**os.environ, **environment_of(fleet)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=True
        )
        return [str(text) for text in json.loads(done.stdout.splitlines()[-1])]
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        said = getattr(error, "stderr", None)
        last = said.strip().splitlines()[-1] if isinstance(said, str) and said.strip() else str(error)
        raise DomainError(
            f"cannot look into ROS domain {fleet.network.domain}: {last}: `rsdfm doctor` says whether ROS works here"
        ) from error


def business(fleet: FleetDescription) -> dict[str, Any]:
    """Topics and nodes that only this fleet may have in its domain. Cameras of real UAVs or of Gazebo are there
    already."""
    spaces, rules = [namespace_of(fleet, agent) for agent in fleet.agents], outside_remaps(fleet)
    truth = [] if fleet.world.kind == NONE else ["/ground_truth"]
    if fleet.world.kind not in (NONE, GAZEBO):
        return {"topics": ["/clock", *truth], "nodes": [], "below": spaces}
    outputs = [f"{space}/{name}" for space in spaces for name in OUTPUTS]
    nodes = [f"{space}/{name}" for space in spaces for name in NODES]
    return {"topics": [*truth, *(rules.get(name, name) for name in outputs)], "nodes": nodes, "below": []}
