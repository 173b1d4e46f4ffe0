"""A node in a process of its own whose end never comes, for test/unit/nodes/test_ending.py: ending_child.py STUCK WORK.

STUCK says what never returns: save, stop, destroy, gil (destroy, while it holds the interpreter lock), shutdown (of
ROS), exit (of Python) or nothing. WORK says how the node's work ends before: signal, over, failure, refused or
unforeseen.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import time
from types import ModuleType

import rclpy

from rsdfm_ros import ending, start
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core import runner
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.settings import NodeSettings

STUCK, WORK = sys.argv.pop(1), sys.argv.pop(1)
for module in (ending, runner):
    module.LEAVE_S = module.SAVE_S = 60.0 if STUCK == "nothing" else 1.0


def never_returns() -> None:
    """Wait like a thread that is never woken."""
    threading.Event().wait()


class StuckNode(RsdfmNode[NodeSettings]):
    """Says "ready" when it works and "saved" when it is told to save."""

    def __init__(self) -> None:
        super().__init__("stuck_node", NodeSettings, namespace="/uav1")
        self.failure = ""

    def activate(self) -> None:
        if WORK == "refused":
            raise RsdfmError("expected 4 UAVs, got 0")

    def work(self) -> bool:
        """Whether the work is over."""
        if WORK == "unforeseen":
            raise ZeroDivisionError("nobody foresaw 100 % of this")
        if WORK == "failure":
            self.failure = "the disk is full"
        print("ready", flush=True)
        return WORK != "signal"

    def save(self) -> None:
        print("saved")  # which is flushed before anything else happens
        if STUCK == "save":
            never_returns()

    def stop(self) -> None:
        if STUCK == "stop":
            worker = threading.Thread(target=never_returns, daemon=True)
            worker.start()
            worker.join()
        super().stop()

    def destroy_node(self) -> None:
        if STUCK == "destroy":
            never_returns()
        while STUCK == "gil":
            ctypes.PyDLL(None).sleep(3600)
        super().destroy_node()


def main() -> int:
    """Run the node."""
    nodes: list[StuckNode] = []

    def build() -> list[StuckNode]:
        nodes.append(StuckNode())
        return nodes

    return runner.run(build, lambda: nodes[0].work())


if STUCK == "shutdown":
    rclpy.shutdown = never_returns
if STUCK == "exit":
    atexit.register(time.sleep, 3600)
executable = ModuleType("rsdfm_ros.nodes.uav.stuck_node")
executable.main = main  # type: ignore[attr-defined]
sys.modules[executable.__name__] = executable
start.run("stuck_node")
