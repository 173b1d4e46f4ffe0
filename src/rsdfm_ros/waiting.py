"""Steps that Ctrl-C must not cut in two."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM back for a moment: while threads end, or until a process that starts is known.

    A process that leaves while threads are at work in PyTorch is aborted. What came meanwhile raises KeyboardInterrupt
    afterwards, unless an exception is on its way already.
    """
    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main thread only
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda n, frame: came.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came and sys.exc_info()[0] is None:
        raise KeyboardInterrupt
