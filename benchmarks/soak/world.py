"""Cameras and poses of a fleet, and ears for its outputs: one ROS node that is never disturbed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rsdfm_ros.msg import AgentStatus, ObjectArray, TrajectoryArray
from sensor_msgs.msg import CameraInfo, Image

from benchmarks.errors import BenchError
from rsdfm_ros.data.messages import stamps
from rsdfm_ros.evaluation.speed.scene import Scene
from rsdfm_ros.nodes.convert import sensors
from rsdfm_ros.nodes.core import qos

OUTPUTS: Mapping[str, Any] = {
    "detections": ObjectArray,
    "instance_mask": Image,
    "trajectories": TrajectoryArray,
}
"""All of them are listened to, so that a UAV has the work that it has in flight; the first is timed."""
IMAGE = "camera/image_raw"
SERVICE_S = 60.0


class World:
    """answered_ns: stamp of the newest detections by UAV, -1 before · shown: images by UAV · heard: outputs by UAV ·
    refused: refusals by (process number, node, reason), as the nodes tell them · peers: those in the newest fusion."""

    def __init__(self, scene: Scene, agents: Sequence[str], domain: int) -> None:
        self.agents = tuple(agents)
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("soak", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._scene, self._frame = scene, 0
        self.answered_ns = dict.fromkeys(agents, -1)
        self.shown, self.heard = Counter[str](), Counter[str]()
        self.refused: dict[tuple[str, str, str], int] = {}
        self.errors: dict[tuple[str, str], int] = {}
        self.lives = dict.fromkeys(agents, 0)
        """Number of the process of each UAV: counts begin anew with every process."""
        self.peers: dict[str, tuple[str, ...]] = dict.fromkeys(agents, ())
        self._clients: dict[str, Any] = {}
        self._asked: list[Any] = []
        profile = qos.sensor("reliable")
        kinds = {"camera/camera_info": CameraInfo, "pose": PoseWithCovarianceStamped, IMAGE: Image}
        self._out = {
            a: [self.node.create_publisher(kind, f"/{a}/{name}", profile) for name, kind in kinds.items()]
            for a in agents
        }
        for agent in agents:
            for name, kind in OUTPUTS.items():
                take = self._taker(agent) if name == "detections" else lambda message: None
                self.node.create_subscription(kind, f"/{agent}/{name}", take, qos.outputs())
            self.node.create_subscription(AgentStatus, f"/{agent}/status", self._on_status, qos.outputs())
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _taker(self, agent: str) -> Any:
        def take(message: ObjectArray) -> None:
            self.answered_ns[agent] = max(self.answered_ns[agent], stamps.stamp_ns(message.header.stamp))
            self.heard[agent] += 1

        return take

    def _on_status(self, message: AgentStatus) -> None:
        self.peers[message.agent] = tuple(message.peers)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, concern = status.name.partition(": ")
            key = f"{status.hardware_id}#{self.lives.get(status.hardware_id, 0)}"
            if concern == "refused":
                for value in status.values:
                    self.refused[key, node, value.key] = int(value.value)
            elif concern in ("pipeline", "work"):
                for value in status.values:
                    if value.key == "errors":
                        self.errors[key, node] = int(value.value)

    def show(self) -> int:
        """Publish one image of every UAV with what belongs to it, taken now; the stamp."""
        stamp_ns, self._frame = time.time_ns(), self._frame + 1
        for agent in self.agents:
            view = self._scene.view(agent, self._frame)
            info, pose, image = self._out[agent]
            frame_id = f"{agent}/camera"
            info.publish(sensors.intrinsics_to_message(view.K, view.image.shape[:2], stamp_ns, frame_id))
            pose.publish(sensors.pose_to_message(view.T_map_camera, view.covariance, stamp_ns, "map"))
            image.publish(sensors.image_to_message(view.image, stamp_ns, frame_id))
            self.shown[agent] += 1
        return stamp_ns

    def takers(self, agent: str) -> set[bytes]:
        """Identifiers of the subscriptions to the images of a UAV."""
        found = self.node.get_subscriptions_info_by_topic(f"/{agent}/{IMAGE}")
        return {bytes(info.endpoint_gid) for info in found}

    def set_parameters(self, node: str, values: Mapping[str, Any]) -> Any:
        """Ask a node to set parameters; the future of its answer, which `spin` checks."""
        messages = [Parameter(key, value=value).to_parameter_msg() for key, value in values.items()]
        request = SetParameters.Request(parameters=messages)
        future = self.ask(SetParameters, f"{node}/set_parameters", request)
        self._asked.append(future)
        return future

    def ask(self, kind: Any, service: str, request: Any) -> Any:
        """The future of a service's answer, asked once the service is there."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client, deadline_s = self._clients[service], time.monotonic() + SERVICE_S
        while not client.service_is_ready():
            if time.monotonic() > deadline_s:
                raise BenchError(f"there is no service {service} after {SERVICE_S:.0f} s")
            self.spin_once(0.02)
        return client.call_async(request)

    def spin_once(self, timeout_s: float) -> None:
        """Listen until something comes, so long at most."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def spin(self, seconds: float) -> None:
        """Listen for so long. Raises: BenchError if parameters were refused."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self.spin_once(left_s)
        waiting = []
        for future in self._asked:
            if not future.done():
                waiting.append(future)
            elif refused := [r.reason for r in future.result().results if not r.successful]:
                raise BenchError(f"parameters were refused: {'; '.join(refused)}")
        self._asked = waiting

    def refusals(self) -> Counter[str]:
        """Refusals by reason, of all processes so far."""
        out: Counter[str] = Counter()
        for (_, _, reason), number in self.refused.items():
            out[reason] += number
        return out

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
