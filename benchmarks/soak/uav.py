"""One UAV of a disturbed fleet: what is done to its process, and how long it takes to answer again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.soak.plan import KILL, RESTART, STOP
from benchmarks.soak.world import World
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec

START, CRASH, STUCK = "start", "crash", "stuck"
"""Recoveries that the plan does not ask for: of the first start, of a process that ended by itself or had to be
killed."""
END_S = 15.0
"""Time that a process may take to end after SIGINT."""
STUCK_S = 60.0
"""A UAV that has not answered for so long, although it should, is stuck."""
UP, DOWN, ENDING, STOPPED, RECOVERING = "up", "down", "ending", "stopped", "recovering"


@dataclass
class Recovery:
    """Times of the steady clock, s, None while they have not come. started_s: of the process, or of SIGCONT · ready_s:
    it takes images · image_s: it was shown one · output_s: detections of that or a later one came."""

    agent: str
    kind: str
    started_s: float
    ready_s: float | None = None
    image_s: float | None = None
    image_ns: int = 0
    output_s: float | None = None

    def since(self, begin: str) -> float | None:
        """Seconds from `started`, `ready` or `image` to the output."""
        begin_s = getattr(self, f"{begin}_s")
        return None if self.output_s is None or begin_s is None else float(self.output_s - begin_s)


class Uav:
    """recoveries: all so far, the newest may be unfinished · stuck, crashes: sentences."""

    def __init__(
        self, spec: NodeSpec, supervisor: Supervisor, world: World, clock: Callable[[], float]
    ) -> None:
        self.name, self.state = spec.name, DOWN
        self.recoveries: list[Recovery] = []
        self.stuck: list[str] = []
        self.crashes: list[str] = []
        self._spec, self._supervisor, self._world, self._clock = spec, supervisor, world, clock
        self._until_s, self._down_s, self._why = 0.0, 0.0, START
        self._known: set[bytes] = set()
        """Subscriptions to its images of processes that are gone, which DDS still knows for a while."""
        self._heard_s, self._heard_ns = clock(), -1

    @property
    def pid(self) -> int | None:
        """Its process, None while there is none."""
        if not self._world.lives[self.name] or self._supervisor.status(self.name) is not None:
            return None
        return self._supervisor.pid(self.name)

    def disturb(self, kind: str, length_s: float) -> bool:
        """Kill, stop or restart it; False, and nothing happens, unless it is at work."""
        if self.state != UP or self.pid is None:
            return False
        self._why, now_s = kind, self._clock()
        number = {KILL: signal.SIGKILL, STOP: signal.SIGSTOP, RESTART: signal.SIGINT}[kind]
        self._known = self._world.takers(self.name)
        os.kill(self.pid, number)
        self._until_s = now_s + length_s
        self.state = {KILL: DOWN, STOP: STOPPED, RESTART: ENDING}[kind]
        if kind == RESTART:
            self._down_s, self._until_s = length_s, now_s + END_S
        return True

    def shown(self, stamp_ns: int) -> None:
        """Note that an image was published."""
        recovery = self.recoveries[-1] if self.state == RECOVERING else None
        if recovery is not None and recovery.ready_s is not None and recovery.image_s is None:
            recovery.image_s, recovery.image_ns = self._clock(), stamp_ns

    def step(self) -> None:
        """Go on with what is due."""
        now_s = self._clock()
        if self.state == DOWN and now_s >= self._until_s:
            self._start(now_s)
        elif self.state == STOPPED and now_s >= self._until_s:
            self.go_on()
            self._recover(Recovery(self.name, STOP, now_s, ready_s=now_s))
        elif self.state == ENDING:
            self._wait_for_end(now_s)
        elif self.state in (UP, RECOVERING):
            self._watch(now_s)

    def go_on(self) -> None:
        """Let a stopped process run."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)

    def _start(self, now_s: float) -> None:
        self._world.lives[self.name] += 1
        self._supervisor.start(self._spec)
        self._recover(Recovery(self.name, self._why, now_s))

    def _recover(self, recovery: Recovery) -> None:
        self.recoveries.append(recovery)
        self.state = RECOVERING

    def _wait_for_end(self, now_s: float) -> None:
        status = self._supervisor.status(self.name)
        if status is None and now_s < self._until_s:
            return
        if status is None:
            self._kill(f"{self.name} has not ended {END_S:.0f} s after SIGINT")
        elif status:
            self.crashes.append(f"{self.name} ended with status {status} after SIGINT")
        self.state, self._until_s = DOWN, now_s + self._down_s

    def _watch(self, now_s: float) -> None:
        if self._supervisor.status(self.name) is not None:
            self.crashes.append(str(self._supervisor.crashed(self.name)))
            self._why, self.state, self._until_s = CRASH, DOWN, now_s
            return
        answered_ns = self._world.answered_ns[self.name]
        if answered_ns > self._heard_ns:
            self._heard_s, self._heard_ns = now_s, answered_ns
        quiet_s = now_s - self._heard_s
        if self.state == RECOVERING:
            recovery = self.recoveries[-1]
            if recovery.ready_s is None and self._world.takers(self.name) - self._known:
                recovery.ready_s = now_s
            if recovery.image_s is not None and answered_ns >= recovery.image_ns:
                recovery.output_s, self.state = now_s, UP
                return
            quiet_s = now_s - recovery.started_s
        if quiet_s > STUCK_S:
            self._kill(f"{self.name} has not answered for {quiet_s:.0f} s while {self.state} ({self._why})")
            self._why, self.state, self._until_s = STUCK, DOWN, now_s

    def _kill(self, sentence: str) -> None:
        self.stuck.append(sentence)
        self._known = self._world.takers(self.name)
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
