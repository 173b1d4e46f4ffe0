"""ROS domains of the tests, held exclusively, also when several test runs and fleets share the machine."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from rsdfm_ros.domains import has_ports
from rsdfm_ros.shared_memory import remove_stale_ports

DOMAINS = range(1, 80)
"""Below those that fleets choose first, and whose ports lie below those that systems give to any program."""
ENOUGH = 16
"""So many are kept for this process; more are taken only while all of them are in use."""
_held: dict[int, IO[str]] = {}
_used: list[int] = []


def new_domain() -> int:
    """An unused ROS domain of this process, without shared memory of killed processes.

    It is locked against other test runs until the process ends; one whose nodes are gone is given again later.
    """
    start = os.getpid() * 7
    every = (DOMAINS[(start + n) % len(DOMAINS)] for n in range(len(DOMAINS)))
    fresh, again = [d for d in every if d not in _held], list(_used)
    for domain in again + fresh if len(again) >= ENOUGH else fresh + again:
        if has_ports(domain) or not _lock(domain):
            continue
        if domain in _used:
            _used.remove(domain)
        _used.append(domain)
        remove_stale_ports([domain])
        return domain
    raise RuntimeError(f"every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is in use on this machine")


def _lock(domain: int) -> bool:
    if domain in _held:
        return True
    folder = Path(tempfile.gettempdir()) / f"rsdfm_ros_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    file = (folder / str(domain)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held[domain] = file
    return True
