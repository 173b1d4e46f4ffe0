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

from rclpy.callback_groups import CallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.data.bags.topic_map import ATTITUDES, IMAGES, INFO, POSES, STATUS, TRANSFORMS
from rsdfm_ros.data.messages.answers.serialized_tasks import READERS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.view.messages import CONTRIBUTORS, DIAGNOSTICS, Router
from rsdfm_ros.view.web.thinning import PosesAround

QUEUED = 1000
"""Longest queue of messages: some seconds of a fleet."""
DEPTH, DEEP = 20, 64
"""Messages that a subscription keeps; DEEP: of small messages that come often."""
EXPECTED = (STATUS, *IMAGES)
"""Types of topics whose silence is told."""
AROUND = (
    *("geometry_msgs/msg/PoseWithCovarianceStamped", "geometry_msgs/msg/PoseStamped"),
    "nav_msgs/msg/Odometry",
)
"""Types of poses with a header: read by choice are those around images that are read."""
EVERY = tuple({*POSES, *ATTITUDES, TRANSFORMS} - {*AROUND})
"""Types of which every message is read: images lie between them, or a stamp does not begin them."""
FIRST = (*EVERY, *AROUND, INFO)
"""Types that are subscribed to first, so that a node that takes messages in batches has them before the images."""
FIND_S = 1.0
"""Time between two looks at the graph."""

_Waiting = tuple[str, Callable[[bytes], Any], bytes, float]
"""A message: topic, reader, bytes, time of arrival."""


class Watch:
    """What one node subscribes to for a view, from `start` to `stop`; may be started again."""

    def __init__(
        self,
        node: RsdfmNode[Any],
        router: Router,
        wants: Callable[[int], bool] | None = None,
        *,
        listens: Callable[[str], bool] = lambda topic: True,
        group: CallbackGroup | None = None,
    ) -> None:
        """wants(stamp in ns): whether messages of that stamp are read; every message without it · listens(topic):
        whether a topic is subscribed to now · group: of the subscriptions."""
        self.router = router
        self._node, self._wants, self._listens, self._group = node, wants, listens, group
        self._infos: dict[str, bytes] = {}
        self._poses: PosesAround[_Waiting] = PosesAround()
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(QUEUED)
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()
        self._timer: Any = None
        self._kinds: dict[str, str] = {}
        """Type of every topic that has had a publisher."""
        self._subscriptions: dict[str, Any] = {}
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
        self._timer = self._node.create_timer(FIND_S, self._find, clock=STEADY)
        self._find()

    def stop(self) -> None:
        """Subscribe to nothing; what was received is shown first."""
        if self._thread is None:
            return
        self._node.destroy_timer(self._timer)
        for topic in list(self._subscriptions):
            self._node.destroy_subscription(self._subscriptions.pop(topic))
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
        known = self._kinds
        found = {n: t[0] for n, t in node.get_topic_names_and_types() if len(t) == 1 and n not in known}
        found = {n: t for n, t in found.items() if node.count_publishers(n) > 0}
        if found:
            known.update(found)
            router.learn(known)
        self._choose()
        silent_s = monotonic() - self._since_s
        if not router.topics and silent_s > node.settings.input_timeout_s:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            node.get_logger().warning(
                f"nothing to show for {silent_s:.0f} s: no topics such as /uav1/status or "
                f"/uav1/camera/image_raw in ROS domain {domain}; start the fleet, set ROS_DOMAIN_ID as it is there, or "
                "give a topic map",
                throttle_duration_sec=30.0,
            )

    def _choose(self) -> None:
        """Subscribe to what is wanted now, and to nothing else."""
        for topic in sorted(self.router.topics, key=lambda topic: self._kinds[topic] not in FIRST):
            wanted, held = self._listens(topic), topic in self._subscriptions
            if wanted and not held and topic not in self._told:
                self._listen(topic)
            elif held and not wanted:
                self._node.destroy_subscription(self._subscriptions.pop(topic))

    def _listen(self, topic: str) -> None:
        node, kind = self._node, self._kinds[topic]
        message_type = _type_of(kind)
        if message_type is None:
            node.get_logger().warning(f"{topic} is not shown: its type {kind!r} is not installed here")
            self._told.add(topic)
            return
        offered = [info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)]
        reliable = bool(offered) and all(r == ReliabilityPolicy.RELIABLE for r in offered)
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEEP if kind in (*EVERY, *AROUND) or topic == DIAGNOSTICS else DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )

        read = READERS.get(kind) or partial(_deserialized, message_type)

        def take(raw: bytes) -> None:
            for message in self._of_use(kind, (topic, read, raw, monotonic())):
                try:
                    self._queue.put_nowait(message)
                except queue.Full:
                    node.health.count("messages_dropped")

        self._subscriptions[topic] = node.create_subscription(
            message_type, topic, take, profile, raw=True, callback_group=self._group
        )
        # A view that reads by choice says nothing about silence. Topics of other kinds end with these.
        if self._wants is None and kind in EXPECTED and not topic.endswith(CONTRIBUTORS):
            node.expect(topic, kind.rpartition("/")[2])

    def _of_use(self, kind: str, message: _Waiting) -> list[_Waiting]:
        """The messages that are read now, where `wants` says which: intrinsics only when they change, poses around
        images."""
        topic, _, raw, _ = message
        if self._wants is None or kind in EVERY or topic == DIAGNOSTICS:
            return [message]
        if kind == INFO:
            content = raw[12:]  # without encapsulation and stamp
            known, self._infos[topic] = self._infos.get(topic), content
            return [] if known == content else [message]
        stamp_ns = header_stamp_ns(raw)
        if stamp_ns is None:
            return [message]
        if kind in AROUND:
            return self._poses.pose(topic, stamp_ns, message)
        if not self._wants(stamp_ns):
            return []
        return [*self._poses.image(stamp_ns), message] if kind in IMAGES else [message]

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
