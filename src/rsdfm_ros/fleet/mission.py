"""Run a described fleet from its first process to its result.

result = run_fleet(load_fleet("config/fleet/demo.yaml"), out_dir="out/demo", on_status=print)
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError, require_ros
from rsdfm_ros.fleet.about import about_mission
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import END, NONE, RESPAWN
from rsdfm_ros.fleet.domain import claim_domain, in_domain
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.run_folder import RunFolder, run_folder
from rsdfm_ros.fleet.specification import EVALUATOR, UAV, WORLD, NodeSpec, node_specifications
from rsdfm_ros.fleet.surroundings import write_surroundings

POLL_S = 0.05
EVALUATOR_PATIENCE_S = 60.0
"""Time that the evaluator may take to write its results once the world has ended and it has waited for answers."""
VOID = "void.json"
"""File that the evaluator writes instead of result.json when the mission is void."""
REFUSED = 2
"""Exit status of a node that refuses its settings, such as a model that does not exist."""

OnStatus = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FleetResult:
    """out_dir: folder with result.json, status.jsonl, logs/, and what was recorded; until a `RunFolder` is left, its
    work folder · result: content of result.json, None without an evaluator or world · seconds: from the first process
    to the last."""

    out_dir: Path
    result: dict[str, Any] | None
    seconds: float


def run_fleet(
    fleet: FleetDescription,
    *,
    out_dir: str | Path | RunFolder,
    on_status: OnStatus | None = None,
    on_line: Callable[[str, str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    companions: Sequence[NodeSpec] = (),
    claimed: bool = False,
) -> FleetResult:
    """Start every process, wait for the end of the mission, end every process.

    out_dir: a folder that `run_folder` has opened for this run, or the path of one to open for it: one with a finished
    run is refused.
    A mission ends when its evaluator has written the result, or its world has ended and there is no evaluator;
    without a world it runs until KeyboardInterrupt. on_status: called with every line of status.jsonl
    (nodes/mission/report.py), one per answered frame. on_line: called with (process, line) for all their output.
    on_note: called with a sentence when a UAV is lost and the others fly on. companions: further processes, such as a
    recorder, whose end does not matter. claimed: the caller holds the fleet's ROS domain (fleet/domain.py); otherwise
    it is claimed here.
    Raises: RsdfmError if a process ends too early, with its last lines, or the mission is void; KeyboardInterrupt after
    everything was ended.
    """
    require_ros("a fleet")
    said: dict[str, Any] = {"on_status": on_status, "on_line": on_line, "on_note": on_note}
    if not claimed:
        path = out_dir.path if isinstance(out_dir, RunFolder) else out_dir
        with claim_domain(fleet, path) as claim:
            more = [in_domain(spec, claim.domain) for spec in companions]
            return run_fleet(claim.fleet, out_dir=out_dir, companions=more, claimed=True, **said)
    if not isinstance(out_dir, RunFolder):
        with run_folder(Path(out_dir)) as opened:
            flown = run_fleet(fleet, out_dir=opened, companions=companions, claimed=True, **said)
        return replace(flown, out_dir=Path(out_dir))
    folder, out = out_dir, out_dir.work
    specs = [*companions, *node_specifications(fleet, out, about_mission(fleet))]
    write_surroundings(fleet, out)
    p = fleet.processes
    start = time.monotonic()
    folder.begin(fleet.world.kind)
    try:
        with (
            _sigterm_interrupts(),
            Supervisor(
                out / "logs", on_line, sigterm_s=p.sigterm_timeout_s, sigkill_s=p.sigkill_timeout_s
            ) as supervisor,
        ):
            for spec in specs:
                supervisor.start(spec)
            _Watch(fleet, supervisor, specs, StatusTail(out / "status.jsonl", on_status), on_note, out).run()
    except KeyboardInterrupt as interrupt:
        if fleet.world.kind == NONE:
            folder.end()  # the end of a fleet without a simulated world
        raise KeyboardInterrupt("every process was ended") from interrupt
    result = out / "result.json"
    content = json.loads(result.read_text()) if result.is_file() else None
    if content is None and fleet.evaluator.enabled and fleet.world.kind != NONE:
        raise RsdfmError(f"the mission ended without a result; the logs are in {out / 'logs'}")
    folder.end()
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


class _Watch:
    """Waits for the end of a mission and handles the end of processes."""

    def __init__(
        self,
        fleet: FleetDescription,
        supervisor: Supervisor,
        specs: Sequence[NodeSpec],
        tail: StatusTail,
        on_note: Callable[[str], None] | None,
        out: Path,
    ) -> None:
        self._fleet, self._supervisor, self._tail = fleet, supervisor, tail
        self._specs = {spec.name: spec for spec in specs}
        self._note = on_note or (lambda sentence: None)
        self._out = out
        self._patience_s = fleet.evaluator.end_timeout_s + EVALUATOR_PATIENCE_S
        self._lost: dict[str, float] = {}
        """Times at which processes of UAVs ended, steady clock, s."""

    def run(self) -> None:
        """Return when the mission has ended. Raises: RsdfmError if it cannot."""
        by_role = {
            role: [s.name for s in self._specs.values() if s.role == role] for role in (WORLD, EVALUATOR)
        }
        world, evaluator = by_role[WORLD], by_role[EVALUATOR]
        world_ended_s: float | None = None
        while True:
            self._tail.poll()
            for spec in self._specs.values():
                self._look(spec)
            if evaluator and self._supervisor.status(evaluator[0]) == 0:
                self._tail.poll()
                return
            if world and self._supervisor.status(world[0]) == 0:
                world_ended_s = world_ended_s or time.monotonic()
                if not evaluator:
                    return
                if time.monotonic() - world_ended_s > self._patience_s:
                    raise RsdfmError(
                        f"the world ended, but the evaluator wrote no result within {self._patience_s:.0f} s"
                    )
            time.sleep(POLL_S)

    def _look(self, spec: NodeSpec) -> None:
        status = self._supervisor.status(spec.name)
        if status is None:
            return
        if spec.role == UAV:
            self._lose(spec, status)
        elif spec.role in (WORLD, EVALUATOR) and status != 0:
            raise self._void() or self._supervisor.crashed(spec.name)

    def _void(self) -> RsdfmError | None:
        """The evaluator's report on a mission that received answers from outside the fleet."""
        note = self._out / VOID
        if not note.is_file():
            return None
        return RsdfmError(
            f"the mission is void and has no result: {json.loads(note.read_text())['reason']}: end what else runs in "
            f"ROS domain {self._fleet.network.domain}, or fly in another"
        )

    def _lose(self, spec: NodeSpec, status: int) -> None:
        if self._fleet.when_lost == END or status == REFUSED:
            raise self._supervisor.crashed(spec.name)
        delay_s, now_s = self._fleet.processes.respawn_delay_s, time.monotonic()
        respawn = self._fleet.when_lost == RESPAWN
        if spec.name not in self._lost:
            self._lost[spec.name] = now_s
            then = f"starting it again in {delay_s:g} s" if respawn else "the others go on"
            self._note(f"{spec.name} ended with status {status}: {then}")
        if respawn and now_s - self._lost[spec.name] >= delay_s:
            del self._lost[spec.name]
            self._supervisor.start(spec)
        uavs = [s.name for s in self._specs.values() if s.role == UAV]
        if not respawn and all(name in self._lost for name in uavs):
            raise self._supervisor.crashed(spec.name)
