"""view_node: shows a live fleet with rerun; `rsdfm view` starts it.

Topics are found from the ROS graph as they appear; each is subscribed to with the reliability that its publishers
offer. Messages go through a queue to one thread: the fleet never waits for a viewer, and messages beyond the queue are
dropped and counted. The UAVs publish outputs made for views only (bev/contributors) while this node runs.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import IMAGES, STATUS, TopicMap, default_map
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.mission.settings import ViewSettings
from rsdfm_ros.view.messages import CONTRIBUTORS, Router
from rsdfm_ros.view.scene import Scene
from rsdfm_ros.view.viewer import new_recording, open_output

QUEUED = 1000
"""Longest queue of messages: some seconds of a fleet."""
DEPTH = 20
EXPECTED = (STATUS, *IMAGES)
"""Types of topics whose silence is told."""
FIND_S = 0.5
"""Time between two looks at the graph."""


class ViewNode(RsdfmNode[ViewSettings]):
    """`router.shown` counts messages by topic."""

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewSettings, **options)
        self.router: Router | None = None
        self._recording: Any = None
        self._map: TopicMap = default_map()
        self._queue: queue.Queue[tuple[str, Any, bytes, float] | None] = queue.Queue(QUEUED)
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()

    def configure(self) -> None:
        s = self.settings
        self._map = load_map(s.topic_map) if s.topic_map else default_map()
        self._recording = new_recording("live fleet")
        save = Path(s.save) if s.save else None
        where = open_output(self._recording, save=save, web=s.web, connect=s.connect or None)
        self.router = Router(Scene(self._recording), self._map, self._on_reject)
        self.get_logger().info(where)

    def save(self) -> None:
        """Show what waits and write the recording."""
        self.deactivate()
        if self._recording is not None:
            self._recording.flush()

    def cleanup(self) -> None:
        if self._recording is not None:
            self._recording.flush()
            self._recording.disconnect()
            self._recording = None
        self.router = None

    def activate(self) -> None:
        assert self.router is not None
        self._thread = threading.Thread(target=self._work, args=[self.router], name="view", daemon=True)
        self._thread.start()
        self._since_s = monotonic()
        for topic in self.router.topics:  # after a pause
            self._listen(topic)
        self.create_timer(FIND_S, self._find, clock=STEADY)
        self._find()

    def deactivate(self) -> None:
        if self._thread is not None:
            while True:  # a full queue drops a message for the end mark
                try:
                    self._queue.put_nowait(None)
                    break
                except queue.Full:
                    self._queue.get_nowait()
            self._thread.join(10.0)
            self._thread = None

    # --- finding topics -------------------------------------------------------------------------------------------

    def _find(self) -> None:
        router = self.router
        if router is None:
            return
        kinds = {name: types[0] for name, types in self.get_topic_names_and_types() if len(types) == 1}
        published = {n: t for n, t in kinds.items() if self.count_publishers(n) > 0}
        for topic in router.learn(published):
            self._listen(topic, kinds[topic])
        if not router.topics and monotonic() - self._since_s > self.settings.input_timeout_s:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            self.get_logger().warning(
                f"nothing to show for {monotonic() - self._since_s:.0f} s: no topics such as /uav1/status or "
                f"/uav1/camera/image_raw in ROS domain {domain}; start the fleet, set ROS_DOMAIN_ID as it is there, or "
                "give a topic map",
                throttle_duration_sec=30.0,
            )

    def _listen(self, topic: str, kind: str = "") -> None:
        if not kind:
            kind = next((t[0] for n, t in self.get_topic_names_and_types() if n == topic), "")
        message_type = _type_of(kind)
        if message_type is None:
            if topic not in self._told:
                self.get_logger().warning(f"{topic} is not shown: its type {kind!r} is not installed here")
                self._told.add(topic)
            return
        offered = [info.qos_profile.reliability for info in self.get_publishers_info_by_topic(topic)]
        reliable = bool(offered) and all(r == ReliabilityPolicy.RELIABLE for r in offered)
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )

        def take(raw: bytes) -> None:
            try:
                self._queue.put_nowait((topic, message_type, raw, monotonic()))
            except queue.Full:
                self.health.count("messages_dropped")

        self.create_subscription(message_type, topic, take, profile, raw=True)
        if kind in EXPECTED and not topic.endswith(CONTRIBUTORS):  # the other topics end with these
            self.expect(topic, kind.rpartition("/")[2])

    # --- showing --------------------------------------------------------------------------------------------------

    def _work(self, router: Router) -> None:
        while (item := self._queue.get()) is not None:
            topic, message_type, raw, arrived_s = item
            try:
                router.take(topic, deserialize_message(raw, message_type), len(raw), arrived_s)
                self.health.count("messages_shown")
            except Exception as error:
                self.on_job_error(topic, error)

    def _on_reject(self, topic: str, reason: str, text: str) -> None:
        self.reject(reason, f"{topic}: {text}")


def _type_of(kind: str) -> Any | None:
    """The class of a message type such as sensor_msgs/msg/Image; None where it is not installed."""
    package, _, name = kind.partition("/msg/")
    if not package.isidentifier() or not name.isidentifier():
        return None
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [ViewNode()])


if __name__ == "__main__":
    sys.exit(main())
