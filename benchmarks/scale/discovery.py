"""Bytes of DDS discovery against the number of UAVs, with the middleware's own discovery: no server, no profile.

python -m benchmarks.scale.discovery [--uavs 1,2,4,8] [--json out.json]

Every UAV is a process with the nodes of uav_node, not yet configured: their services are most of the endpoints. All run
in a network namespace of this benchmark with an interface of its own; the bytes are those of its counters, over UDP
alone. Needs Linux and the right to make a network namespace.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.errors import BenchError
from rsdfm_ros.outputs import write_json

INSIDE = "RSDFM_BENCH_NAMESPACE"
"""Set in the process that is in the namespace."""
ADDRESS = "10.213.0.1/24"
STEADY_S = 15.0
SETTLE_S = 5.0
FOUND_S = 180.0
"""Longest wait until all UAVs have found each other."""
CHILD = """
import sys, threading, time
from rclpy.executors import SingleThreadedExecutor
import rclpy
from rclpy.parameter import Parameter
from rsdfm_ros.nodes.uav.uav_node import Uav
rclpy.init()
uav = Uav(namespace=sys.argv[1], parameter_overrides=[Parameter("autostart", value=False)])
executor = SingleThreadedExecutor()
for node in uav.nodes:
    executor.add_node(node)
threading.Thread(target=executor.spin, daemon=True).start()
expected = int(sys.argv[2]) * len(uav.nodes)
while len(uav.encoder.get_node_names()) < expected:
    time.sleep(0.1)
print("found", flush=True)
sys.stdin.read()
"""


def measure(uavs: int) -> dict[str, Any]:
    """start_bytes: from the first process until all have found each other · steady_bytes_s: per second after that."""
    environment = {
        **os.environ,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        "OMP_NUM_THREADS": "1",
    }
    before = _bytes()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, f"/uav{k + 1}", str(uavs)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for k in range(uavs)
    ]
    try:
        deadline = time.monotonic() + FOUND_S
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline().strip() != "found" or time.monotonic() > deadline:
                raise BenchError(f"{uavs} UAVs did not find each other")
        time.sleep(SETTLE_S)
        found, start_s = _bytes(), time.monotonic()
        time.sleep(STEADY_S)
        steady = (_bytes() - found) / (time.monotonic() - start_s)
    finally:
        for child in children:
            child.kill()
            child.wait()
    return {"uavs": uavs, "start_bytes": found - before, "steady_bytes_s": steady}


def _bytes() -> int:
    """Bytes sent over all interfaces of this namespace."""
    total = 0
    for line in Path("/proc/net/dev").read_text().splitlines()[2:]:
        total += int(line.partition(":")[2].split()[8])
    return total


def _enter() -> int:
    """Run this benchmark again in a namespace of its own; its exit status."""
    script = (
        "ip link set lo up && ip link add radio type veth peer name air && ip addr add "
        + ADDRESS
        + " dev radio && "
        'ip link set radio multicast on up && ip link set air up && exec "$@"'
    )
    command = ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, "-m", "benchmarks.scale.discovery"]
    try:
        return subprocess.run(
            [*command, *sys.argv[1:]], env={**os.environ, INSIDE: "1"}, check=False
        ).returncode
    except OSError as error:
        raise BenchError(f"a network namespace cannot be made here: {error}") from error


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--uavs", default="1,2,4,8", help="numbers of UAVs (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args()
    if INSIDE not in os.environ:
        return _enter()
    found = [measure(int(word)) for word in args.uavs.split(",")]
    table = Table(title="bytes of discovery, UDP, all UAVs together")
    for column in ("UAVs", "until all are found, kB", "per UAV", "per pair", "then, kB/s"):
        table.add_column(column, justify="right")
    for f in found:
        n, start = f["uavs"], f["start_bytes"] / 1e3
        pair = f"{start / (n * (n - 1)):.0f}" if n > 1 else "–"
        table.add_row(str(n), f"{start:.0f}", f"{start / n:.0f}", pair, f"{f['steady_bytes_s'] / 1e3:.2f}")
    Console().print(table)
    if args.json:
        write_json(args.json, {"cases": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
