"""Listen to the diagnostics of a ROS domain for some seconds: python -m rsdfm_ros.nodes.checks.live_check 5

Prints the last status of every concern of the nodes of this package as a JSON list. Whatever else is on /diagnostics
is left out, and what comes from the network is bounded.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Callable
from typing import Any

MAX_STATUSES, MAX_NAME, MAX_MESSAGE = 2000, 300, 1000
MAX_VALUES, MAX_VALUE = 200, 100
NAME = re.compile(r"(/[A-Za-z0-9_]+)+_node: \S.*")
"""Statuses of our nodes: `<node with namespace>: <concern>`."""


class Heard:
    """The last status by name, with its values, how far its stamps were behind the clock at least, and the rate of
    images. clock: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._images: dict[str, tuple[float, float]] = {}
        self._clock = clock

    def take(self, message: Any) -> None:
        """Note the statuses of a DiagnosticArray that are those of our nodes."""
        stamp = message.header.stamp
        sent_s = stamp.sec + 1e-9 * stamp.nanosec
        for status in message.status:
            name = status.name[:MAX_NAME]
            if not NAME.fullmatch(name) or (name not in self._found and len(self._found) >= MAX_STATUSES):
                continue
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            values = {v.key[:MAX_VALUE]: v.value[:MAX_VALUE] for v in status.values[:MAX_VALUES]}
            behind_s = min(self._clock() - sent_s, self._found.get(name, {}).get("behind_s", math.inf))
            self._found[name] = {
                "name": name,
                "level": level,
                "message": status.message[:MAX_MESSAGE],
                "agent": status.hardware_id[:MAX_VALUE],
                "values": values,
                "behind_s": behind_s,
                "images_hz": self._rate(name, values.get("images", ""), sent_s),
            }

    def _rate(self, name: str, images: str, sent_s: float) -> float | None:
        """Images per second of the node's clock since the first status; None where it counts none."""
        if not images.isdecimal():
            return None
        first_s, first = self._images.setdefault(name, (sent_s, float(images)))
        return (float(images) - first) / (sent_s - first_s) if sent_s > first_s else None

    def statuses(self) -> list[dict[str, Any]]:
        """All, sorted by name."""
        return [self._found[name] for name in sorted(self._found)]


def main() -> int:
    """Print what was heard; 0."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor

    from rsdfm_ros.ending import LEAVE_S, TimeLimit

    listen_s = float(sys.argv[1])
    heard = Heard()
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node(
        "rsdfm_live_check",
        context=context,
        enable_rosout=False,
        start_parameter_services=False,
        use_global_arguments=False,
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        node.create_subscription(DiagnosticArray, "/diagnostics", heard.take, 100)
        end_s = time.monotonic() + listen_s
        while (left_s := end_s - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left_s)
        print(json.dumps(heard.statuses()), flush=True)
    finally:
        with TimeLimit(LEAVE_S, 0) as limit:
            limit.now("the destruction of the node of the check")
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
            context.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
