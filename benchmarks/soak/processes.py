"""The processes of a fleet behind faulty links: who they are, how much memory they have, and whether one is left."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.specification import UAV, NodeSpec, environment_of, node_specifications

RADIO, ATTACKER = "radio", "attacker"
MARK = "RSDFM_SOAK"
"""Environment variable by which the processes of a run are found, whoever started them."""
FAULTY = "/faulty"


def fleet_of(model: str, uavs: int) -> FleetDescription:
    """UAVs that take images as they come and drop what is too late."""
    return fleet_from_dict(
        {
            "uavs": uavs,
            "model": model,
            "world": {"lockstep": False},
            "uav": {"threads": 1, "peer_wait_s": 0.15},
            "evaluator": {"enabled": False},
        }
    )


def specifications(fleet: FleetDescription, seed: int, mark: str) -> list[NodeSpec]:
    """The UAVs, of whom each hears the others over a link only: that of the last one belongs to an attacker."""
    environment = {MARK: mark}
    specs = []
    for spec in node_specifications(fleet):
        if spec.role != UAV:
            continue
        others = [f"{FAULTY}{topic_of(agent)}" for agent in fleet.agents if agent != spec.name]
        parameters = {**spec.parameters, "use_sim_time": False, "peers": others}
        specs.append(replace(spec, parameters=parameters, environment={**spec.environment, **environment}))
    honest, attacker = fleet.agents[:-1], fleet.agents[-1:]
    for name, agents in ((RADIO, honest), (ATTACKER, attacker)):
        parameters = {
            "links": [topic_of(agent) for agent in agents],
            "output_prefix": FAULTY,
            "seed": seed,
            "features_reliability": "best_effort",
            "liveliness_lease_s": fleet.uav.liveliness_lease_s,
        }
        specs.append(
            NodeSpec(
                name,
                "companion",
                "fault_injector_node",
                f"/{name}",
                parameters,
                {**environment_of(fleet), **environment},
            )
        )
    return specs


def topic_of(agent: str) -> str:
    """The features of a UAV as it publishes them."""
    return f"/{agent}/bev/features"


def injector_of(name: str) -> str:
    """The full name of the node in that process."""
    return f"/{name}/fault_injector_node"


def rss_mb(pid: int) -> float | None:
    """Resident memory of a process without that of files, MB; None of one that is gone.

    Pages of libraries and weights come and go with the memory that other programs need.
    """
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        kept = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
        return sum(kept) / 1e3 if kept else None
    return None


def left_behind(mark: str) -> list[str]:
    """Living processes of a run: number and command line."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) == os.getpid() or "State:\tZ" in (folder / "status").read_text():
                continue
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                found.append(f"{folder.name}: {words}")
    return found
