"""Run nodes in a process of their own until they are told to stop."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.usage import asked_for, executable_of, usage

if TYPE_CHECKING:
    from rsdfm_ros.nodes.base import RsdfmNode

MAX_ERRORS_IN_A_ROW = 100
"""Callbacks handle their own errors; if the executor itself fails that often without a pause, nothing works."""


def run(build: Callable[[], Sequence[RsdfmNode[object]]], finished: Callable[[], bool] | None = None) -> int:
    """Run nodes in this process until SIGINT or SIGTERM, or until `finished` says so; the exit status.

    With --help on the command line their usage is printed instead. The parameter `autostart` of the nodes says whether
    they configure and activate themselves.
    """
    if asked_for(sys.argv[1:]):
        print(usage(executable_of(build)))
        return 0
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))
    nodes: Sequence[RsdfmNode[object]] = ()
    executor = SingleThreadedExecutor()
    try:
        nodes = build()
        for node in nodes:
            executor.add_node(node)
        for node in nodes:
            if not stop and getattr(node.settings, "autostart", True):
                node.start()
        _spin(executor, lambda: bool(stop) or (finished is not None and finished()))
        return 0
    except RsdfmError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except (ExternalShutdownException, KeyboardInterrupt):
        return 0
    finally:
        for node in nodes:
            _stop(node)
        executor.shutdown(timeout_sec=1.0)
        for node in nodes:
            node.destroy_node()
        if rclpy.ok():
            rclpy.shutdown()


def run_to_end(kind: type[Any]) -> int:
    """Run one node until its `finished` event or until stopped; the exit status, 1 if it names a `failure`."""
    nodes: list[Any] = []

    def build() -> list[Any]:
        nodes.append(kind())
        return nodes

    build.__module__ = kind.__module__  # --help is about that module
    status = run(build, lambda: bool(nodes) and nodes[0].finished.is_set())
    return 1 if nodes and nodes[0].failure else status


def _stop(node: RsdfmNode[object]) -> None:
    try:
        node.stop()
    except Exception:  # the others must be stopped all the same
        traceback.print_exc()


def _spin(executor: SingleThreadedExecutor, finished: Callable[[], bool]) -> None:
    errors = 0
    while not finished():
        try:
            executor.spin_once(timeout_sec=0.2)
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
