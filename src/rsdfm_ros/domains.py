"""Claims on ROS domains by the fleets of this machine: one locked file per domain in a folder that all users share.

The kernel ends a lock together with the process that holds it, however that ends. The content of an unlocked file is
not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.words import command_line

VARIABLE = "ROS_DOMAIN_ID"
ROS_DEFAULT, HIGHEST = 0, 232
CHOSEN = range(100, 0, -1)
"""Domains to choose from, in this order. Their ports lie below those that Linux gives to any program; people, who
choose small numbers, are at the other end."""
FOLDER = "rsdfm_ros_domains"
MAX_BYTES, MAX_CHARACTERS, MAX_NAMED_UAVS = 65_536, 300, 64
LOOKERS_S, PAUSE_S = 0.5, 0.02
"""Time that a claim waits for others to read the file: they lock it for an instant."""
FIRST_PORT, PORTS = 7400, 250
"""RTPS: the ports of domain n begin at FIRST_PORT + PORTS · n."""


class DomainError(RsdfmError):
    """A ROS domain that cannot be used, or cannot be determined."""


class DomainHeld(DomainError):
    """Another fleet on this machine holds the domain."""

    def __init__(self, domain: int, holder: Holder | None) -> None:
        self.holder = holder or "an unnamed fleet"
        super().__init__(f"ROS domain {domain} belongs to another fleet: {self.holder}")


@dataclass(frozen=True)
class Holder:
    """Holder of a domain. out: folder of its results, "" for none · uavs: names · started: ISO 8601, UTC."""

    pid: int
    user: str
    command: str
    out: str
    uavs: tuple[str, ...]
    started: str

    def __str__(self) -> str:
        results = f", results in {self.out}" if self.out else ""
        return f"process {self.pid} of {self.user} (`{self.command}`){results}"


def this_process(out: str | Path | None, uavs: Sequence[str]) -> Holder:
    """This process as the holder of a domain."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # an id without a name, as in containers
        user = f"user {os.getuid()}"
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    folder = "" if out is None else str(Path(out).absolute())
    return Holder(os.getpid(), user, command_line(), folder, tuple(uavs), started)


def environment_domain() -> int | None:
    """ROS_DOMAIN_ID of the environment, None where it is not set. Raises: DomainError."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST):
        raise DomainError(f"{VARIABLE}: expected 0 to {HIGHEST}, got {text!r}")
    return int(text)


@contextlib.contextmanager
def locked(domain: int, holder: Holder) -> Iterator[None]:
    """Hold a domain. Raises: DomainHeld; DomainError if its file cannot be used."""
    path = _folder() / f"{domain}.json"
    try:
        file = _opened(path)
    except OSError as error:
        raise DomainError(f"cannot lock ROS domain {domain}: {path}: {error.strerror}: {_CURE}") from error
    try:
        if not _lock(file):
            raise DomainHeld(domain, _read(file))
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(holder)).encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)  # ends the lock too


def holders() -> dict[int, Holder]:
    """Domain → holder, of all visible fleets on this machine."""
    found = {}
    for domain in range(HIGHEST + 1):
        with contextlib.suppress(OSError):
            file = os.open(_path() / f"{domain}.json", os.O_RDONLY | _SAFELY)
            try:
                if stat.S_ISREG(os.fstat(file).st_mode) and not _try(file, fcntl.LOCK_SH):
                    holder = _read(file)
                    found |= {domain: holder} if holder is not None else {}
            finally:
                os.close(file)
    return found


def joined_domain() -> tuple[int | None, str]:
    """The domain in which to look for a fleet, and a message for the user, "" if there is none.

    None: that of the environment, or ROS' own default. Raises: DomainError if several fleets run on this machine.
    """
    if environment_domain() is not None:
        return None, ""
    running = holders()
    if not running:
        return None, ""
    if len(running) > 1:
        listed = "\n".join(f"  {VARIABLE}={domain}  {holder}" for domain, holder in running.items())
        raise DomainError(f"{len(running)} fleets run here: choose one by its ROS domain\n{listed}")
    domain, holder = next(iter(running.items()))
    return domain, f"ROS domain {domain}: the fleet of {holder}"


def has_ports(domain: int) -> bool:
    """Whether a program on this machine uses UDP ports of a domain; False where that is unknown."""
    first = FIRST_PORT + PORTS * domain
    return any(first <= port < first + PORTS for port in udp_ports())


def udp_ports() -> Iterator[int]:
    """UDP ports in use on this machine; none where that is unknown."""
    for table in ("udp", "udp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                yield int(line.split()[1].rpartition(":")[2], 16)


# --- the files --------------------------------------------------------------------------------------------------------

_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No symbolic link of another user, no waiting for the other end of a pipe, not inherited by child processes."""
_CURE = "remove it, or set TMPDIR to a folder that you may write to"


def _path() -> Path:
    return Path(tempfile.gettempdir()) / FOLDER


def _folder() -> Path:
    """The folder of the files, which every user may write to but not remove others' files from, as /tmp itself."""
    path = _path()
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            path.chmod(0o1777)
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(0, "not a folder")
    except OSError as error:
        raise DomainError(f"cannot lock ROS domains in {path}: {error.strerror}: {_CURE}") from error
    return path


def _opened(path: Path) -> int:
    """An ordinary file, made if need be. Raises: OSError."""
    try:
        # Without O_CREAT: Linux may refuse it for another user's file in such a folder (fs.protected_regular).
        file = os.open(path, os.O_RDWR | _SAFELY)
    except FileNotFoundError:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
            os.fchmod(file, 0o666)
        except FileExistsError:
            file = os.open(path, os.O_RDWR | _SAFELY)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(file)
        raise OSError(0, "not an ordinary file")
    return file


def _lock(file: int) -> bool:
    """Lock the file for this process alone; returns whether that worked. Waits for processes that only read it."""
    deadline_s = time.monotonic() + LOOKERS_S
    while not _try(file, fcntl.LOCK_EX):
        # A shared lock is possible beside those of other readers, not beside that of a fleet.
        if not _try(file, fcntl.LOCK_SH) or time.monotonic() > deadline_s:
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(PAUSE_S)
    return True


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> Holder | None:
    """Holder that a file names; None for any other content: everybody may write there."""
    try:
        values = json.loads(os.pread(file, MAX_BYTES, 0))
        made = {field.name: values[field.name] for field in fields(Holder)}
        texts = {name: _text(made[name]) for name in ("user", "command", "out", "started")}
        return Holder(int(made["pid"]), uavs=tuple(map(_text, made["uavs"][:MAX_NAMED_UAVS])), **texts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _text(value: Any) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(value)[:MAX_CHARACTERS])
