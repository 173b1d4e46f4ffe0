"""One thread for the heavy work of a process, so that no executor ever blocks on inference."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """Runs jobs one after the other; every slot holds the newest job only.

    A job submitted to an occupied slot replaces the one that waits there: stale input is dropped and counted in
    `dropped` by slot. Slots are served in the order in which they were filled. An error in a job goes to `on_error`
    and does not stop the thread.
    """

    def __init__(self, on_error: Callable[[str, Exception], None], name: str = "worker") -> None:
        self._on_error = on_error
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._wake = threading.Condition()
        self._closed = False
        self._busy = False
        self.dropped: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, slot: str, job: Job) -> None:
        """Run `job` soon, instead of whatever still waits in `slot`. Ignored once closed."""
        with self._wake:
            if self._closed:
                return
            if slot in self._jobs:
                self.dropped[slot] += 1
            self._jobs[slot] = job
            self._wake.notify_all()

    def clear(self) -> None:
        """Forget all waiting jobs; one that runs is finished."""
        with self._wake:
            self._jobs.clear()

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether all jobs were done within the time."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._jobs and not self._busy, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Finish the running job, drop the waiting ones, end the thread; whether it ended in time."""
        with self._wake:
            self._closed = True
            self._jobs.clear()
            self._wake.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                slot, job = self._jobs.popitem(last=False)
                self._busy = True
            try:
                job()
            except Exception as error:
                self._on_error(slot, error)
            finally:
                with self._wake:
                    self._busy = False
                    self._wake.notify_all()
