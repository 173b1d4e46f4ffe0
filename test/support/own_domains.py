"""ROS domains of the tests, held exclusively, also when several test runs and fleets share the machine."""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from rsdfm_ros.domains import has_ports
from rsdfm_ros.shared_memory import remove_stale_ports

DOMAINS = (*range(1, 80), *range(216, 233))
"""Those whose ports lie below or above what Linux gives to any program, without those that fleets choose first."""
ENOUGH = 16
"""So many are kept for this process; more are taken only while all of them are in use."""
PATIENCE_S = 120.0
"""Other test runs give theirs back when they end."""
_held: dict[int, IO[str]] = {}
"""The locks of this process, by domain, the one given longest ago first."""


def new_domain() -> int:
    """An unused ROS domain of this process, without shared memory of killed processes.

    It is locked against other test runs until the process ends; one whose nodes are gone is given again later.
    """
    start = os.getpid() * 7
    every = [DOMAINS[(start + n) % len(DOMAINS)] for n in range(len(DOMAINS))]
    end = time.monotonic() + PATIENCE_S
    while True:
        domain = None
        if len(_held) >= ENOUGH and (domain := _first_unused([*_held])) is None:
            gc.collect()  # nodes that refer to themselves keep their ports until then
            domain = _first_unused([*_held])
        if domain is None:
            domain = _first_unused([*(d for d in every if d not in _held), *_held])
        if domain is not None:
            break
        if time.monotonic() > end:
            raise RuntimeError(f"all {len(DOMAINS)} ROS domains of the tests are in use on this machine")
        time.sleep(0.5)
    _held[domain] = _held.pop(domain)
    remove_stale_ports([domain])
    return domain


def _first_unused(domains: Iterable[int]) -> int | None:
    return next((d for d in domains if not has_ports(d) and _lock(d)), None)


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
