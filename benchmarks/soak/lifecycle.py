"""Rounds through the lifecycle of every node, each in a process of its own: what is left of them in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rich.console import Console
from rich.table import Table

from benchmarks.errors import BenchError
from benchmarks.soak.processes import rss_mb
from benchmarks.soak.slope import slope_of_points
from benchmarks.soak.world import World
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NODES, NodeSpec

AGENT = "uav1"
ROUND = (
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
)
RSS_MB_ROUND = 0.02
"""Bar of the growth of resident memory: of a leak, 200 rounds make more than 4 MB."""
ANSWER_S = 120.0
WARM_UP_SHARE, WARM_UP_LEAST = 0.2, 2
"""Rounds before those that count."""


@dataclass(frozen=True)
class Case:
    """One process. nodes: those in it, in the order in which they are brought up · flies: it answers an image in every
    round."""

    executable: str
    parameters: dict[str, Any] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    flies: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes in the process."""
        return self.nodes or (self.executable,)


def cases(model: str) -> list[Case]:
    """Every node that stays when it is deactivated: those of a simulation, replay, recording or evaluation end with it,
    and are in `test/unit/nodes/test_lifecycle_rounds.py`."""
    of_model: dict[str, Any] = {"model": model, "image_reliability": "best_effort"}
    return [
        *(Case(node, {"model": model}) for node in NODES),
        Case("uav_node", of_model, (*NODES[1:], NODES[0]), flies=True),
        Case("fault_injector_node", {"links": ["/uav2/bev/features"]}),
        Case("gazebo_flight_node", {"agents": [AGENT]}),
    ]


@dataclass
class Used:
    """What a process has after each round."""

    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    def note(self, pid: int) -> None:
        """Read it now."""
        self.threads.append(len(os.listdir(f"/proc/{pid}/task")))
        self.files.append(len(os.listdir(f"/proc/{pid}/fd")))
        self.rss_mb.append(rss_mb(pid) or 0.0)


def measure(
    chosen: Sequence[Case],
    rounds: int,
    world: World,
    supervisor: Supervisor,
    environment: dict[str, str],
    progress: Callable[[str], None],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and figures of one case after the other. progress: called after every round. Raises: BenchError."""
    for case in chosen:
        parameters = {"autostart": False, **case.parameters}
        spec = NodeSpec(case.executable, "uav", case.executable, f"/{AGENT}", parameters, {**environment})
        world.lives[AGENT] += 1
        supervisor.start(spec)
        used, known = Used(), world.takers(AGENT)
        for _ in range(rounds):
            _round(case, world, supervisor, known)
            used.note(supervisor.pid(spec.name))
            progress(case.executable)
        supervisor.stop([spec.name])
        yield case.executable, figures_of(used) | {"status": supervisor.status(spec.name)}


def _round(case: Case, world: World, supervisor: Supervisor, known: set[bytes]) -> None:
    for transition in ROUND:
        if transition == Transition.TRANSITION_DEACTIVATE and case.flies:
            _until(
                lambda: bool(world.takers(AGENT) - known),
                world,
                supervisor,
                case,
                "no subscription to images",
            )
            stamp_ns = world.show()
            begin_s = time.monotonic()

            def answered() -> bool:
                nonlocal stamp_ns, begin_s
                if time.monotonic() - begin_s > 1.0 and world.answered_ns[AGENT] < stamp_ns:
                    stamp_ns, begin_s = world.show(), time.monotonic()  # it was lost: nobody had matched yet
                return world.answered_ns[AGENT] >= stamp_ns

            _until(answered, world, supervisor, case, "no answer to an image")
        for node in case.names:
            request = ChangeState.Request(transition=Transition(id=transition))
            future = world.ask(ChangeState, f"/{AGENT}/{node}/change_state", request)
            _until(future.done, world, supervisor, case, f"no answer to transition {transition}")
            if not future.result().success:
                raise BenchError(f"{node} refused transition {transition}: see {supervisor.logs}")


def _until(
    condition: Callable[[], bool], world: World, supervisor: Supervisor, case: Case, what: str
) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    while not condition():
        if supervisor.status(case.executable) is not None:
            raise supervisor.crashed(case.executable)
        if time.monotonic() > deadline_s:
            raise BenchError(f"{case.executable}: {what} within {ANSWER_S:.0f} s: see {supervisor.logs}")
        world.spin_once(0.02)


def figures_of(used: Used) -> dict[str, Any]:
    """What was there after the warm-up and at the end, and the growth per round; `leaks` names what grew."""
    rounds = len(used.rss_mb)
    warm = min(rounds - 1, max(WARM_UP_LEAST, round(WARM_UP_SHARE * rounds)))
    numbers = list(range(warm, rounds))
    slope = slope_of_points([(numbers, used.rss_mb[warm:])])
    leaks = [
        name
        for name, values in (("threads", used.threads), ("files", used.files))
        if min(values[-(rounds - warm + 1) // 2 :]) > max(values[:warm])
    ]
    if slope is not None and slope.low > RSS_MB_ROUND:
        leaks.append("memory")
    return {
        "rounds": rounds,
        "threads": [used.threads[warm], used.threads[-1]],
        "files": [used.files[warm], used.files[-1]],
        "rss_mb": [used.rss_mb[warm], used.rss_mb[-1]],
        "rss_mb_round": None if slope is None else slope.value,
        "rss_mb_round_low": None if slope is None else slope.low,
        "rss_mb_round_high": None if slope is None else slope.high,
        "leaks": leaks,
    }


def result_of(found: dict[str, dict[str, Any]], *, complete: bool) -> dict[str, Any]:
    """The result for JSON; `missed` names the nodes with a leak, or that did not end with status 0."""
    missed = [name for name, figures in found.items() if figures["leaks"] or figures["status"]]
    return {"complete": complete, "rss_limit_mb_round": RSS_MB_ROUND, "nodes": found, "missed": missed}


def show(result: dict[str, Any], console: Console) -> None:
    """Print the table."""
    table = Table(title="after warm-up, and at the end")
    for column in ("node", "rounds", "threads", "files", "MB", "kB per round", "95 % interval", "leaks"):
        table.add_column(column, justify="left" if column == "node" else "right")
    for name, f in result["nodes"].items():
        known = f["rss_mb_round"] is not None
        slope = f"{1e3 * f['rss_mb_round']:+.0f}" if known else "–"
        interval = (
            f"{1e3 * f['rss_mb_round_low']:+.0f} to {1e3 * f['rss_mb_round_high']:+.0f}" if known else "–"
        )
        row = [f"{a:.0f} → {b:.0f}" for a, b in (f["threads"], f["files"])]
        row.append("{:.1f} → {:.1f}".format(*f["rss_mb"]))
        table.add_row(name, str(f["rounds"]), *row, slope, interval, ", ".join(f["leaks"]) or "none")
    console.print(table)
