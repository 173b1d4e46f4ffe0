"""What all our nodes have in common: a managed lifecycle, typed settings, health, clean start and end."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.health import Health
from rsdfm_ros.nodes.parameters import declare
from rsdfm_ros.wire.errors import WireError

S = TypeVar("S")

#: Waiting for other processes is a matter of this machine, not of the mission: such timers use the steady clock.
STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class RsdfmNode(LifecycleNode, Generic[S]):
    """A managed node with typed settings. Subclasses implement `configure`, `activate`, `deactivate` and `clear`.

    The constructor declares and checks parameters; configuring makes publishers; activating loads models and
    subscribes; deactivating undoes that.
    """

    def __init__(self, name: str, settings: type[S], health: Health | None = None, **options: object) -> None:
        super().__init__(name, **options)  # type: ignore[arg-type]
        self.settings: S = declare(self, settings)
        self.health = health or Health()
        self.last_error = ""
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._diagnostics_timer = self.create_timer(1.0, self._publish_diagnostics, clock=STEADY)
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )
        self._jump = self.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)

    # --- for subclasses -------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Make publishers; check what can be checked. May raise an RsdfmError."""

    def activate(self) -> None:
        """Load models, subscribe. May raise an RsdfmError."""

    def deactivate(self) -> None:
        """Undo `activate`."""

    def clear(self) -> None:
        """Forget everything that has a stamp."""

    # --- reporting ------------------------------------------------------------------------------------------------

    def reject(self, reason: str, text: str) -> None:
        """Count refused input, and say so at most every few seconds."""
        self.health.reject(reason)
        self.get_logger().warning(f"refused ({reason}): {text}", throttle_duration_sec=5.0)

    def on_job_error(self, slot: str, error: Exception) -> None:
        """An error in the worker: refuse what is the input's fault, report what is ours."""
        if isinstance(error, RsdfmError):
            reason = error.reason if isinstance(error, WireError) else slot
            self.reject(reason, str(error))
        else:
            self.health.count("errors")
            self.get_logger().error(f"{slot} failed: {''.join(traceback.format_exception(error))}")

    def _publish_diagnostics(self) -> None:
        health = self.health
        level = DiagnosticStatus.OK if not health.counts["errors"] else DiagnosticStatus.ERROR
        if level == DiagnosticStatus.OK and health.rejects:
            level = DiagnosticStatus.WARN
        status = DiagnosticStatus(
            level=level, name=self.get_fully_qualified_name(), hardware_id=self.get_namespace()
        )
        facts: dict[str, object] = {"rate_hz": f"{health.rate_hz():.2f}"}
        facts |= {f"latency_p{p}_ms": f"{1e3 * health.latency_s(p):.1f}" for p in (50, 95)}
        facts |= {f"stage_{name}_ms": f"{ms:.1f}" for name, ms in health.stages_ms().items()}
        facts |= dict(health.counts) | {f"rejected_{r}": n for r, n in dict(health.rejects).items()}
        facts |= {f"age_{peer}_s": f"{age:.2f}" for peer, age in health.peer_ages_s.items()}
        status.message = self.last_error or "working"
        status.values = [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _on_jump(self, jump: TimeJump) -> None:
        self.get_logger().warning("the clock jumped back: all buffers cleared")
        self.health.clear_times()
        self.clear()

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.deactivate)

    def _transition(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except RsdfmError as error:
            self.last_error = str(error)
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self.last_error = ""
        return TransitionCallbackReturn.SUCCESS

    def start(self) -> None:
        """Configure and activate. Raises: RsdfmError with the reason if that fails."""
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise RsdfmError(f"{self.get_fully_qualified_name()}: {self.last_error or 'could not start'}")


def run(build: Callable[[], Sequence[RsdfmNode[object]]], finished: Callable[[], bool] | None = None) -> int:
    """Run nodes in this process until SIGINT or SIGTERM, or until `finished` says so; the exit status.

    The parameter `autostart` of the nodes says whether they configure and activate themselves.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))
    nodes: Sequence[RsdfmNode[object]] = ()
    executor = SingleThreadedExecutor()
    try:
        nodes = build()
        for node in nodes:
            executor.add_node(node)
        for node in nodes:
            if getattr(node.settings, "autostart", True):
                node.start()
        while not stop and not (finished is not None and finished()):
            executor.spin_once(timeout_sec=0.2)
        return 0
    except RsdfmError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except (ExternalShutdownException, KeyboardInterrupt):
        return 0
    finally:
        for node in nodes:
            node.deactivate()
        executor.shutdown(timeout_sec=1.0)
        for node in nodes:
            node.destroy_node()
        if rclpy.ok():
            rclpy.shutdown()


def monotonic() -> float:
    """Seconds of the steady clock, for latencies."""
    return time.monotonic()


def agent_name(node: LifecycleNode, configured: str) -> str:
    """The configured name of the UAV, or else the last part of the node's namespace. RsdfmError if there is none."""
    name = configured or node.get_namespace().rstrip("/").rpartition("/")[2]
    if not 1 <= len(name) <= 64:
        raise RsdfmError(
            f"{node.get_name()} needs a UAV: start it in a namespace such as /uav1, or set `agent`"
        )
    return name
