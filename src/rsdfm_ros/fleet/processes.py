"""Plain processes for a fleet: started together, watched, and always ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import yaml

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.specification import NodeSpec
from rsdfm_ros.waiting import uninterrupted

LAST_LINES = 20
SIGTERM_S, SIGKILL_S, GONE_S = 6.0, 3.0, 3.0
"""Time that a process is given to end: after SIGINT until SIGTERM, after that until SIGKILL, after that at all, s."""
_PR_SET_PDEATHSIG = 1


class ProcessCrashed(RsdfmError):
    """A process of the fleet ended although it should not have."""

    def __init__(self, name: str, status: int, last_lines: Sequence[str], log: Path) -> None:
        self.name, self.status, self.last_lines, self.log = name, status, tuple(last_lines), log
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        tail = "\n".join(f"    {line}" for line in last_lines) or "    (it printed nothing)"
        super().__init__(f"{name} {how}. Its last lines ({log}):\n{tail}")


@dataclass
class Running:
    """A started process."""

    spec: NodeSpec
    process: subprocess.Popen[str]
    log: Path
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    reader: threading.Thread | None = None


class Supervisor:
    """Starts and ends processes. A context manager: leaving it ends all of them.

    logs: folder for <name>.log and <name>.yaml (the parameters) · on_line: called with (name, line) of all output ·
    sigterm_s, sigkill_s: how long processes are given to end.
    """

    def __init__(
        self,
        logs: Path,
        on_line: Callable[[str, str], None] | None = None,
        *,
        sigterm_s: float = SIGTERM_S,
        sigkill_s: float = SIGKILL_S,
    ) -> None:
        self.logs = logs
        self._on_line = on_line
        self._steps = ((signal.SIGINT, sigterm_s), (signal.SIGTERM, sigkill_s), (signal.SIGKILL, GONE_S))
        self._running: dict[str, Running] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, spec: NodeSpec, environment: Mapping[str, str] | None = None) -> None:
        """Start one process in a process group of its own; again, if one of that name has ended."""
        log = self.logs / f"{spec.name}.log"
        command = command_of(spec, self.logs)
        with uninterrupted():  # otherwise a started process might not be registered
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **spec.environment, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
            running = Running(spec, process, log)
            assert process.stdout is not None
            running.reader = threading.Thread(target=self._read, args=(running, process.stdout), daemon=True)
            running.reader.start()
            self._running[spec.name] = running

    def status(self, name: str) -> int | None:
        """Exit status of a process, None while it runs."""
        return self._running[name].process.poll()

    def pid(self, name: str) -> int:
        """Process id."""
        return self._running[name].process.pid

    def crashed(self, name: str) -> ProcessCrashed:
        """Error for a process that ended."""
        running = self._running[name]
        if running.reader is not None:
            running.reader.join(1.0)
        return ProcessCrashed(name, running.process.wait(), list(running.tail), running.log)

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End processes (all by default) with SIGINT, SIGTERM, then SIGKILL, until none is left, children included."""
        chosen = [self._running[n] for n in (names if names is not None else list(self._running))]
        for number, patience_s in self._steps:
            alive = [r for r in chosen if r.process.poll() is None]
            for running in alive:
                _signal_group(running.process.pid, number)
            deadline = time.monotonic() + patience_s
            while any(r.process.poll() is None for r in alive) and time.monotonic() < deadline:
                time.sleep(0.02)
        for running in chosen:
            _signal_group(running.process.pid, signal.SIGKILL)
            if running.reader is not None:
                running.reader.join(1.0)

    def _read(self, running: Running, stream: IO[str]) -> None:
        with running.log.open("ab", buffering=0) as log:
            for line in stream:
                # A full disk must not end this thread: the process would be blocked as soon as its pipe is full.
                with contextlib.suppress(OSError):
                    log.write(line.encode())
                running.tail.append(line.rstrip("\n"))
                if self._on_line is not None:
                    self._on_line(running.spec.name, line.rstrip("\n"))


def command_of(spec: NodeSpec, folder: Path) -> list[str]:
    """The command of a process; the parameters of a node go to <folder>/<name>.yaml."""
    if spec.command:
        return list(spec.command)
    command = [sys.executable, "-m", "rsdfm_ros.start", spec.executable, "--ros-args"]
    if spec.namespace:
        command += ["-r", f"__ns:={spec.namespace}"]
    for name, given in spec.remaps.items():
        command += ["-r", f"{name}:={given}"]
    for path in (parameter_file_of(spec, folder), *spec.params_files):
        command += ["--params-file", str(path)]
    return [*command, *(["--log-level", spec.log_level] if spec.log_level else [])]


def parameter_file_of(spec: NodeSpec, folder: Path) -> Path:
    """Write the parameters of a process to <folder>/<name>.yaml, for all its nodes; that path."""
    path = folder / f"{spec.name}.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(spec.parameters)}}, sort_keys=False))
    return path


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _die_with_parent() -> None:
    """End children even when the parent is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
