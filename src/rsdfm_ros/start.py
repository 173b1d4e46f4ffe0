"""Start a node so that Ctrl-C ends it cleanly at any moment, even while it still imports.

python -m rsdfm_ros.start uav_node --ros-args …; the installed executables do the same.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType, ModuleType
from typing import NoReturn

NODES = ("rsdfm_ros.nodes.uav", "rsdfm_ros.nodes.mission", "rsdfm_ros.nodes.views")
"""Packages that contain the executables."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    """Nothing is open yet that would have to be closed."""
    os._exit(0)


def main(node: str | None = None) -> int:
    """Run the `main` of a node (default: the first argument of the command line); its exit status.

    From here to the moment when the node takes signals itself they end the process at once with status 0; after the
    node has ended they are ignored, so that a second Ctrl-C does not look like a crash.
    """
    for number in SIGNALS:
        signal.signal(number, _leave)
    from rsdfm_ros.memory import keep_for_next_image

    keep_for_next_image()
    if node is None:
        if len(sys.argv) < 2:
            print("usage: python -m rsdfm_ros.start NODE [--ros-args …]", file=sys.stderr)
            return 2
        node = sys.argv.pop(1)
        sys.argv[0] = node
    from rsdfm_ros.boundary import guarded

    try:
        return guarded(lambda: _run(node))
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def run(node: str | None = None) -> NoReturn:
    """As `main`, and end the process, in time even if the end of Python, which destroys what is left of ROS, hangs."""
    from rsdfm_ros.ending import LEAVE_S, TimeLimit

    status = main(node)
    TimeLimit(LEAVE_S, status).now(f"{node or sys.argv[0]}: the end of Python")
    sys.exit(status)


def node_module(node: str) -> ModuleType:
    """The module of an executable. Raises: RsdfmError if there is none of this name."""
    from rsdfm_ros.errors import RsdfmError

    for place in NODES:
        try:
            module = importlib.import_module(f"{place}.{node}")
        except ModuleNotFoundError as error:
            if error.name != f"{place}.{node}":
                raise
        else:
            if hasattr(module, "main"):  # the others are parts of nodes
                return module
    raise RsdfmError(f"there is no node {node!r}")


def _run(node: str) -> int:
    # An error of the import may be one that a person can act on, such as a missing ROS: one sentence then.
    return int(node_module(node).main())


if __name__ == "__main__":
    run()
