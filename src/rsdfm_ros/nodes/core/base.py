"""The base of all nodes: a managed lifecycle with typed settings, health and a check of its inputs."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import ProcessingTime
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import Diagnostics
from rsdfm_ros.nodes.core.entities import ACTIVE, CONFIGURED, NODE
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.live_settings import FINALIZED, INACTIVE, UNCONFIGURED
from rsdfm_ros.nodes.core.reporting import ReportingNode

S = TypeVar("S")

_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class RsdfmNode(ReportingNode[S]):
    """A managed node with typed settings.

    Subclasses implement `configure`, `activate`, `deactivate`, `cleanup`, `clear` and `save`, and `check` and `changed`
    of LiveSettings. The constructor declares parameters; configuring reads and checks them and makes publishers;
    activating loads models and subscribes; deactivating and cleaning up undo that. Publishers, subscriptions and timers
    end with the phase in which they were made, without further code.
    """

    def __init__(
        self,
        name: str,
        settings: type[S],
        health: Health | None = None,
        *,
        own_timer: bool = True,
        **options: Any,
    ) -> None:
        """own_timer: publish diagnostics once a second; without it the owner of the node has to call for it."""
        super().__init__(name, settings, health, **options)
        self.diagnostics = Diagnostics(self, own_timer=own_timer)
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

    def _on_jump(self, jump: TimeJump) -> None:
        self.warn_seldom("clock jump", "the clock jumped back: all buffers cleared")
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
            # Without an undo the phase has ended although its code failed: only error processing can tell the truth.
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
