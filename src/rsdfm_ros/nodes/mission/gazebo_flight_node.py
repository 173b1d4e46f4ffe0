"""gazebo_flight_node: flies the UAVs of a Gazebo world as planned and publishes the poses of their cameras.

From the bridge come odometry, joint states and intrinsics of every UAV; back go velocities and gimbal angles. For every
image it publishes the inputs of the UAV's nodes: the pose of the camera's optical frame at the image's stamp, and the
intrinsics in ROS's convention. Simulation time is read from the stamps of the odometry.

Before gz-sim 8.14 joint states come at every physics step, 250 times a second from each UAV: the node takes its inputs
in batches (polling.py), of the joint states only the newest, and commands each UAV once per batch, from its newest
odometry.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Float64

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.pose_buffer import PoseBuffer
from rsdfm_ros.data.messages.poses import PoseSample
from rsdfm_ros.data.messages.serialized import odometry_pose, odometry_stamp_ns
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.polling import PollingNode
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.mission.gazebo_settings import GazeboFlightSettings
from rsdfm_ros.sim.config import MAX_UAVS
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.bridge import GIMBAL_TOPICS
from rsdfm_ros.sim.gazebo.gimbal import Track, camera_pose, steer
from rsdfm_ros.sim.gazebo.uav import PITCH_JOINT, ROLL_JOINT

JOINT_GAPS = 5
"""Largest interval of joint states, as a multiple of that of odometry: a gimbal that holds a point turns slowly."""
WAITING_IMAGES = 8
"""Images of one UAV that may wait for the odometry of their instant."""
ODOMETRY_KEPT = 64
NO_POSE = "no_pose"


@dataclass
class _Uav:
    """State of one UAV. base: poses of its body · camera: poses of the camera in the body, by stamp ·
    odometry: the last ones, serialised, by stamp; only those that are needed are read · fresh: some came since the last
    batch · began: an image has had a pose."""

    track: Track
    base: PoseBuffer
    camera: PoseBuffer
    outputs: dict[str, Any]
    images: deque[tuple[int, CameraInfo]] = field(default_factory=deque)
    odometry: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=ODOMETRY_KEPT))
    fresh: bool = False
    began: bool = False

    def clear(self) -> None:
        self.base.clear()
        self.camera.clear()
        self.images.clear()
        self.odometry.clear()
        self.fresh = self.began = False


class GazeboFlightNode(PollingNode[GazeboFlightSettings]):
    """One for all UAVs of a world."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gazebo_flight_node", GazeboFlightSettings, **options)
        self._uavs: dict[str, _Uav] = {}
        self.start_polling()

    def check(self, settings: GazeboFlightSettings) -> None:
        check_agents(settings.agents)

    def configure(self) -> None:
        s, reliable = self.settings, qos.sensor("reliable", depth=10)
        gap_ns = round(s.max_gap_s * 1e9)
        flights = make_flights(s.seed, len(s.agents))
        for agent, flight in zip(s.agents, flights, strict=True):
            outputs = {
                "pose": self.create_publisher(PoseWithCovarianceStamped, f"{agent}/pose", reliable),
                "info": self.create_publisher(CameraInfo, f"{agent}/camera/camera_info", reliable),
                "velocity": self.create_publisher(Twist, f"{agent}/cmd_vel", reliable),
            }
            for joint, topic in GIMBAL_TOPICS.items():
                outputs[joint] = self.create_publisher(Float64, f"{agent}/{topic}", reliable)
            buffers = [PoseBuffer(tolerance_ns=0, max_gap_ns=gap) for gap in (gap_ns, JOINT_GAPS * gap_ns)]
            self._uavs[agent] = _Uav(Track(flight), buffers[0], buffers[1], outputs)

    def cleanup(self) -> None:
        self._uavs = {}

    def activate(self) -> None:
        inputs = (
            (Odometry, "odometry", self._on_odometry, "odometry", 50),
            (JointState, "joint_states", self._on_joints, "joint states", 1),
            (CameraInfo, "gazebo/camera_info", self._on_image, "camera_info of Gazebo", 50),
        )
        for agent, uav in self._uavs.items():
            for kind, topic, handler, what, depth in inputs:
                self.create_subscription(
                    kind, f"{agent}/{topic}", lambda m, h=handler, u=uav, a=agent: h(a, u, m),
                    qos.sensor(self.settings.input_reliability, depth=depth), callback_group=self.unwaited,
                    raw=kind is Odometry,
                )  # fmt: skip
                self.expect(f"{agent}/{topic}", what)

    def deactivate(self) -> None:
        self.clear()

    def clear(self) -> None:
        for uav in self._uavs.values():
            uav.clear()

    # --- state in, commands out -----------------------------------------------------------------------------------

    def _on_odometry(self, agent: str, uav: _Uav, message: bytes) -> None:
        uav.odometry.append((odometry_stamp_ns(message), message))
        uav.fresh = True

    def batch(self) -> None:
        """Command every UAV that has moved, and report the images whose poses are known now."""
        for agent, uav in self._uavs.items():
            self.guarded(self._answer, f"{agent}/odometry")(agent, uav)

    def _answer(self, agent: str, uav: _Uav) -> None:
        fresh, uav.fresh = uav.fresh, False
        if fresh:
            posed = odometry_pose(uav.odometry[-1][1])
            uav.base.add(posed.stamp_ns, posed.sample)
            if self.settings.fly:
                self._steer(uav, posed.stamp_ns, posed.sample.T)
        self._report(agent, uav)

    def _on_joints(self, agent: str, uav: _Uav, message: JointState) -> None:
        stamp_ns = checked_stamp_ns(message.header.stamp, "joint states")
        angles = dict(zip((n.rpartition("::")[2] for n in message.name), message.position, strict=False))
        missing = [j for j in (PITCH_JOINT, ROLL_JOINT) if not math.isfinite(angles.get(j, math.nan))]
        if missing:
            raise MessageError("joint_states", f"{agent}: expected a finite position of joint {missing[0]}")
        T = camera_pose(np.eye(4), angles[PITCH_JOINT], angles[ROLL_JOINT])
        uav.camera.add(stamp_ns, PoseSample(T))

    def _steer(self, uav: _Uav, stamp_ns: int, T_map_base: NDArray[np.float64]) -> None:
        s = self.settings
        command = steer(uav.track, stamp_ns / 1e9 - s.start_s, T_map_base, s.lead_s)
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.linear.z = command.linear.tolist()
        twist.angular.x, twist.angular.y, twist.angular.z = command.angular.tolist()
        uav.outputs["velocity"].publish(twist)
        uav.outputs[PITCH_JOINT].publish(Float64(data=float(command.pitch)))
        uav.outputs[ROLL_JOINT].publish(Float64(data=float(command.roll)))
        self.health.count("commands")

    # --- images -------------------------------------------------------------------------------------------------

    def _on_image(self, agent: str, uav: _Uav, message: CameraInfo) -> None:
        stamp_ns = checked_stamp_ns(message.header.stamp, "camera_info")
        uav.images.append((stamp_ns, message))
        if len(uav.images) > WAITING_IMAGES:
            late, _ = uav.images.popleft()
            self.reject(NO_POSE, f"{agent}: no odometry or joint states up to {late / 1e9:.3f} s")

    def _report(self, agent: str, uav: _Uav) -> None:
        """Publish pose and intrinsics of every image whose instant is known.

        Images from before the first odometry or joint states have no pose: Gazebo sends its first ones before these.
        Until the first image with a pose, these are counted and not logged.
        """
        while uav.images and uav.base.ready(uav.images[0][0]) and uav.camera.ready(uav.images[0][0]):
            stamp_ns, info = uav.images.popleft()
            try:
                T = base_at(uav, stamp_ns) @ uav.camera.at(stamp_ns).T
            except MessageError:
                if uav.began:
                    raise
                self.health.reject(NO_POSE)
                continue
            pose = convert.pose_to_message(T, np.zeros((6, 6)), stamp_ns, self.settings.frame_id)
            uav.outputs["info"].publish(ros_intrinsics(info, f"{agent}/camera_optical"))
            uav.outputs["pose"].publish(pose)
            uav.began = True
            self.health.count("pictures")


