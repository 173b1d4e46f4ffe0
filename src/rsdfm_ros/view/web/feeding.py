"""Recorded missions into a record: in a thread of its own, begun by the first page that opens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.timing import in_lockstep
from rsdfm_ros.view.sources import is_run, left_out, show_bag, show_run
from rsdfm_ros.view.web.record import MissionRecord

OnProblems = Callable[[list[str]], None]


def record_of(path: Path) -> MissionRecord:
    """An empty record of the mission of a bag or a run. Raises: RunError."""
    lockstep = is_run(path) and in_lockstep(RunReader(path).result)
    return MissionRecord(f"Mission: {path.name}", lockstep=lockstep)


def feed(
    record: MissionRecord, path: Path, topic_map: TopicMap, on_step: Callable[[int, int], None]
) -> list[str]:
    """Read a bag or the folder of a run into a record; what was left out. Raises: as show_bag and show_run."""
    if is_run(path):
        show_run(path, record, on_step)
        return []
    return left_out(show_bag(path, record, topic_map, on_step))


class Feeder:
    """Feeds a record once. on_problems: called in the thread with what was left out, or why nothing can be shown."""

    def __init__(
        self, record: MissionRecord, path: Path, topic_map: TopicMap, on_problems: OnProblems
    ) -> None:
        self._record, self._path, self._map, self._on_problems = record, path, topic_map, on_problems
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="feed", daemon=True)

    def start(self) -> None:
        """Begin, once."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """End early."""
        self._ending = True
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def _work(self) -> None:
        try:
            problems = feed(self._record, self._path, self._map, self._step)
        except (RsdfmError, OSError) as error:
            self._record.end(f"this cannot be shown: {reason(error)}")
            problems = [str(error)]
        except InterruptedError:
            return
        if problems:
            self._on_problems(problems)

    def _step(self, done: int, total: int) -> None:
        if self._ending:
            raise InterruptedError
