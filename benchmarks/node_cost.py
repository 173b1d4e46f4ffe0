"""Cost of a uav_node beside its model: CPU per frame, at rest, memory, and the time to its first answer.

python -m benchmarks.node_cost [--model models/nano] [--peers 3] [--frames 20] [--rate 2] [--json out.json]

One uav_node runs as it does in a fleet, with one thread. This process sends it images, and the packets of peers, which
it makes once with the same model. CPU times are those of the process and of its threads, so that they hold on a busy
machine, too; the time to the first answer does not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.node_child import CODEC, MODEL, SIZE_BYTES
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL

WAIT_S = 120.0
SETTLE_S = 2.0
APART_S = 0.005
"""Time between two packets: those of several UAVs do not come at once."""
WARM_UP = 4
"""Frames before those that count: the history of the maps fills, and memory with it."""
AGENT, FRAME_ID = "uav1", "map"


class Process:
    """A uav_node in a domain of its own: what it has used so far."""

    def __init__(self, parameters: dict[str, Any], domain: int, folder: Path) -> None:
        self._record = folder / "record"
        self._record.write_bytes(bytes(SIZE_BYTES))
        command = [sys.executable, "-m", "benchmarks.node_child", str(self._record), "--ros-args"]
        command += ["-r", f"__ns:=/{AGENT}"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        self.started_s = time.monotonic()
        self._log = (folder / "log").open("w+")
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    def cpu_s(self) -> float:
        """CPU time of all threads, s."""
        return sum(self.cpu_of_threads().values())

    def cpu_of_threads(self) -> dict[str, float]:
        """CPU time by name of thread, s; those of the middleware have the name of its process or their own."""
        found: dict[str, float] = {}
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            nanoseconds = int((task / "schedstat").read_text().split()[0])
            name = "main" if task.name == str(self._process.pid) else name
            found[name] = found.get(name, 0.0) + nanoseconds / 1e9
        return found

    def spent_s(self, kind: int) -> float:
        """CPU time of the model or the codec, s."""
        return float(np.frombuffer(self._record.read_bytes(), dtype=np.float64)[kind])

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Memory, MB: VmRSS now, VmHWM at most so far."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{field}:"))

    def check(self) -> None:
        """RuntimeError with the log if it has ended."""
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"uav_node ended with status {self._process.poll()}:\n{self._log.read()}")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(15.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Senders:
    """Sends images and the packets of peers with one stamp, and hears the answers."""

    def __init__(self, model: str, peers: int, domain: int) -> None:
        import rclpy
        from geometry_msgs.msg import PoseWithCovarianceStamped
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rsdfm_ros.msg import AgentStatus, FeaturePacket, ObjectArray, TrajectoryArray
        from sensor_msgs.msg import CameraInfo, Image

        from rsdfm_ros.nodes.core import qos

        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self._node = Node("senders", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self._node)
        self.answered = -1
        sensor = qos.sensor("reliable")
        node = self._node
        self._inputs = [
            node.create_publisher(CameraInfo, f"/{AGENT}/camera/camera_info", sensor),
            node.create_publisher(PoseWithCovarianceStamped, f"/{AGENT}/pose", sensor),
            node.create_publisher(Image, f"/{AGENT}/camera/image_raw", sensor),
        ]
        self.matched = 0
        node.create_subscription(AgentStatus, f"/{AGENT}/status", self._on_status, qos.outputs())
        for topic, kind in (
            ("detections", ObjectArray),
            ("instance_mask", Image),
            ("trajectories", TrajectoryArray),
        ):
            node.create_subscription(kind, f"/{AGENT}/{topic}", lambda message: None, qos.outputs())
        profile = qos.features("reliable", 5.0)
        self._peers = {
            name: node.create_publisher(FeaturePacket, f"/{name}/bev/features", profile)
            for name in (f"uav{number + 2}" for number in range(peers))
        }
        self._make(model)

    def _make(self, model: str) -> None:
        """The image, and the packets that peers would send of it."""
        import torch

        from benchmarks.__main__ import camera
        from rsdfm_ros.agent.options import AgentOptions
        from rsdfm_ros.agent.sender import Sender
        from rsdfm_ros.geometry.camera import intrinsics_from_fov
        from rsdfm_ros.nodes.uav.model import _load

        torch.set_num_threads(1)
        perception = _load(model, 1)
        config = perception.config
        self._size = (config.image_height, config.image_width)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 255, (self._size[0] // 32, self._size[1] // 32, 3), dtype=np.uint8)
        self._image = np.repeat(np.repeat(coarse, 32, axis=0), 32, axis=1)
        self._size = (self._image.shape[0], self._image.shape[1])
        self._K = intrinsics_from_fov(self._size[1], self._size[0], float(np.deg2rad(75)))
        self._fingerprint = perception.fingerprint
        self._poses = {AGENT: camera(0.0)} | {n: camera(1.6 * (k + 1)) for k, n in enumerate(self._peers)}
        self._packets: dict[str, tuple[bytes, ...]] = {}
        zero = np.zeros((6, 6))
        for name in self._peers:
            bev = perception.perceive(self._image, self._K, self._poses[name], zero)
            sent = Sender(AgentOptions()).send(perception, bev, zero, lambda p, i, n: len(p), lambda: None)
            self._packets[name] = sent.packets

    def _on_status(self, message: Any) -> None:
        from rsdfm_ros.data.messages import stamps

        self.matched = max(self.matched, len(message.peers))
        if message.frames_processed:
            self.answered = stamps.stamp_ns(message.header.stamp)

    def show(self, frame: int) -> int:
        """Send everything of an instant; its stamp."""
        from rsdfm_ros.nodes.convert import sensors
        from rsdfm_ros.nodes.convert.features import packet_to_message

        stamp = time.time_ns()
        zero = np.zeros((6, 6))
        for name, publisher in self._peers.items():
            packets = self._packets[name]
            for index, payload in enumerate(packets):
                publisher.publish(
                    packet_to_message(
                        payload,
                        agent=name,
                        frame=frame,
                        stamp_ns=stamp,
                        frame_id=FRAME_ID,
                        fingerprint=self._fingerprint,
                        T_map_camera=self._poses[name],
                        covariance=zero,
                        index=index,
                        count=len(packets),
                    )
                )
                time.sleep(APART_S)
        info, pose, image = self._inputs
        pose.publish(sensors.pose_to_message(self._poses[AGENT], zero, stamp, FRAME_ID))
        info.publish(sensors.intrinsics_to_message(self._K, self._size, stamp, "camera"))
        image.publish(sensors.image_to_message(self._image, stamp, "camera"))
        return stamp

    def until(self, condition: Callable[[], bool], process: Process, timeout_s: float = WAIT_S) -> bool:
        """Listen until the condition holds; whether it did in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            process.check()
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def close(self) -> None:
        """Leave the domain."""
        import rclpy

        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self.context)


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
    rss_mb, peak_mb: memory. `domain`: a ROS domain that nobody else uses; by default ROS_DOMAIN_ID.
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
            answered = fly(frames)
            after, threads_after = _spent(process), process.cpu_of_threads()
            time.sleep(SETTLE_S)
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
            table.add_row(name, f"{value:.3f}" if name.endswith("share") else f"{value:.1f}")
    for name, value in found["threads_ms"].items():
        if value >= 0.1:
            table.add_row(f"  CPU of thread {name}, ms per frame", f"{value:.1f}")
    Console().print(table)
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
