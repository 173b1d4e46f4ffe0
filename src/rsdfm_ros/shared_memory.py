"""Ports of Fast DDS that killed processes leave in shared memory; later processes with the same numbers open them.

A port is a ring of messages `fastdds_port<number>`, a mutex `sem.fastdds_port<number>_mutex`, and a file that its
reader locks (`_el` alone, `_sl` together with others). All stay if the process is killed. The kernel ends the reader's
lock, but not the mutex: a process that opens the port waits for it for 2 s, and then makes another one. Ports of domain
n have the numbers of its UDP ports; besides, every participant of rmw_fastrtps has one of `EVERYWHERE`, in any domain.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rsdfm_ros.domains import FIRST_PORT, PORTS, udp_ports

FOLDER = Path("/dev/shm")
EVERYWHERE = range(FIRST_PORT - 400, FIRST_PORT)
_LOCKS = ("_el", "_sl")
_NAME = re.compile(r"fastdds_port(\d{1,5})(_el|_sl)?|sem\.fastdds_port(\d{1,5})_mutex")


@dataclass(frozen=True)
class Cleared:
    """Numbers of ports. removed: removed now · left: stale, but of another user or not removable."""

    removed: int = 0
    left: int = 0

    def sentence(self) -> str:
        """Message for the user, "" if nothing is left."""
        if not self.left:
            return ""
        what = f"{self.left} shared memory port{'s' if self.left > 1 else ''} of ended processes"
        return f"{what} cannot be removed and may delay this start: their owner can, with `fastdds shm clean`"


def remove_stale_ports(domains: Iterable[int], folder: Path = FOLDER) -> Cleared:
    """Remove the ports that ended processes have left in ROS domains, and those that all domains share.

    A domain that uses UDP ports is left alone, and so is every port with a reader. Of the shared ports only those are
    removed whose reader was killed: a process in another domain may write to the others, and keeps a port open for the
    next reader.
    """
    busy, numbers = set(udp_ports()), set[int]()
    for domain in domains:
        ports = range(FIRST_PORT + PORTS * domain, FIRST_PORT + PORTS * (domain + 1))
        numbers |= set() if busy.intersection(ports) else set(ports)
    found: dict[int, list[Path]] = defaultdict(list)
    with contextlib.suppress(OSError):  # no such folder: another system
        for path in folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                found[int(match[1] or match[3])].append(path)
    killed = {port for port, paths in found.items() if any(path.name.endswith(_LOCKS) for path in paths)}
    numbers |= killed.intersection(EVERYWHERE) - busy
    gone = [_remove(folder / f"fastdds_port{port}", found[port]) for port in numbers.intersection(found)]
    return Cleared(gone.count(True), gone.count(False))


def _remove(port: Path, paths: list[Path]) -> bool | None:
    """Remove the files of a port; False if that is impossible, None if it has a reader.

    Meanwhile we hold the locks of a reader: a process that starts takes another port.
    """
    exclusive, shared = (port.with_name(port.name + end) for end in _LOCKS)
    locks = [shared, exclusive] if shared in paths else [exclusive]
    with contextlib.ExitStack() as held:
        try:
            if not all(_ours(path) for path in paths):
                return False
            for lock in locks:
                file = os.open(lock, _SAFELY | os.O_CREAT, 0o666)
                held.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (*(path for path in paths if path not in locks), *locks):
                path.unlink(missing_ok=True)
        except BlockingIOError:
            return None
        except OSError:
            return False
    return True


_SAFELY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:  # removed meanwhile
        return True
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
