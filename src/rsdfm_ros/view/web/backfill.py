"""What a mission that flies has recorded already, for a page that is opened later."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rsdfm_ros.evaluation.report.recording import RunError, Surroundings, read_frame
from rsdfm_ros.view.sources import show_frame
from rsdfm_ros.view.web.record import MissionRecord

SHARE = 0.02
"""Of a core: the mission goes first."""
MAX_FRAMES = 2000
MAX_LINE_BYTES = 1_000_000


class Backfill:
    """Reads frames of a run's folder, newest first, that a record lacks, in a thread of its own."""

    def __init__(self, record: MissionRecord, folder: Path) -> None:
        self._record, self._folder = record, folder
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin; what lies there later is read at the next start."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._work, name="backfill", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End early."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def _work(self) -> None:
        try:
            surroundings = Surroundings.read(self._folder)
        except (RunError, ValueError, TypeError):
            surroundings = Surroundings()
        self._record.surroundings(surroundings.roads, surroundings.buildings)
        lines = read_lines(self._folder / "status.jsonl", self._ending.is_set)
        known = self._record.instants.known
        for path in sorted((self._folder / "frames").glob("*.npz"), reverse=True)[:MAX_FRAMES]:
            start_s = time.thread_time()
            line = lines.get(int(path.stem)) if path.stem.isdigit() else None
            if line is not None and not known(round(line["stamp_s"] * 1e9)):
                with contextlib.suppress(RunError):  # it is being written
                    show_frame(read_frame(path), line, surroundings, self._record)
            if self._ending.wait((time.thread_time() - start_s) / SHARE):
                return


def read_lines(path: Path, ending: Callable[[], bool]) -> dict[int, dict[str, Any]]:
    """Frame → its line of status.jsonl, as far as the file can be read."""
    lines: dict[int, dict[str, Any]] = {}
    if not path.is_file():
        return lines
    with path.open("rb") as file:
        while (text := file.readline(MAX_LINE_BYTES)) and not ending():
            try:
                line = json.loads(text)
                lines[int(line["frame"])] = {
                    "stamp_s": float(line["stamp_s"]),
                    "agents": dict(line["agents"]),
                }
            except (ValueError, TypeError, KeyError):
                continue  # the last line may be incomplete
    return lines
