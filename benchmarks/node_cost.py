"""Cost of a uav_node beside its model: CPU per frame, at rest, memory, first answer, and latency in overload.

python -m benchmarks.node_cost [--model models/nano] [--peers 3] [--frames 20] [--rate 2] [--json out.json]

One uav_node runs as it does in a fleet, with one thread. This process sends it images, and the packets of peers, which
it makes once with the same model. CPU times are those of the process and of its threads, so that they hold on a busy
machine, too; the time to the first answer does not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.node_bench import WAIT_S, Process, Senders
from benchmarks.node_child import CODEC, MODEL
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL

SETTLE_S = 2.0
WARM_UP = 4
"""Frames before those that count: the history of the maps fills, and memory with it."""
OVERLOAD, OVERLOAD_FRAMES = 4.0, 20
"""Images come so many times faster than they are answered, for as long as so many answers take."""


def measure(
    model: str = SHIPPED_MODEL,
    *,
    peers: int = 3,
    frames: int = 20,
    rate_hz: float = 2.0,
    idle_s: float = 10.0,
    domain: int | None = None,
) -> dict[str, Any]:
    """Figures of one uav_node with its peers' packets.

    first_answer_s: from the start of the process, with images from the beginning · idle_share: of one core, without
    images and packets · per answered frame: model_ms, codec_ms (entropy coding of the own packets and decoding of the
    peers'), node_ms (everything else in the process) and threads_ms (all, by thread) · node_share: of all three ·
    latency_ms: median from the stamp to the status after the last output · overload_*: the same at its 95th percentile
    when images and packets come OVERLOAD times as fast as they are answered, its ratio to latency_ms, and the numbers
    of images that were shown, answered, and dropped · rss_mb, peak_mb: memory. `domain`: a ROS domain that nobody else
    uses; by default ROS_DOMAIN_ID.
    """
    domain = int(os.environ.get("ROS_DOMAIN_ID", "0")) if domain is None else domain
    parameters = {
        "model": model,
        "threads": 1,
        "image_reliability": "reliable",
        "features_reliability": "reliable",
        "liveliness_lease_s": 5.0,
        "peer_wait_s": 0.3,
    }
    senders = Senders(model, peers, domain)
    with tempfile.TemporaryDirectory() as folder:
        process = Process(parameters, domain, Path(folder))
        try:
            number = 0
            first = senders.show(number)
            while senders.answered < first:
                senders.until(lambda: senders.answered >= first, process, 0.25)
                number += 1
                senders.show(number)
            first_answer_s = time.monotonic() - process.started_s
            senders.until(lambda: senders.matched == peers, process)

            def fly(count: int) -> int:
                nonlocal number
                answered = 0
                for _ in range(count):
                    due_s = time.monotonic() + 1.0 / rate_hz
                    number += 1
                    stamp = senders.show(number)
                    answered += senders.until(lambda s=stamp: senders.answered >= s, process, WAIT_S)
                    senders.until(lambda d=due_s: time.monotonic() >= d, process)
                return answered

            fly(WARM_UP)
            before, threads = _spent(process), process.cpu_of_threads()
            senders.latencies_s.clear()
            answered = fly(frames)
            after, threads_after = _spent(process), process.cpu_of_threads()
            unloaded_s = list(senders.latencies_s.values())
            senders.latencies_s.clear()
            dropped, shown = senders.dropped, 0
            typical_s = float(np.median(unloaded_s))
            end_s = time.monotonic() + OVERLOAD_FRAMES * typical_s
            while time.monotonic() < end_s:
                number, shown = number + 1, shown + 1
                senders.show(number, 0.0)
                due_s = time.monotonic() + typical_s / OVERLOAD
                senders.until(lambda d=due_s: time.monotonic() >= d, process)
            senders.until(lambda: False, process, SETTLE_S + typical_s)
            loaded_s = list(senders.latencies_s.values())
            dropped = senders.dropped - dropped
            idle, start_s = process.cpu_s(), time.monotonic()
            time.sleep(idle_s)
            idle_share = (process.cpu_s() - idle) / (time.monotonic() - start_s)
            total, model_s, codec_s = ((b - a) / max(answered, 1) for a, b in zip(before, after, strict=True))
            return {
                "model": model,
                "peers": peers,
                "rate_hz": rate_hz,
                "frames": answered,
                "first_answer_s": first_answer_s,
                "idle_share": idle_share,
                "model_ms": 1e3 * model_s,
                "codec_ms": 1e3 * codec_s,
                "node_ms": 1e3 * (total - model_s - codec_s),
                "node_share": (total - model_s - codec_s) / total,
                "threads_ms": {
                    name: 1e3 * (s - threads.get(name, 0.0)) / max(answered, 1)
                    for name, s in sorted(threads_after.items())
                },
                "latency_ms": 1e3 * typical_s,
                "overload_p95_ms": 1e3 * float(np.percentile(loaded_s, 95)),
                "overload_ratio": float(np.percentile(loaded_s, 95)) / typical_s,
                "overload_shown": shown,
                "overload_answered": len(loaded_s),
                "overload_dropped": dropped,
                "rss_mb": process.memory_mb(),
                "peak_mb": process.memory_mb("VmHWM"),
            }
        finally:
            process.close()
            senders.close()


def _spent(process: Process) -> tuple[float, float, float]:
    return process.cpu_s(), process.spent_s(MODEL), process.spent_s(CODEC)


def main() -> None:
    """Measure, print a table, write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=SHIPPED_MODEL)
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.model, peers=args.peers, frames=args.frames, rate_hz=args.rate)
    table = Table(title=f"one uav_node with {args.peers} peers at {args.rate:g} Hz, one thread")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in found.items():
        if isinstance(value, float):
            table.add_row(name, f"{value:.3f}" if name.endswith(("share", "ratio")) else f"{value:.1f}")
        elif isinstance(value, int):
            table.add_row(name, str(value))
    for name, value in found["threads_ms"].items():
        if value >= 0.1:
            table.add_row(f"  CPU of thread {name}, ms per frame", f"{value:.1f}")
    Console().print(table)
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
