"""A UAV with its camera on one computer, for test/integration/test_namespaces.py: networked_uav.py SETTINGS.

SETTINGS is JSON with agent, model, domain, logs, rate_hz and parameters of its uav_node, which runs in a process of its
own. Every status of the UAV becomes a line of JSON on stdout. It ends with stdin.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rsdfm_ros.msg import AgentStatus
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from support.harness import SIZE, camera, camera_image, uav_spec

FIELDS = ("frames_processed", "bytes_sent", "packets_sent", "packets_received", "packets_rejected")
VIEWS = 8
"""Different images and poses, in turn."""


class CameraOf:
    """Publishes the images of a UAV with what belongs to them, and prints its statuses."""

    def __init__(self, node: Node, agent: str) -> None:
        self._agent, self._number = agent, int(agent.removeprefix("uav"))
        profile = qos.sensor("reliable")
        kinds = {
            "camera/camera_info": CameraInfo,
            "pose": PoseWithCovarianceStamped,
            "camera/image_raw": Image,
        }
        self._out = [node.create_publisher(k, f"/{agent}/{name}", profile) for name, k in kinds.items()]
        node.create_subscription(AgentStatus, f"/{agent}/status", self._tell, qos.outputs())

    def show(self, k: int) -> None:
        """Publish image k as taken now."""
        K, T, covariance = camera(self._number, k % VIEWS)
        stamp_ns, frame_id = time.time_ns(), f"{self._agent}/camera"
        info, pose, image = self._out
        info.publish(convert.intrinsics_to_message(K, SIZE, stamp_ns, frame_id))
        pose.publish(convert.pose_to_message(T, covariance, stamp_ns, "map"))
        pixels = camera_image(self._number, k % VIEWS)
        image.publish(convert.image_to_message(pixels, stamp_ns, frame_id))

    def _tell(self, status: AgentStatus) -> None:
        facts: dict[str, Any] = {name: getattr(status, name) for name in FIELDS}
        print(json.dumps(facts | {"peers": list(status.peers)}), flush=True)


def main() -> None:
    """Fly until stdin ends."""
    given = json.loads(sys.argv[1])
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    rclpy.init(domain_id=given["domain"])
    node = Node("camera", namespace=given["agent"])
    shown = CameraOf(node, given["agent"])
    spec = uav_spec(
        given["agent"], Path(given["model"]), given["domain"], use_sim_time=False, **given["parameters"]
    )
    with Supervisor(Path(given["logs"])) as supervisor:
        supervisor.start(spec)
        due, numbers = time.monotonic(), count()
        while not over.is_set():
            rclpy.spin_once(node, timeout_sec=max(0.0, min(0.05, due - time.monotonic())))
            if time.monotonic() >= due:
                shown.show(next(numbers))
                due = max(due, time.monotonic() - 1.0) + 1.0 / given["rate_hz"]
            if (status := supervisor.status(spec.name)) is not None:
                sys.exit(f"uav_node ended with status {status}")
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
