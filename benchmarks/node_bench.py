"""A uav_node in a process of its own, and what sends it images and the packets of peers; for node_cost.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.node_child import SIZE_BYTES

WAIT_S = 120.0
APART_S = 0.005
"""Time between two packets: those of several UAVs do not come at once."""
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
        self.answered, self.dropped = -1, 0
        self.latencies_s: dict[int, float] = {}
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
        # A peer that listens: without one, the UAV would send nothing.
        node.create_subscription(FeaturePacket, f"/{AGENT}/bev/features", lambda message: None, profile)
        self._make(model)

    def _make(self, model: str) -> None:
        """The image, and the packets that peers would send of it."""
        import torch

        from benchmarks.__main__ import camera
        from rsdfm_ros.agent.options import AgentOptions
        from rsdfm_ros.agent.sender import Sender
        from rsdfm_ros.evaluation.bags.evaluate import load_perception
        from rsdfm_ros.geometry.camera import intrinsics_from_fov

        torch.set_num_threads(1)
        perception = load_perception(model)
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
        self.dropped = message.frames_dropped
        if message.frames_processed:
            self.answered = stamps.stamp_ns(message.header.stamp)
            self.latencies_s[self.answered] = (time.time_ns() - self.answered) / 1e9

    def show(self, frame: int, apart_s: float = APART_S) -> int:
        """Send everything of an instant, its packets so far apart; its stamp."""
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
                time.sleep(apart_s)
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
