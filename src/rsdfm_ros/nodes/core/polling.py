"""Nodes that take their inputs in batches. For every single message rclpy wakes, builds a wait set and makes a task:
with a thousand small messages a second that costs far more than processing them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import TransitionCallbackReturn

from rsdfm_ros.nodes.core.base import RsdfmNode

S = TypeVar("S")

POLL_S = 0.08
LEAST_S, MOST_S = 0.01, 0.8
"""Time between two batches at least and at most, at any speed of simulated time."""
MOST_MESSAGES = 64
"""Messages of one topic that a batch takes; the rest waits for the next batch."""
CLOCK_TOPIC = "/clock"


class Unwaited(CallbackGroup):
    """Subscriptions that no executor waits for or executes."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing begins."""


class PollingNode(RsdfmNode[S]):
    """A node that takes the messages on the subscriptions of the group `unwaited`, and on /clock, every `poll_s` of its
    clock; `batch` is called after that.

    A thread of the node does it. Their callbacks, `batch` and the transitions of the lifecycle exclude each other. QoS
    is as everywhere, except that incompatible offers are not reported at once, but by the warning of a missing input.
    """

    poll_s = POLL_S
    """Time of the node's clock between two batches."""

    def __init__(self, name: str, settings: type[S], **options: Any) -> None:
        self.unwaited = Unwaited()
        self._polled: list[Any] = []
        self._polling, self._over = threading.RLock(), threading.Event()
        super().__init__(name, settings, **options)
        self._thread = threading.Thread(target=self._run, name="polling", daemon=True)

    def start_polling(self) -> None:
        """Begin; the last step of a constructor."""
        self._thread.start()

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Any, qos_profile: Any, **options: Any
    ) -> Any:
        """As rclpy's; its own subscription to /clock joins the batches."""
        if topic == CLOCK_TOPIC:
            options["callback_group"] = self.unwaited
        subscription = super().create_subscription(msg_type, topic, callback, qos_profile, **options)
        if subscription.callback_group is self.unwaited:
            with self._polling:
                self._polled.append(subscription)
        return subscription

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        with self._polling:
            if subscription in self._polled:
                self._polled.remove(subscription)
            return super().destroy_subscription(subscription)

    def destroy_node(self) -> None:
        """As rclpy's; the last batch ends before."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        super().destroy_node()

    def batch(self) -> None:
        """All that had come is handled."""

    def _transition(
        self, step: Callable[[], None], goal: str, undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        with self._polling:
            return super()._transition(step, goal, undo)

    def _run(self) -> None:
        poll = self.guarded(self._poll, "polling")
        then_s, then_ns = monotonic(), self._now_ns()
        due_s = then_s
        while not self._over.wait(max(0.0, due_s - monotonic())):
            with self._polling:
                poll()
            now_s, now_ns = monotonic(), self._now_ns()
            rate = (now_ns - then_ns) / 1e9 / max(now_s - then_s, 1e-9)
            then_s, then_ns = now_s, now_ns
            period_s = min(MOST_S, max(LEAST_S, self.poll_s / max(rate, 1e-9)))
            due_s = max(due_s + period_s, now_s)

    def _poll(self) -> None:
        """Take all messages, in the order in which the subscriptions were made."""
        for subscription in self._polled:
            try:
                with subscription.handle:
                    for _ in range(MOST_MESSAGES):
                        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                        if taken is None:
                            break
                        subscription.callback(taken[0])
            except InvalidHandle:  # the context has ended
                self._over.set()
                return
        self.batch()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)
