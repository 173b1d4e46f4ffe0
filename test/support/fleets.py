"""Small fleets, and what is left of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict


def small_fleet(model: Path, domain: int, frames: int = 3) -> FleetDescription:
    return fleet_from_dict(
        {
            "uavs": 2,
            "model": str(model),
            "world": {"frames": frames, "first_answer_timeout_s": 60.0, "answer_timeout_s": 30.0},
            "uav": {
                "budget_bytes": 6000,
                "peer_wait_s": 20.0,
                "liveliness_lease_s": 10.0,
                "publish_single": True,
                "publish_future": True,
            },
            "evaluator": {"record_frames": True, "record_bag": True},
            "network": {"domain": domain},
        }
    )


def wait_until(condition, what: str, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.05)


def left_behind(mark: str) -> list[str]:
    """Command lines of living processes, except this one, whose environment or command line contains `mark`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) == os.getpid() or "State:\tZ" in (folder / "status").read_text():
                continue
            command = (folder / "cmdline").read_bytes()
            if mark.encode() in command + (folder / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        except (OSError, PermissionError):
            continue
    return found
