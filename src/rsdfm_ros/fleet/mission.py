"""Run a described fleet from its first process to its result.

result = run_fleet(load_fleet("config/fleet/demo.yaml"), out_dir="out/demo", on_status=print)
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError, require_ros
from rsdfm_ros.fleet.description import FleetDescription
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec, node_specifications

POLL_S = 0.05
EVALUATOR_PATIENCE_S = 60.0
"""How long the evaluator may take to write its results once the world has ended."""

OnStatus = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FleetResult:
    """out_dir: folder with result.json, status.jsonl, logs/, and what was recorded · result: content of result.json,
    None without an evaluator or world · seconds: from the first process to the last."""

    out_dir: Path
    result: dict[str, Any] | None
    seconds: float


def run_fleet(
    fleet: FleetDescription,
    *,
    out_dir: str | Path,
    on_status: OnStatus | None = None,
    on_line: Callable[[str, str], None] | None = None,
) -> FleetResult:
    """Start every process, wait for the end of the mission, end every process.

    A mission ends when its evaluator has written the result, or its world has ended and there is no evaluator; without
    a world it runs until KeyboardInterrupt. on_status: called with every line of status.jsonl (nodes/report.py), one
    per answered frame. on_line: called with (process, line) for all their output.
    Raises: RsdfmError if a process ends too early, with its last lines; KeyboardInterrupt after everything was ended.
    """
    require_ros("a fleet")
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    (out / "status.jsonl").unlink(missing_ok=True)
    (out / "result.json").unlink(missing_ok=True)
    for old in (out / "logs").glob("*.log"):
        old.unlink()
    specs = node_specifications(fleet, out)
    start = time.monotonic()
    try:
        with _sigterm_interrupts(), Supervisor(out / "logs", on_line) as supervisor:
            for spec in specs:
                supervisor.start(spec)
            _watch(supervisor, specs, StatusTail(out / "status.jsonl", on_status))
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"every process was ended; results and logs so far are in {out}"
        ) from interrupt
    result = out / "result.json"
    content = json.loads(result.read_text()) if result.is_file() else None
    if content is None and fleet.evaluator.enabled and fleet.world.kind == "simulation":
        raise RsdfmError(f"the mission ended without a result; the logs are in {out / 'logs'}")
    return FleetResult(out, content, time.monotonic() - start)


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end a fleet as Ctrl-C does; signals belong to the main thread, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StatusTail:
    """Follows a file of JSON lines that another process appends to."""

    def __init__(self, path: Path, on_status: OnStatus | None) -> None:
        self._path, self._on_status = path, on_status
        self._offset = 0

    def poll(self) -> None:
        """Pass on every line that was completed since the last call."""
        if self._on_status is None or not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._on_status(json.loads(line))


def _watch(supervisor: Supervisor, specs: list[NodeSpec], tail: StatusTail) -> None:
    by_role: dict[str, list[str]] = {}
    for spec in specs:
        by_role.setdefault(spec.role, []).append(spec.name)
    world, evaluator = by_role.get("world", []), by_role.get("evaluator", [])
    world_ended_s: float | None = None
    while True:
        tail.poll()
        for name in supervisor.names():
            status = supervisor.status(name)
            expected = status == 0 and name in (*world, *evaluator)
            if status is not None and not expected:
                raise supervisor.crashed(name)
        if evaluator and supervisor.status(evaluator[0]) == 0:
            tail.poll()
            return
        if world and supervisor.status(world[0]) == 0:
            world_ended_s = world_ended_s or time.monotonic()
            if not evaluator:
                return
            if time.monotonic() - world_ended_s > EVALUATOR_PATIENCE_S:
                raise RsdfmError(
                    f"the world ended, but the evaluator wrote no result within {EVALUATOR_PATIENCE_S:.0f} s"
                )
        time.sleep(POLL_S)
