"""A fleet that is disturbed for a while: what was done to it, and what was seen of it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.errors import BenchError
from benchmarks.soak.plan import ATTACK, RADIO, Event
from benchmarks.soak.processes import ATTACKER, injector_of, left_behind, rss_mb
from benchmarks.soak.processes import RADIO as RADIO_PROCESS
from benchmarks.soak.slope import Life
from benchmarks.soak.uav import UP, Recovery, Uav
from benchmarks.soak.world import World
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import UAV, NodeSpec
from rsdfm_ros.wire.faults.attack import NONE
from rsdfm_ros.wire.faults.link import LinkFaults

FIRST_S, LAST_S = 180.0, 60.0
"""Time in which every UAV must have answered at the beginning, and again after the last disturbance."""
STEP_S, SAMPLE_S = 0.05, 1.0
CALM = {
    name: getattr(LinkFaults(), name)
    for name in (
        "loss",
        "loss_correlation",
        "delay_s",
        "jitter_s",
        "reorder",
        "duplicate",
        "corrupt",
        "rate_bytes_s",
    )
}


@dataclass
class Seen:
    """disturbed_s: length of the disturbances so far · loads: of the last minute, in jobs that want a core, at every
    sample · skipped: events for a UAV that was not at work · lives: memory by process · stuck, crashes, orphans:
    sentences · quarantines, tracebacks: in the logs of all processes · errors: of other kinds than refusals, as nodes
    count them · refusals: by reason · shown, heard: images and answers by UAV."""

    disturbed_s: float = 0.0
    loads: list[float] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    lives: dict[str, list[Life]] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    quarantines: int = 0
    tracebacks: list[str] = field(default_factory=list)
    errors: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)

    def on_line(self, process: str, line: str) -> None:
        """Look at a line of a log; called from other threads."""
        if " is quarantined for " in line:
            self.quarantines += 1
        if line.startswith(("Traceback (most recent call last)", "Fatal Python error")):
            self.tracebacks.append(f"{process}: {line}")


class Campaign:
    """Ends all processes in `close`."""

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        supervisor: Supervisor,
        world: World,
        plan: Iterator[Event],
        seen: Seen,
        rate_hz: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seen, self._supervisor, self._world, self._plan = seen, supervisor, world, plan
        self._period_s, self._clock = 1.0 / rate_hz, clock
        self.uavs = {s.name: Uav(s, supervisor, world, clock) for s in specs if s.role == UAV}
        self._others = [s for s in specs if s.role != UAV]
        self._started: list[str] = []
        self._image_s = self._sample_s = 0.0
        self._born: dict[tuple[str, int], tuple[float, Life]] = {}

    def begin(self) -> None:
        """Start everything, and wait until every UAV answers. Raises: BenchError."""
        for spec in self._others:
            self._supervisor.start(spec)
            self._started.append(spec.name)
        if late := self._late_after(FIRST_S):
            raise BenchError(
                f"no answer within {FIRST_S:.0f} s after the start from {', '.join(late)}: see {self._supervisor.logs}"
            )

    def disturb(self, seconds: float, progress: Callable[[Seen], None]) -> None:
        """Disturb the fleet for so long, then let it settle."""
        begin_s = self._clock()
        event = next(self._plan)
        while self.seen.disturbed_s < seconds:
            self._step()
            self.seen.disturbed_s = self._clock() - begin_s
            if self.seen.disturbed_s >= event.at_s:
                self._apply(event)
                event = next(self._plan)
            progress(self.seen)
        self._world.set_parameters(injector_of(RADIO_PROCESS), CALM)
        self._world.set_parameters(injector_of(ATTACKER), {"attack": NONE})
        late = self._late_after(LAST_S)
        self.seen.stuck += [
            f"{name} does not answer {LAST_S:.0f} s after the last disturbance" for name in late
        ]

    def close(self, mark: str) -> None:
        """End all processes as a fleet does, and note who does not go, and who is left."""
        running = [name for name, uav in self.uavs.items() if uav.pid is not None] + self._started
        for uav in self.uavs.values():
            uav.go_on()
        self._supervisor.stop()
        for name in running:
            if status := self._supervisor.status(name):
                self.seen.stuck.append(f"{name} ended with status {status} after SIGINT")
        self.seen.orphans = left_behind(mark)
        for uav in self.uavs.values():
            self.seen.recoveries += uav.recoveries
            self.seen.stuck += uav.stuck
            self.seen.crashes += uav.crashes
        self.seen.recoveries.sort(key=lambda r: r.started_s)
        self.seen.refusals, self.seen.errors = self._world.refusals(), sum(self._world.errors.values())
        self.seen.shown, self.seen.heard = self._world.shown, self._world.heard

    def _late_after(self, limit_s: float) -> list[str]:
        """The UAVs that do not answer an image of from now on within so long."""
        begin_s, begin_ns = self._clock(), time.time_ns()
        while True:
            late = [
                name
                for name, uav in self.uavs.items()
                if uav.state != UP or self._world.answered_ns[name] < begin_ns
            ]
            if not late or self._clock() - begin_s > limit_s:
                return late
            self._step()

    def _step(self) -> None:
        now_s = self._clock()
        if now_s >= self._image_s:
            stamp_ns = self._world.show()
            for uav in self.uavs.values():
                uav.shown(stamp_ns)
            self._image_s = max(self._image_s + self._period_s, now_s)
        self._world.spin(STEP_S)
        for uav in self.uavs.values():
            uav.step()
        for spec in self._others:
            if self._supervisor.status(spec.name) is not None:
                raise self._supervisor.crashed(spec.name)
        if now_s >= self._sample_s:
            self._sample(now_s)
            self._sample_s = now_s + SAMPLE_S

    def _sample(self, now_s: float) -> None:
        self.seen.loads.append(os.getloadavg()[0])
        pids = {name: uav.pid for name, uav in self.uavs.items()}
        pids |= {spec.name: self._supervisor.pid(spec.name) for spec in self._others}
        for name, pid in pids.items():
            rss = None if pid is None else rss_mb(pid)
            if pid is None or rss is None:
                continue
            if (name, pid) not in self._born:
                life = Life()
                self._born[name, pid] = now_s, life
                self.seen.lives.setdefault(name, []).append(life)
            born_s, life = self._born[name, pid]
            life.note(now_s - born_s, rss)

    def _apply(self, event: Event) -> None:
        if event.kind == RADIO:
            self._world.set_parameters(injector_of(RADIO_PROCESS), event.parameters)
        elif event.kind == ATTACK:
            self._world.set_parameters(injector_of(ATTACKER), event.parameters)
        elif not self.uavs[event.agent].disturb(event.kind, event.length_s):
            self.seen.skipped += 1
            return
        self.seen.events[event.kind] += 1
