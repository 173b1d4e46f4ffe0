"""Run nodes in a process of their own until they are stopped, and end it even if the middleware hangs.

The end has two parts, each with a time limit: first every node saves data that must not be lost, then everything is
destroyed. When a limit has passed the process leaves without the rest, with the status that it would have had.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.signals import SignalHandlerOptions

from rsdfm_ros.ending import LEAVE_S, SAVE_S, TimeLimit
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.executor import CachingExecutor, new_executor
from rsdfm_ros.nodes.core.usage import asked_for, executable_of, usage

MAX_ERRORS_IN_A_ROW = 100
"""Callbacks handle their own errors; after so many failures of the executor itself without a pause the process ends."""

OFTEN_S, RARELY_S = 0.2, 5.0
"""Longest wait until it is asked again whether the work is over: RARELY_S where only a signal ends it."""


def run(
    build: Callable[[], Sequence[RsdfmNode[Any]]],
    finished: Callable[[], bool] | None = None,
    look_s: float = OFTEN_S,
) -> int:
    """Run nodes in this process until SIGINT or SIGTERM, or until `finished` is set; the exit status: 0, 2 after an
    RsdfmError, 1 if a node names a `failure`.

    `finished` is asked after every callback, and every look_s.

    With --help on the command line their usage is printed instead. With the parameter `autostart` nodes configure and
    activate themselves.
    """
    return run_executable(executable_of(build), build, finished, look_s)


def run_to_end(kind: type[Any]) -> int:
    """Run one node until its `finished` event or until stopped; the exit status, as of `run`."""
    nodes: list[Any] = []

    def build() -> list[Any]:
        nodes.append(kind())
        return nodes

    return run_executable(executable_of(kind), build, lambda: bool(nodes) and nodes[0].finished.is_set())


def run_executable(
    executable: str,
    build: Callable[[], Sequence[RsdfmNode[Any]]],
    finished: Callable[[], bool] | None = None,
    look_s: float = OFTEN_S,
) -> int:
    """As `run`; --help is about this executable."""
    if asked_for(sys.argv[1:]):
        print(usage(executable))
        return 0
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))
    nodes: Sequence[RsdfmNode[Any]] = ()
    executor = new_executor()
    status, unforeseen = 0, ""
    try:
        nodes = build()
        for node in nodes:
            executor.add_node(node)
        for node in nodes:
            if not stop and getattr(node.settings, "autostart", True):
                node.start()
        # rclpy's own executor goes on waiting when it is woken.
        rarely = finished is None and isinstance(executor, CachingExecutor)
        with woken_by_signals(executor):
            _spin(
                executor,
                lambda: bool(stop) or (finished is not None and finished()),
                RARELY_S if rarely else look_s,
            )
    except RsdfmError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = 2
    except (ExternalShutdownException, KeyboardInterrupt):
        pass
    except BaseException:
        status, unforeseen = 1, traceback.format_exc()
        raise
    finally:
        status = _end(nodes, executor, status, unforeseen)
    return status


def _end(nodes: Sequence[RsdfmNode[Any]], executor: Executor, status: int, unforeseen: str) -> int:
    """Save, then destroy everything; the exit status. unforeseen: an error that is reported only after that."""
    names = [node.get_fully_qualified_name() for node in nodes]
    with TimeLimit(SAVE_S + LEAVE_S, status or 1) as limit:  # lost data is a failure
        for node, name in zip(nodes, names, strict=True):
            limit.now(f"{name}: saving its data", unforeseen)
            _guarded(node.save)
    if any(getattr(node, "failure", "") for node in nodes):
        status = 1
    with TimeLimit(LEAVE_S, status) as limit:
        for node, name in zip(nodes, names, strict=True):
            limit.now(f"{name}: its shutdown", unforeseen)
            _guarded(node.stop)
        limit.now(f"{', '.join(names)}: the end of the executor", unforeseen)
        executor.shutdown(timeout_sec=1.0)
        for node, name in zip(nodes, names, strict=True):
            limit.now(f"{name}: its destruction", unforeseen)
            _guarded(node.destroy_node)
        limit.now(f"{', '.join(names)}: the shutdown of ROS", unforeseen)
        if rclpy.ok():
            rclpy.shutdown()
    return status


def _guarded(step: Callable[[], object]) -> None:
    """Run a step; an error is logged and the other steps follow."""
    try:
        step()
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()


@contextmanager
def woken_by_signals(executor: Executor) -> Iterator[None]:
    """End the executor's wait when a signal comes: Python runs its handlers only after that."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wake() -> None:
        while os.read(reading, 1):
            executor.wake()

    thread = threading.Thread(target=wake, name="signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def _spin(executor: Executor, finished: Callable[[], bool], look_s: float) -> None:
    errors = 0
    while not finished():
        try:
            executor.spin_once(timeout_sec=look_s)
            errors = 0
        except (ExternalShutdownException, KeyboardInterrupt):
            raise
        except Exception as error:
            errors += 1
            print(
                f"error in the executor: {''.join(traceback.format_exception(error))}",
                file=sys.stderr,
                flush=True,
            )
            if errors >= MAX_ERRORS_IN_A_ROW:
                raise RsdfmError(f"the executor failed {errors} times in a row: {error}") from error
