"""A time limit for the end of a process, which works even if the process is stuck in C code.

rclpy destroys publishers, subscriptions and nodes while it holds the interpreter lock, and the middleware may wait for
threads of its own that never answer (docs/nodes.md, "How a node ends"). No signal handler and no thread of Python runs
then. So the timer, and what it calls, are the C library's.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
from types import TracebackType
from typing import Any

SAVE_S = 60.0
"""Time that a node may take to save data that must not be lost, s."""
LEAVE_S = 4.0
"""Time that everything after that may take, s: less than a fleet waits from SIGINT to SIGTERM."""
LAST_WORDS_S = 0.2
"""Time between the sentence and the end, s: the end does not wait for a reader of the log."""
_CLOCK_MONOTONIC, _SIGEV_THREAD = 1, 2
_SENTENCE_BYTES = 16_384


class _Value(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("pointer", ctypes.c_void_p))


class _Event(ctypes.Structure):
    """struct sigevent of Linux: call `function(value)` in a new thread."""

    _fields_ = (
        ("value", _Value),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("rest", ctypes.c_char * 32),
    )


class _Times(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("period_s", "period_ns", "first_s", "first_ns"))


class TimeLimit:
    """Ends the process with `status` unless `cancel` is called in time; a context manager calls it at its end.

    limit_s: the time, of the steady clock · status: exit status of the process. The last step given to `now` is written
    to stderr when the time is up. Buffers of Python are not written then: flush them before. Elsewhere than on Linux
    the status is 1 and the sentence is a stack of every thread.
    """

    def __init__(self, limit_s: float, status: int) -> None:
        self._limit_s, self._status = limit_s, status
        self._timers: list[ctypes.c_void_p] = []
        self._sentence: int | None = None
        if sys.platform == "linux":
            libc = ctypes.CDLL(None)
            libc.malloc.restype = ctypes.c_void_p
            self._sentence = libc.malloc(
                _SENTENCE_BYTES
            )  # never freed: it outlives Python, and a timer may be reading it
            self.now("the end of the process")
            self._call(libc, limit_s, libc.warnx, _Value(pointer=self._sentence))
            self._call(libc, limit_s + LAST_WORDS_S, libc._exit, _Value(number=status))
        else:
            faulthandler.dump_traceback_later(limit_s, exit=True)

    def now(self, step: str, error: str = "") -> None:
        """Name the step that begins now, such as "/uav1/encoder_node: its destruction", and an error to report before
        it."""
        sentence = f"error: {step} has not ended within {self._limit_s:g} s"
        sentence += f": leaving without it, with exit status {self._status}"
        text = "\n".join(filter(None, (error, sentence))).replace("%", "%%")  # warnx takes a format
        if self._sentence:
            content = text.encode()[-_SENTENCE_BYTES + 1 :] + b"\0"
            ctypes.memmove(self._sentence, content, len(content))

    def cancel(self) -> None:
        """The process may go on."""
        if sys.platform == "linux":
            while self._timers:
                ctypes.CDLL(None).timer_delete(self._timers.pop())
        else:
            faulthandler.cancel_dump_traceback_later()

    def __enter__(self) -> TimeLimit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _call(self, libc: Any, after_s: float, function: Any, value: _Value) -> None:
        event = _Event(value=value, notify=_SIGEV_THREAD, function=ctypes.cast(function, ctypes.c_void_p))
        timer = ctypes.c_void_p()
        whole_s = int(after_s)
        times = _Times(first_s=whole_s, first_ns=int((after_s - whole_s) * 1e9))
        for failed in (
            libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)),
            libc.timer_settime(timer, 0, ctypes.byref(times), None),
        ):
            if failed:
                raise OSError("the C library gives no timer for the end of the process")
        self._timers.append(timer)
