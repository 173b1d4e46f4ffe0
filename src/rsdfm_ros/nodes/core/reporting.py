"""Reports of a node about itself: counts, refusals, missing inputs, processing times, and what it writes to the log."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from time import monotonic
from typing import Any, TypeVar

from rclpy.impl.implementation_singleton import rclpy_implementation

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import ProcessingTime
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.expectations import Expectations
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.live_settings import LiveSettings
from rsdfm_ros.nodes.core.node_time import NodeTime, simulated_ns
from rsdfm_ros.wire.errors import WireError

S = TypeVar("S")

RCLError: type[RuntimeError] = rclpy_implementation.RCLError
"""Raised by publishing when the middleware does not take a message. `rclpy.exceptions` does not export it, and its
nearest public base, RuntimeError, would hide errors of our own: this is the only place that reaches into rclpy.impl."""

SILENCE_S = 5.0
"""Shortest time between log entries of one kind of refusal, error or event, on the node's clock; all are counted."""


class ReportingNode(LiveSettings[S]):
    """A node that counts what happens to it. `last_error`: why its last transition failed, empty if it did not."""

    def __init__(self, name: str, settings: type[S], health: Health | None = None, **options: Any) -> None:
        super().__init__(name, settings, **options)
        self.health = health or Health()
        self.last_error = ""
        self.time = NodeTime(self._say, lambda: simulated_ns(self.get_clock()), monotonic)
        self.expectations = Expectations(self._say, self.time)
        self._processing_time: Any = None
        self._said_s: dict[str, float] = {}

    def expect(self, topic: str, what: str) -> None:
        """Report when `what` does not arrive on `topic` (relative) for some seconds; ends on deactivation.

        Messages on subscriptions of this node count automatically; for other inputs call `seen`.
        """
        self.expectations.expect(self.resolve_topic_name(topic), what)

    def seen(self, topic: str) -> None:
        """Note that an expected input on `topic` (relative) came by other means than a subscription of this node."""
        self.expectations.seen(self.resolve_topic_name(topic))

    def hint(self, topic: str) -> str:
        """Reason why nothing may come on a (fully qualified) topic, as the end of a sentence."""
        number = self.count_publishers(topic)
        if number == 0:
            return " (nobody publishes there)"
        return f" ({number} publish there: is their QoS compatible, do their clocks run?)"

    def reject(self, reason: str, text: str) -> None:
        """Count refused input, and log it at most every few seconds."""
        self.health.reject(reason)
        self.warn_seldom(reason, f"refused ({reason}): {text}")

    def warn_seldom(self, kind: str, text: str) -> None:
        """Log a warning, those of one kind at most every few seconds."""
        if self._may_say(kind):
            self.get_logger().warning(text)

    def on_job_error(self, slot: str, error: Exception) -> None:
        """Handle an error in the worker: refuse bad input, report errors of the node."""
        if isinstance(error, RsdfmError):
            reason = error.reason if isinstance(error, WireError) else getattr(error, "reason", slot)
            self.reject(reason, str(error))
        else:
            self.health.count("errors")
            if self._may_say(f"error in {slot}"):
                trace = "".join(traceback.format_exception(error))
                self.get_logger().error(f"{slot} failed: {trace}")

    def on_callback_error(self, where: str, error: Exception) -> None:
        self.on_job_error(where, error)

    def on_arrival(self, topic: str) -> None:
        self.expectations.seen(topic)

    def send(self, publisher: Any, message: Any) -> bool:
        """Publish a message; returns whether the middleware accepted it. Refused messages, as on a flooded network, are
        counted."""
        try:
            publisher.publish(message)
        except RCLError as error:
            self.reject("publish_failed", f"{publisher.topic_name}: {error}")
            return False
        return True

    def publish_processing_time(self, stamp_ns: int, stages: Mapping[str, float], arrived_s: float) -> None:
        """Note that the node has answered an image, and publish the times of the stages (s) if there is a subscriber.

        arrived_s: arrival time of the image, of the steady clock.
        """
        latency_s = max(0.0, monotonic() - arrived_s)
        self.health.answered(stamp_ns, latency_s)
        for stage, seconds in stages.items():
            self.health.took(stage, seconds)
        if not has_subscribers(self._processing_time):
            return
        message = ProcessingTime(agent=getattr(self, "agent", "")[:64], node=self.get_name()[:64])
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        message.header.frame_id = getattr(self.settings, "frame_id", "")
        message.stages = list(stages)[:16]
        message.stage_times_s = [max(0.0, s) for s in list(stages.values())[:16]]
        message.latency_s = latency_s
        self.send(self._processing_time, message)

    def _may_say(self, what: str) -> bool:
        """Whether to write this kind of entry to the log again: every few seconds at most."""
        now_s = self.time()
        if now_s - self._said_s.get(what, -SILENCE_S) < SILENCE_S:
            return False
        self._said_s[what] = now_s
        return True

    def _say(self, level: str, sentence: str) -> None:
        # Two lines: rclpy allows only one severity per line of code.
        if level == "warn":
            self.get_logger().warning(sentence)
        else:
            self.get_logger().info(sentence)
