"""CPU of the page for browsers: without an open page, and with some, while the messages of a bag are played.

python -m benchmarks.page_cost BAG [--viewers 1] [--alone] [--seconds 30] [--json out.json]

web_node runs as `rsdfm fleet` starts it, in ROS_DOMAIN_ID, which nobody else may use. This process plays the bag at
its pace, again and again, with stamps that go on, adds /diagnostics as uav_node publishes them, and is the pages: it
takes what they are sent. CPU times (user and system) are those of web_node's process, so that they hold on a busy
machine, too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.errors import BenchError
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.outputs import write_json
from rsdfm_ros.view.web.access import choose_address
from rsdfm_ros.view.web.activation import activated
from rsdfm_ros.view.web.live import web_program

WARM_UP_S = 12.0
"""Until everything is found and subscribed to."""
NS = 10**9
TICKS = os.sysconf("SC_CLK_TCK")
CONCERNS, VALUES = 14, 5
"""Statuses of one message of a uav_node about its health, and values of each."""


class Player:
    """Plays the instants of a bag as publishers of their topics, with the pace of their stamps, in a thread."""

    def __init__(self, path: Path) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.context import Context
        from rclpy.node import Node

        from rsdfm_ros.nodes.core import qos

        self._by_stamp: dict[int, list[tuple[str, bytes]]] = {}
        with open_bag(path) as bag:
            kinds = {name: topic.type_name for name, topic in bag.topics.items() if not topic.problem}
            for message in bag.messages(list(kinds)):
                raw = bytes(message.raw)
                if (ns := header_stamp_ns(raw)) is not None:
                    self._by_stamp.setdefault(ns, []).append((message.topic, raw))
        most = max(map(len, self._by_stamp.values()), default=0)
        self._stamps = [ns for ns, found in sorted(self._by_stamp.items()) if 2 * len(found) > most]
        if len(self._stamps) < 2:
            raise BenchError(f"{path}: expected the bag of a mission with answers, of at least two instants")
        self.period_s = (self._stamps[-1] - self._stamps[0]) / NS / (len(self._stamps) - 1)
        self.context = Context()
        rclpy.init(context=self.context)
        self._node = Node("player", context=self.context)
        self._publishers = {}
        for name, kind in kinds.items():
            package, _, of = kind.partition("/msg/")
            made = getattr(importlib.import_module(f"{package}.msg"), of)
            self._publishers[name] = self._node.create_publisher(made, name, qos.outputs())
        self.agents = sorted({name.split("/")[1] for name in kinds if name.endswith("/status")})
        self._health = self._node.create_publisher(DiagnosticArray, "/diagnostics", qos.outputs())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        import rclpy

        self._over.set()
        self._thread.join()
        self._node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _play(self) -> None:
        start_s, step = time.monotonic(), 0
        per_s = max(1, round(1.0 / self.period_s))
        while not self._over.wait(max(0.0, start_s + step * self.period_s - time.monotonic())):
            stamp = struct.pack("<iI", *divmod(self._stamps[0] + round(step * self.period_s * NS), NS))
            for topic, raw in self._by_stamp[self._stamps[step % len(self._stamps)]]:
                self._publishers[topic].publish(raw[:4] + stamp + raw[12:])
            if step % per_s == 0:
                for agent in self.agents:
                    self._health.publish(health_of(agent))
            step += 1


def health_of(agent: str) -> Any:
    """A message about the health of a UAV, of the usual size."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

    values = [KeyValue(key=f"figure {number}", value="12.345") for number in range(VALUES)]
    return DiagnosticArray(
        status=[
            DiagnosticStatus(
                level=b"\x00",
                name=f"/{agent}/collaboration_node: {'peer ' * (number < 3)}{number}",
                message="works",
                hardware_id=agent,
                values=values,
            )
            for number in range(CONCERNS)
        ]
    )


class Taker:
    """A page: takes what it is sent, in a thread. `taken`: messages by their type."""

    def __init__(self, line: ClientConnection, *, alone: bool) -> None:
        self.taken: Counter[str] = Counter()
        self._line = line
        if alone:
            line.send(json.dumps({"alone": True}))
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            for message in self._line:
                self.taken["images" if isinstance(message, bytes) else json.loads(message)["type"]] += 1
        except ConnectionClosed:
            pass


def measure(bag: Path, *, viewers: int = 1, alone: bool = False, seconds: float = 30.0) -> dict[str, Any]:
    """idle_percent: of a core, before a page is opened · viewer_percent: of a core per open page, with `viewers` of
    them · instants_per_s: that each was sent · alone: whether they show what UAVs answer alone. Raises: BenchError."""
    address = choose_address()
    command = activated(address.host, address.port, web_program(address))
    with Player(bag) as player, ExitStack() as stack:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(_end, process)
        time.sleep(1.0)
        idle = _share(process, seconds / 3)
        lines = [
            stack.enter_context(
                connect(f"ws://{address.host}:{address.port}/ws", compression=None, max_size=None, proxy=None)
            )
            for _ in range(viewers)
        ]
        pages = [Taker(line, alone=alone) for line in lines]
        time.sleep(WARM_UP_S)
        before = [page.taken["instant"] for page in pages]
        share = _share(process, seconds)
        instants = sum(page.taken["instant"] for page in pages) - sum(before)
        if not instants:
            raise BenchError("the pages were sent nothing: is another fleet in this ROS_DOMAIN_ID?")
        return {
            "uavs": len(player.agents),
            "rate_hz": round(1.0 / player.period_s, 3),
            "viewers": viewers,
            "alone": alone,
            "idle_percent": round(idle, 2),
            "viewer_percent": round(share / viewers, 2),
            "instants_per_s": round(instants / seconds / viewers, 2),
        }


def _share(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Per cent of a core that a process uses within a time."""
    before, start_s = _cpu_s(process), time.monotonic()
    time.sleep(seconds)
    return 100.0 * (_cpu_s(process) - before) / (time.monotonic() - start_s)


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    if process.poll() is not None:
        raise BenchError(f"web_node ended with status {process.returncode}")
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON when asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path)
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="the pages show what UAVs answer alone")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    found = measure(args.bag, viewers=args.viewers, alone=args.alone, seconds=args.seconds)
    print(
        f"{found['uavs']} UAVs at {found['rate_hz']} Hz, {found['viewers']} pages, "
        f"{found['instants_per_s']} instants/s each: "
        f"{found['viewer_percent']} % of a core per page, {found['idle_percent']} % without one"
    )
    if args.json:
        write_json(args.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