def base_at(uav: _Uav, stamp_ns: int) -> NDArray[np.float64]:
    """The pose of the body at an instant: that of the odometry with this stamp, or between two. Raises:
    MessageError."""
    for at_ns, data in reversed(uav.odometry):
        if at_ns == stamp_ns:
            return odometry_pose(data).sample.T
    return uav.base.at(stamp_ns).T


def ros_intrinsics(info: CameraInfo, frame_id: str) -> CameraInfo:
    """Gazebo's intrinsics with the principal point counted from the centre of the first pixel, as ROS counts.

    Raises: MessageError `camera_info` for intrinsics that are not those of a Gazebo camera without lens: the principal
    point in the middle of the image, no distortion. The convention of other cameras is not known.
    """
    middle = (0.5 * info.width, 0.5 * info.height)
    if abs(info.k[2] - middle[0]) > 1e-6 or abs(info.k[5] - middle[1]) > 1e-6 or any(info.d):
        raise MessageError(
            "camera_info",
            f"expected Gazebo's pinhole with the principal point at {middle} and no distortion, "
            f"got {info.k[2]}, {info.k[5]} and {list(info.d)}",
        )
    size = (int(info.height), int(info.width))
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    stamp_ns = checked_stamp_ns(info.header.stamp, "camera_info")
    return convert.intrinsics_to_message(K, size, stamp_ns, frame_id)


def check_agents(agents: tuple[str, ...]) -> None:
    """RsdfmError unless these can be the UAVs of one world."""
    if (
        not 1 <= len(agents) <= MAX_UAVS
        or len(set(agents)) < len(agents)
        or not all(map(str.isidentifier, agents))
    ):
        raise RsdfmError(f"agents: expected 1 to {MAX_UAVS} different names such as uav1, got {list(agents)}")


def main() -> int:
    """Run until stopped."""
    return run(lambda: [GazeboFlightNode()])


if __name__ == "__main__":
    sys.exit(main())
