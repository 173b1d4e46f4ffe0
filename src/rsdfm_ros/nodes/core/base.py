"""Base of all nodes: a managed lifecycle, typed settings, health, a self-check."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import ProcessingTime
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import Diagnostics
from rsdfm_ros.nodes.core.entities import ACTIVE, CONFIGURED, NODE, STEADY, has_subscribers
from rsdfm_ros.nodes.core.expectations import Expectations
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.live_settings import FINALIZED, INACTIVE, UNCONFIGURED, LiveSettings
from rsdfm_ros.nodes.core.node_time import NodeTime, simulated_ns
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.wire.errors import WireError

__all__ = ["STEADY", "RsdfmNode", "agent_name", "has_subscribers", "monotonic", "run"]

S = TypeVar("S")

SILENCE_S = 5.0
"""Shortest time between log entries of one kind of refusal or error, on the node's clock; all are counted."""
_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class RsdfmNode(LiveSettings[S]):
    """A managed node with typed settings.

    Subclasses implement `configure`, `activate`, `deactivate`, `cleanup`, `clear` and `save`, and `check` and `changed`
    of LiveSettings. The constructor declares parameters; configuring reads and checks them and makes publishers;
    activating loads models and subscribes; deactivating and cleaning up undo that. Publishers, subscriptions and timers
    end with the phase in which they were made, without further code.
    """

    def __init__(self, name: str, settings: type[S], health: Health | None = None, **options: Any) -> None:
        super().__init__(name, settings, **options)
        self.health = health or Health()
        self.last_error = ""
        self.time = NodeTime(self._say, lambda: simulated_ns(self.get_clock()), monotonic)
        self.expectations = Expectations(self._say, self.time)
        self.diagnostics = Diagnostics(self)
        self._processing_time: Any = None
        self._said_s: dict[str, float] = {}
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )
        self._jump = self.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)

    # --- for subclasses -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Run before `configure`, for bases of several nodes. May raise an RsdfmError."""

    def configure(self) -> None:
        """Make publishers; check what can be checked. May raise an RsdfmError."""

    def activate(self) -> None:
        """Load models, subscribe. May raise an RsdfmError."""

    def deactivate(self) -> None:
        """Undo `activate`; also after an `activate` that failed half-way."""

    def cleanup(self) -> None:
        """Undo `configure`; also after a `configure` that failed half-way."""

    def clear(self) -> None:
        """Forget everything that has a stamp."""

    def save(self) -> None:
        """Save data that must not be lost; called at the end of a process, before anything is destroyed."""

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

    # --- reporting ------------------------------------------------------------------------------------------------

    def reject(self, reason: str, text: str) -> None:
        """Count refused input, and log it at most every few seconds."""
        self.health.reject(reason)
        if self._may_say(reason):
            self.get_logger().warning(f"refused ({reason}): {text}")

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
        except _rclpy.RCLError as error:
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
        message.stage_ms = [max(0.0, 1e3 * s) for s in list(stages.values())[:16]]
        message.latency_ms = 1e3 * latency_s
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

    def _on_jump(self, jump: TimeJump) -> None:
        self.get_logger().warning("the clock jumped back: all buffers cleared")
        self.health.count("clock_jumps")
        try:
            self.health.clear_times()
            self.clear()
        except Exception as error:  # this is called from inside rclpy's clock
            self.on_job_error("clock jump", error)

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._configure, INACTIVE, undo=self._cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._activate, ACTIVE, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._deactivate, INACTIVE)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._cleanup, UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._end, FINALIZED)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured, from where the node can be configured again."""
        sentence = self.last_error
        result = self._transition(self._end, UNCONFIGURED)
        self.last_error = sentence
        return result

    def _configure(self) -> None:
        self._phase = CONFIGURED
        self.health.reset()
        self.refuse_bad_start()
        self._processing_time = self.create_publisher(ProcessingTime, "debug/processing_time", qos.outputs())
        self.prepare()
        self.configure()

    def _cleanup(self) -> None:
        try:
            self.cleanup()
        finally:
            self.end_phase(CONFIGURED)
            self._processing_time = None
            self._phase = NODE

    def _activate(self) -> None:
        self._phase = ACTIVE
        LifecycleNode.on_activate(
            self, LifecycleState("inactive", 2)
        )  # publishers first: activity may publish at once
        self.activate()

    def _deactivate(self) -> None:
        try:
            LifecycleNode.on_deactivate(
                self, LifecycleState("active", 3)
            )  # no output of the last jobs is published
            self.deactivate()
        finally:
            self.expectations.forget()
            self.end_phase(ACTIVE)
            self._phase = CONFIGURED

    def _end(self) -> None:
        """From any state to nothing."""
        try:
            if self._phase == ACTIVE:
                self._deactivate()
        finally:
            if self._phase == CONFIGURED:
                self._cleanup()

    def _transition(
        self, step: Callable[[], None], goal: str, undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Run a transition; after a failure undo its steps and keep the state. Nothing is raised."""
        result = _SUCCESS
        try:
            step()
            self.last_error = ""
            self.state = goal
        except RsdfmError as error:
            # Without an undo the phase has ended although its code failed: error processing is the correct state.
            self.last_error, result = str(error), _FAILURE if undo is not None else _ERROR
            self.get_logger().error(str(error))
        except Exception as error:
            self.last_error, result = f"{type(error).__name__}: {error}", _ERROR
            self.health.count("errors")
            self.get_logger().error("".join(traceback.format_exception(error)))
        if result != _SUCCESS and undo is not None:
            try:
                undo()
            except Exception as error:
                result = _ERROR
                self.get_logger().error("".join(traceback.format_exception(error)))
        return result

    def start(self) -> None:
        """Configure and activate. Raises: RsdfmError with the reason if that fails."""
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != _SUCCESS:
                raise RsdfmError(f"{self.get_fully_qualified_name()}: {self.last_error or 'could not start'}")

    def stop(self) -> None:
        """Shut down from whatever state; may be called twice."""
        if self.state != FINALIZED:
            self.trigger_shutdown()

    def destroy_node(self) -> None:
        """Destroy the node after ending everything that still runs."""
        self.stop()
        self.diagnostics.close()
        super().destroy_node()


def monotonic() -> float:
    """Seconds of the steady clock, for latencies."""
    return time.monotonic()


def agent_name(node: LifecycleNode, configured: str) -> str:
    """The configured name of the UAV, or else the last part of the node's namespace. RsdfmError if there is none."""
    name = configured or node.get_namespace().rstrip("/").rpartition("/")[2]
    if not 1 <= len(name) <= 64:
        name = node.get_name()
        raise RsdfmError(f"{name} needs a UAV: start it in a namespace such as /uav1, or set `agent`")
    return name
