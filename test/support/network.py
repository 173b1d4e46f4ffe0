"""Computers that are network namespaces: each with an interface of its own, joined by support/network_switch.py.

Linux only, as root, with ip and tc of iproute2; `missing` says why it cannot be had.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rsdfm_ros.wire.faults.link import LinkFaults
from support.places import TEST

INTERFACE = "eth0"
COMMAND_S = 20.0
SWITCH = TEST / "support" / "network_switch.py"


def missing() -> str | None:
    """Reason why there can be no such network here; None if there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    absent = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} of iproute2 not installed"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        with Network(["a", "b"], "probe") as network:
            network.limit_rate("a", "1mbit")
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return f"no network namespaces here: {error}"
    return None


class Network:
    """A context manager: leaving it ends the switch and removes the namespaces; processes inside are the caller's."""

    def __init__(self, names: Sequence[str], label: str = "net", seed: int = 1) -> None:
        self.names = tuple(names)
        prefix = f"rsdfm-{label}-{os.getpid()}"
        self._spaces = {name: f"{prefix}-{name}" for name in names}
        self._hub, self._seed = f"{prefix}-hub", seed
        self._switch: subprocess.Popen[str] | None = None

    def __enter__(self) -> Network:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self) -> None:
        for space in (self._hub, *self._spaces.values()):
            _run("ip", "netns", "add", space)
        for number, space in enumerate(self._spaces.values()):
            port = f"port{number}"
            peer = ("peer", "name", INTERFACE, "netns", space)
            _run("ip", "link", "add", port, "netns", self._hub, "type", "veth", *peer)
            _run("ip", "-n", self._hub, "link", "set", port, "up")
            _run("ip", "-n", space, "address", "add", f"10.77.0.{number + 1}/24", "dev", INTERFACE)
            for device in ("lo", INTERFACE):
                _run("ip", "-n", space, "link", "set", device, "up")
            _run("ip", "-n", space, "route", "add", "default", "dev", INTERFACE)
        ports = [f"port{number}" for number in range(len(self.names))]
        command = [sys.executable, str(SWITCH), str(self._seed), *ports]
        self._switch = subprocess.Popen(
            ["ip", "netns", "exec", self._hub, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._answer()

    def command(self, name: str, *words: str | Path) -> list[str]:
        """A command line that runs these words in a namespace."""
        return ["ip", "netns", "exec", self._spaces[name], *map(str, words)]

    def limit_rate(self, name: str, rate: str | None) -> None:
        """Limit what leaves an interface (`tc tbf`), e.g. to "2mbit"; None: no limit."""
        where = ("dev", INTERFACE, "root")
        if rate is None:
            _run(*self.command(name, "tc", "qdisc", "del", *where))
        else:
            limit = ("tbf", "rate", rate, "burst", "16kb", "latency", "400ms")
            _run(*self.command(name, "tc", "qdisc", "replace", *where, *limit))

    def set_faults(self, faults: LinkFaults) -> dict[str, int]:
        """Set the faults of all links from now on; the counts of the switch since the last time."""
        assert self._switch is not None
        stdin: IO[str] | None = self._switch.stdin
        assert stdin is not None
        stdin.write(json.dumps(asdict(faults)) + "\n")
        stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, int]:
        assert self._switch is not None and self._switch.stdout is not None
        line = self._switch.stdout.readline()
        assert line, "the switch between the namespaces has ended"
        found: dict[str, int] = json.loads(line)
        return found

    def sent_bytes(self, name: str) -> int:
        """Bytes that left the interface of a namespace, with Ethernet headers."""
        words = ("-s", "-j", "-n", self._spaces[name], "link", "show", INTERFACE)
        facts: list[dict[str, Any]] = json.loads(_run("ip", *words))
        return int(facts[0]["stats64"]["tx"]["bytes"])

    def close(self) -> None:
        """End the switch and remove the namespaces."""
        if self._switch is not None:
            self._switch.kill()
            self._switch.communicate()
            self._switch = None
        for space in (*self._spaces.values(), self._hub):
            if Path("/run/netns", space).exists():
                _run("ip", "netns", "del", space)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
