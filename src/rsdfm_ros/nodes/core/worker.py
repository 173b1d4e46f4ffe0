"""Threads for heavy work: one per process, so that no executor ever blocks on inference, and work that may wait."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

Job = Callable[[], None]

WAITING_NICENESS = 5
"""A third of the processor's time of a thread of normal priority, where there is not enough for both."""


def give_way() -> bool:
    """Lower the calling thread's priority by WAITING_NICENESS; whether the system has a priority per thread (Linux)."""
    if sys.platform != "linux":
        return False
    thread = threading.get_native_id()
    niceness = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, min(niceness + WAITING_NICENESS, 19))
    return True


class Worker:
    """Runs jobs one after the other; every slot holds the newest job only.

    A job submitted to an occupied slot replaces the one that waits there: stale input is dropped and counted in
    `dropped` by slot. An error in a job goes to `on_error` and does not stop the thread. The thread lives from the
    first job until the last user has left (or `close`).

    stages: slots of the steps of one piece of work, in their order. The last step that has a job is served first: what
    was begun is finished before something newer is begun. Other slots are served after them, in the order in which they
    were filled · held: slot → whether its job has to wait, a function that takes no lock; call `look` when it does not
    any more.
    """

    def __init__(
        self,
        on_error: Callable[[str, Exception], None],
        name: str = "worker",
        *,
        stages: Sequence[str] = (),
        held: Mapping[str, Callable[[], bool]] | None = None,
    ) -> None:
        self._on_error, self._name = on_error, name
        self._rank = {slot: number for number, slot in enumerate(reversed(stages))}
        self._held = held or {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._wake = threading.Condition()
        self._closed = False
        self._users = 0
        self._running: str | None = None
        self._thread: threading.Thread | None = None
        self.dropped: Counter[str] = Counter()

    def enter(self) -> None:
        """Register a user; opens a worker that was closed."""
        with self._wake:
            self._users += 1
            self._closed = False

    def leave(self, slots: Iterable[str], timeout_s: float = 10.0) -> bool:
        """Unregister a user: clear its slots and wait for their running job; returns whether it ended in time."""
        mine = set(slots)
        with self._wake:
            for slot in mine:
                self._jobs.pop(slot, None)
            done = self._in_worker() or self._wake.wait_for(lambda: self._running not in mine, timeout_s)
            self._users = max(0, self._users - 1)
            last = self._users == 0
        return self.close(timeout_s) and done if last else done

    def submit(self, slot: str, job: Job) -> bool:
        """Run `job` soon, in place of a job that waits in `slot`; returns whether one was dropped.

        Ignored once closed.
        """
        with self._wake:
            if self._closed:
                return False
            stale = slot in self._jobs
            if stale:
                self.dropped[slot] += 1
            self._jobs[slot] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify_all()
            return stale

    def look(self) -> None:
        """Run the jobs that are not held any more."""
        with self._wake:
            self._wake.notify_all()

    def clear(self) -> None:
        """Forget all waiting jobs; one that runs is finished."""
        with self._wake:
            self._jobs.clear()
            self._wake.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether all jobs were done within the time."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._jobs and self._running is None, timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Finish the running job, drop the waiting ones, end the thread; whether it ended in time."""
        with self._wake:
            self._closed = True
            self._jobs.clear()
            thread = self._thread
            self._wake.notify_all()
        if thread is None or self._in_worker():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _report(self, slot: str, error: Exception) -> None:
        try:
            self._on_error(slot, error)
        except Exception:  # an error in the error handler must not end the thread
            traceback.print_exc()

    def _next(self) -> str | None:
        """The slot whose turn it is; None if all are empty or held."""
        last = len(self._rank)
        for slot in sorted(self._jobs, key=lambda slot: self._rank.get(slot, last)):
            if slot not in self._held or not self._held[slot]():
                return slot
        return None

    def _in_worker(self) -> bool:
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        slot: str | None = None
        while True:
            with self._wake:
                while not self._closed and (slot := self._next()) is None:
                    self._wake.wait()
                if self._closed:
                    self._thread = None
                    return
                assert slot is not None
                job = self._jobs.pop(slot)
                self._running = slot
            try:
                job()
            except Exception as error:
                self._report(slot, error)
            finally:
                del job  # objects that it holds, such as a model, must not outlive it
                with self._wake:
                    self._running = None
                    self._wake.notify_all()
