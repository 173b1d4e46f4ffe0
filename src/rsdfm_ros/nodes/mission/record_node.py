"""record_node: records topics of a fleet into a bag, as serialised bytes, until it is stopped.

Topics are taken as they appear, with a quality of service that fits all their publishers. Bytes go through a bounded
queue to one thread that writes; data older than `flush_s` is on disk even if the recorder is killed.
"""

from __future__ import annotations

import queue
import re
import sys
import threading
from time import monotonic
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.ending import SAVE_S
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.convert.installed_types import installed_types
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.message_types import message_class
from rsdfm_ros.nodes.core.runner import run_to_end
from rsdfm_ros.nodes.mission.bag_settings import RecordSettings
from rsdfm_ros.words import counted

FLEET_TOPICS = (
    r"(/.*)?/(camera/.*|[a-z0-9_]+/(image_raw|image_raw/compressed|camera_info)|pose|ground/(height|range)|bev/(features|demand|contributors)|status"
    r"|detections|instance_mask|occupancy|trajectories|future_masks|ground_truth)|/fleet/status|/diagnostics|/tf|/tf_static|/clock"
)
"""Topics that an evaluation or a replay needs, and the answers of the UAVs; of the outputs made for views only the
contributors of cells, which cannot be computed afterwards."""
DEPTH = 200
_FOREVER = QosTime(2147483647, 4294967295)


class RecordNode(RsdfmNode[RecordSettings]):
    """`finished` tells when the chosen duration is over and the bag is closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__("record_node", RecordSettings, **options)
        self.finished = threading.Event()
        self.failure = ""
        self._bag: BagWriter | None = None
        self._queue: queue.SimpleQueue[tuple[str, str, int, bytes] | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._seen: set[str] = set()
        self._first_ns: int | None = None

    def check(self, settings: RecordSettings) -> None:
        for name in ("topics", "exclude"):
            try:
                re.compile(getattr(settings, name))
            except re.error as error:
                raise RsdfmError(
                    f"{name}: {getattr(settings, name)!r} is no regular expression: {error}"
                ) from error

    def configure(self) -> None:
        s = self.settings
        if not s.out:
            raise RsdfmError("record_node needs a folder for the bag: set `out`")
        self._bag = BagWriter(s.out, storage=s.storage, max_bytes=s.max_bytes)

    def activate(self) -> None:
        if self._bag is None:
            raise RsdfmError("the bag is closed: configure anew, with another folder")
        self._seen.clear()
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()
        self._discover()
        self.create_timer(self.settings.discovery_period_s, self._discover, clock=STEADY)

    def deactivate(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(SAVE_S)
            self._thread = None

    def cleanup(self) -> None:
        self._close()

    def save(self) -> None:
        """Write what waits and finish the bag."""
        self.deactivate()
        self._close()

    # --- topics ---------------------------------------------------------------------------------------------------

    def _discover(self) -> None:
        s = self.settings
        for topic, types in self.get_topic_names_and_types():
            if topic in self._seen or not re.fullmatch(s.topics or FLEET_TOPICS, topic):
                continue
            if s.exclude and re.fullmatch(s.exclude, topic):
                continue
            infos = self.get_publishers_info_by_topic(topic)
            if not infos:
                continue  # its quality of service is not known before there is a publisher
            self._seen.add(topic)
            self._take_topic(topic, types[0], infos)

    def _take_topic(self, topic: str, type_name: str, infos: list[Any]) -> None:
        try:
            kind = message_class(type_name)
            assert self._bag is not None
            offered = [_offered(i.qos_profile) for i in infos]
            self._bag.add(topic, type_name, installed_types(type_name), offered)
        except RsdfmError as error:
            self.reject("unknown_type", f"{topic} is not recorded: {error}")
            return
        profile = fitting([i.qos_profile for i in infos])

        def take(raw: bytes) -> None:
            self._take(topic, type_name, raw)

        self.create_subscription(kind, topic, take, profile, raw=True)
        self.get_logger().info(f"recording {topic}")

    def _take(self, topic: str, type_name: str, raw: bytes) -> None:
        with self._lock:
            full = self._waiting_bytes + len(raw) > self.settings.queue_bytes
            self._waiting_bytes += 0 if full else len(raw)
        if full:
            self.reject("too_slow", f"a message of {topic} was dropped: the disk is too slow")
            return
        self._queue.put((topic, type_name, self.get_clock().now().nanoseconds, raw))

    # --- writing --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        flushed_s = monotonic()
        bag, s = self._bag, self.settings
        assert bag is not None
        while True:
            try:
                item = self._queue.get(timeout=s.flush_s)
            except queue.Empty:
                item = ("", "", 0, b"")
            if item is None:
                return
            try:
                topic, type_name, log_ns, raw = item
                if topic:
                    with self._lock:
                        self._waiting_bytes -= len(raw)
                    if not self._over(log_ns):
                        bag.write(topic, type_name, log_ns, raw)
                        self.health.count("messages_recorded")
                        self.health.count("bytes_recorded", len(raw))
                if monotonic() - flushed_s >= s.flush_s:
                    bag.flush()
                    flushed_s = monotonic()
            except Exception as error:  # a full disk ends the recording with an error, not the thread
                self.failure = f"{type(error).__name__}: {error}"
                self.get_logger().error(f"the recording ends: {self.failure}")
                self.finished.set()
                return

    def _over(self, log_ns: int) -> bool:
        self._first_ns = log_ns if self._first_ns is None else self._first_ns
        over = bool(self.settings.duration_s) and log_ns - self._first_ns > self.settings.duration_s * 1e9
        if over:
            self.finished.set()
        return over

    def _close(self) -> None:
        bag, self._bag = self._bag, None
        if bag is None:
            return
        try:
            bag.close()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.get_logger().error(f"the bag could not be finished: {self.failure}")
            return
        content = f"{counted(bag.messages, 'message')} of {counted(len(self._seen), 'topic')}"
        text = f"{content}, {bag.bytes / 1e6:.1f} MB, in {bag.folder}"
        self.get_logger().info(text)


def fitting(offered: list[QoSProfile]) -> QoSProfile:
    """QoS that matches every one of these publishers: reliable and transient only if all of them are."""
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in offered)
    transient = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if transient else DurabilityPolicy.VOLATILE,
    )


def _offered(profile: QoSProfile) -> Qos:
    """QoS that a publisher offers, for `ros2 bag play`."""
    transient = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    return Qos(
        QosHistory.KEEP_LAST,
        max(int(profile.depth), 1),
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if transient else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


def main() -> int:
    """Record in a process of its own, until it is stopped or the duration is over."""
    return run_to_end(RecordNode)


if __name__ == "__main__":
    sys.exit(main())
