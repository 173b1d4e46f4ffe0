"""Publishers, subscriptions and timers of a managed node: with QoS overrides, guarded callbacks, and an owner.

Every entity belongs to the phase in which it was made: to the node itself (constructor), to its configuration or to its
activation. The end of a phase destroys its entities, also when a transition fails half-way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from rsdfm_ros.nodes.core.qos_overrides import overridden

#: Waiting for other processes does not depend on mission time: such timers use the steady clock.
STEADY = Clock(clock_type=ClockType.STEADY_TIME)

NODE, CONFIGURED, ACTIVE = "node", "configured", "active"


class ManagedEntities(LifecycleNode):
    """See the module. Subclasses handle errors in callbacks (`on_callback_error`)."""

    _phase: str | None = None
    """The phase that new entities belong to; None while rclpy makes its own."""

    def __init__(self, name: str, **options: Any) -> None:
        self._owned: dict[str, list[Any]] = {NODE: [], CONFIGURED: [], ACTIVE: []}
        super().__init__(name, **options)
        self._phase = NODE

    def on_callback_error(self, where: str, error: Exception) -> None:
        """An exception that a callback did not handle."""
        raise error

    def on_arrival(self, topic: str) -> None:
        """Called with the (fully qualified) topic of every message."""

    def create_publisher(
        self,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        always: bool = False,
        **options: Any,
    ) -> Any:
        """As rclpy's, with QoS overrides. The publisher is silent while the node is not active, unless `always`."""
        if self._phase is None:
            return super().create_publisher(msg_type, topic, qos_profile, **options)
        profile = overridden(self, _profile(qos_profile), self.resolve_topic_name(topic), "publisher")
        if always or self._phase == NODE:
            publisher = super().create_publisher(msg_type, topic, profile, **options)
        else:
            publisher = super().create_lifecycle_publisher(msg_type, topic, profile, **options)
            if self._phase == ACTIVE:
                publisher.on_activate(None)  # made while the node is active already
        self._owned[self._phase].append(publisher)
        return publisher

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        **options: Any,
    ) -> Any:
        """As rclpy's, with QoS overrides; an exception in the callback is reported and does not end the node."""
        if self._phase is None:
            return super().create_subscription(msg_type, topic, callback, qos_profile, **options)
        full = self.resolve_topic_name(topic)
        profile = overridden(self, _profile(qos_profile), full, "subscription")
        arrived = functools.partial(self.on_arrival, full)
        guarded = self.guarded(callback, full, arrived)
        subscription = super().create_subscription(msg_type, topic, guarded, profile, **options)
        self._owned[self._phase].append(subscription)
        return subscription

    def create_timer(self, timer_period_sec: float, callback: Callable[[], Any], **options: Any) -> Any:
        """As rclpy's; an exception in the callback is reported and does not end the node."""
        if self._phase is None:
            return super().create_timer(timer_period_sec, callback, **options)
        timer = super().create_timer(timer_period_sec, self.guarded(callback, "timer"), **options)
        self._owned[self._phase].append(timer)
        return timer

    def guarded(
        self, callback: Callable[..., Any], where: str, first: Callable[[], None] | None = None
    ) -> Callable[..., Any]:
        """`callback` with its exceptions reported to `on_callback_error`; `first` is called before it."""

        @functools.wraps(callback)
        def call(*arguments: Any) -> None:
            for step in (first, functools.partial(callback, *arguments)):
                try:
                    if step is not None:
                        step()
                except Exception as error:
                    self.on_callback_error(where, error)

        return call

    def destroy_publisher(self, publisher: Any) -> bool:
        """As rclpy's, for lifecycle publishers too."""
        self._managed_entities.discard(publisher)
        self._disown(publisher)
        return bool(super().destroy_publisher(publisher))

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        self._disown(subscription)
        return bool(super().destroy_subscription(subscription))

    def destroy_timer(self, timer: Any) -> bool:
        """As rclpy's."""
        self._disown(timer)
        return bool(super().destroy_timer(timer))

    def end_phase(self, phase: str) -> None:
        """Destroy everything that belongs to a phase."""
        for entity in reversed(self._owned[phase].copy()):
            if isinstance(entity, Subscription):
                self.destroy_subscription(entity)
            elif isinstance(entity, Publisher):
                self.destroy_publisher(entity)
            elif isinstance(entity, Timer):
                self.destroy_timer(entity)

    def _disown(self, entity: Any) -> None:
        for owned in self._owned.values():
            if entity in owned:
                owned.remove(entity)
        # rclpy keeps a reference for everything that ever was in a callback group.
        members = self.default_callback_group.entities
        members.difference_update([member for member in members.copy() if member() is None])


def has_subscribers(publisher: Any) -> bool:
    """Whether the topic has a subscriber; always true where late joiners get the last message (QoS overridden to
    transient local)."""
    if publisher is None:
        return False
    latched = publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return latched or publisher.get_subscription_count() > 0


def _profile(qos: QoSProfile | int) -> QoSProfile:
    return qos if isinstance(qos, QoSProfile) else QoSProfile(depth=qos)
