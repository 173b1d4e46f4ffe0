"""Follows the topics of a live fleet as they appear, and hands their messages to a Router in a thread of its own.

Topics are found from the ROS graph; each is subscribed to with the reliability that its publishers offer. Messages go
through a queue: the fleet never waits, and messages beyond the queue are dropped and counted.
"""

from __future__ import annotations

import importlib
import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.data.bags.topic_map import IMAGES, INFO, POSES, STATUS, TRANSFORMS
from rsdfm_ros.data.messages.answers.serialized_tasks import READERS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.view.messages import CONTRIBUTORS, DIAGNOSTICS, Router

QUEUED = 1000
"""Longest queue of messages: some seconds of a fleet."""
DEPTH = 20
EXPECTED = (STATUS, *IMAGES)
"""Types of topics whose silence is told."""
EVERY = (*POSES, TRANSFORMS)
"""Types of which every message is read: images lie between them."""
FIND_S = 0.5
"""Time between two looks at the graph."""


class Watch:
    """What one node subscribes to for a view, from `start` to `stop`; may be started again."""

    def __init__(
        self, node: RsdfmNode[Any], router: Router, wants: Callable[[int], bool] | None = None
    ) -> None:
        """wants(stamp in ns): whether messages of that stamp are read; every message without it."""
        self.router = router
        self._node, self._wants = node, wants
        self._infos: dict[str, bytes] = {}
        self._queue: queue.Queue[tuple[str, Callable[[bytes], Any], bytes, float] | None] = queue.Queue(
            QUEUED
        )
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()
        self._timer: Any = None
        self._subscriptions: list[Any] = []
        self._since_s = 0.0

    @property
    def running(self) -> bool:
        """Whether it is between `start` and `stop`."""
        return self._thread is not None

    def start(self) -> None:
        """Subscribe to what is there, and look for more."""
        self._thread = threading.Thread(target=self._work, name="view", daemon=True)
        self._thread.start()
        self._since_s = monotonic()
        for topic in self.router.topics:  # after a pause
            self._listen(topic)
        self._timer = self._node.create_timer(FIND_S, self._find, clock=STEADY)
        self._find()

    def stop(self) -> None:
        """Subscribe to nothing; what was received is shown first."""
        if self._thread is None:
            return
        self._node.destroy_timer(self._timer)
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
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
        node, router = self._node, self.router
        kinds = {name: types[0] for name, types in node.get_topic_names_and_types() if len(types) == 1}
        published = {n: t for n, t in kinds.items() if node.count_publishers(n) > 0}
        for topic in router.learn(published):
            self._listen(topic, kinds[topic])
        silent_s = monotonic() - self._since_s
        if not router.topics and silent_s > node.settings.input_timeout_s:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            node.get_logger().warning(
                f"nothing to show for {silent_s:.0f} s: no topics such as /uav1/status or "
                f"/uav1/camera/image_raw in ROS domain {domain}; start the fleet, set ROS_DOMAIN_ID as it is there, or "
                "give a topic map",
                throttle_duration_sec=30.0,
            )

    def _listen(self, topic: str, kind: str = "") -> None:
        node = self._node
        if not kind:
            kind = next((t[0] for n, t in node.get_topic_names_and_types() if n == topic), "")
        message_type = _type_of(kind)
        if message_type is None:
            if topic not in self._told:
                node.get_logger().warning(f"{topic} is not shown: its type {kind!r} is not installed here")
                self._told.add(topic)
            return
        offered = [info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)]
        reliable = bool(offered) and all(r == ReliabilityPolicy.RELIABLE for r in offered)
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )

        read = READERS.get(kind) or partial(_deserialized, message_type)

        def take(raw: bytes) -> None:
            if not self._is_of_use(topic, kind, raw):
                return
            try:
                self._queue.put_nowait((topic, read, raw, monotonic()))
            except queue.Full:
                node.health.count("messages_dropped")

        self._subscriptions.append(
            node.create_subscription(message_type, topic, take, profile, raw=True),
        )
        # A view that reads by choice says nothing about silence. Topics of other kinds end with these.
        if self._wants is None and kind in EXPECTED and not topic.endswith(CONTRIBUTORS):
            node.expect(topic, kind.rpartition("/")[2])

    def _is_of_use(self, topic: str, kind: str, raw: bytes) -> bool:
        """Whether a message is read, where `wants` says which: intrinsics only when they change."""
        if self._wants is None or kind in EVERY or topic == DIAGNOSTICS:
            return True
        if kind == INFO:
            content = raw[12:]  # without encapsulation and stamp
            known, self._infos[topic] = self._infos.get(topic), content
            return known != content
        stamp_ns = header_stamp_ns(raw)
        return stamp_ns is None or self._wants(stamp_ns)

    # --- showing --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            topic, read, raw, arrived_s = item
            try:
                self.router.take(topic, read(raw), len(raw), arrived_s)
                self._node.health.count("messages_shown")
            except MessageError as error:
                self.router.reject(topic, error.reason, str(error))
            except Exception as error:
                self._node.on_job_error(topic, error)


def _deserialized(message_type: Any, raw: bytes) -> Any:
    """The message of a type. Raises: MessageError for bytes that are of another definition of it."""
    try:
        return deserialize_message(raw, message_type)
    except Exception as error:  # of rclpy's C++ part, which names no type of its own
        name = message_type.__name__
        raise MessageError("serialized", f"{len(raw)} bytes are no {name} as it is defined here") from error


def _type_of(kind: str) -> Any | None:
    """The class of a message type such as sensor_msgs/msg/Image; None where it is not installed."""
    package, _, name = kind.partition("/msg/")
    if not package.isidentifier() or not name.isidentifier():
        return None
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None
