"""Helpers of the tests of nodes: a context of their own, nodes in this process, and a manager that drives them through
the services that every lifecycle manager uses. Nothing sleeps to wait, every wait has a deadline."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsdfm_ros.nodes.core.base import RsdfmNode
from support.own_domains import new_domain
from support.places import TINY

MODEL = f"random:{TINY}"
WAIT_S = 60.0
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = (
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
)
SHUTDOWN = {
    "unconfigured": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    "inactive": Transition.TRANSITION_INACTIVE_SHUTDOWN,
    "active": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}
# The nodes' environment keeps large freed blocks for the next image. Fast DDS clears its pools when it gets such a
# block again: the second domain participant of one process would take half a minute. Tests make many of them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, USUAL = -1, -3, 128 * 1024
if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
    for _option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        ctypes.CDLL(None).mallopt(_option, USUAL)


def own_domain() -> dict[str, str]:
    """The environment of a process in a domain of its own."""
    return {**os.environ, "ROS_DOMAIN_ID": str(new_domain())}


class RosWorld:
    """A ROS domain of one test, with a node `manager` that talks to the others."""

    def __init__(self) -> None:
        self.context = Context()
        self.domain = new_domain()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.manager = Node("manager", context=self.context)
        self.executor.add_node(self.manager)
        self.nodes: list[Any] = []
        self._clients: dict[str, Any] = {}

    def options(self, **parameters: Any) -> dict[str, Any]:
        """Arguments of a node's constructor: in this context, in namespace /uav1, with these parameters."""
        return {
            "context": self.context,
            "namespace": "/uav1",
            "parameter_overrides": [Parameter(name, value=value) for name, value in parameters.items()],
        }

    def add(self, *nodes: Any) -> Any:
        """Spin these nodes too; the first of them."""
        for node in nodes:
            self.executor.add_node(node)
            self.nodes.append(node)
        return nodes[0]

    def remove(self, node: Any) -> None:
        """Destroy a node."""
        self.executor.remove_node(node)
        self.nodes.remove(node)
        node.destroy_node()

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
        """Spin until the condition holds; its value."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def call(self, node: Any, kind: Any, name: str, request: Any) -> Any:
        """The answer of a service of a node."""
        full = f"{node.get_fully_qualified_name()}/{name}"
        if full not in self._clients:
            self._clients[full] = self.manager.create_client(kind, full)
        client = self._clients[full]
        self.until(client.service_is_ready, f"{full} is there")
        future = client.call_async(request)
        self.until(future.done, f"{full} answers")
        return future.result()

    def change(self, node: Any, transition: int) -> bool:
        """Ask for a transition; whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call(node, ChangeState, "change_state", request).success)

    def state(self, node: Any) -> str:
        """The state from the node's service, which must be the node's own."""
        told = self.call(node, GetState, "get_state", GetState.Request()).current_state.label
        if isinstance(node, RsdfmNode):
            assert node.state == told
        return str(told)

    def up(self, *nodes: Any) -> Any:
        """Configure and activate nodes; the first of them."""
        for node in nodes:
            assert self.change(node, CONFIGURE), node.last_error
            assert self.change(node, ACTIVATE), node.last_error
        return nodes[0]

    def set(self, node: Any, **values: Any) -> list[str]:
        """Set parameters one by one through the service; the reasons, empty where it succeeded."""
        messages = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        answer = self.call(node, SetParameters, "set_parameters", SetParameters.Request(parameters=messages))
        return [r.reason if not r.successful else "" for r in answer.results]

    def set_messages(self, node: Any, *messages: Any) -> list[str]:
        """The same with ready parameter messages."""
        request = SetParameters.Request(parameters=list(messages))
        answer = self.call(node, SetParameters, "set_parameters", request)
        return [r.reason if not r.successful else "" for r in answer.results]

    def set_all(self, node: Any, **values: Any) -> str:
        """Set parameters atomically through the service; the reason, empty if it succeeded."""
        messages = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=messages)
        result = self.call(node, SetParametersAtomically, "set_parameters_atomically", request).result
        return "" if result.successful else str(result.reason)

    def get(self, node: Any, name: str) -> Any:
        """The value of a parameter through the service."""
        answer = self.call(node, GetParameters, "get_parameters", GetParameters.Request(names=[name]))
        return Parameter.from_parameter_msg(_named(name, answer.values[0])).value

    def describe(self, node: Any, name: str) -> Any:
        """The descriptor of a parameter through the service."""
        request = DescribeParameters.Request(names=[name])
        return self.call(node, DescribeParameters, "describe_parameters", request).descriptors[0]

    def diagnostics(self) -> dict[str, Any]:
        """Statuses by name, as they come on /diagnostics from now on."""
        store: dict[str, Any] = {}

        def take(message: DiagnosticArray) -> None:
            store.update({status.name: status for status in message.status})

        self.manager.create_subscription(DiagnosticArray, "/diagnostics", take, 10)
        return store

    def close(self) -> None:
        """Leave the domain."""
        for node in list(self.nodes):
            self.remove(node)
        self.executor.shutdown()
        self.manager.destroy_node()
        rclpy.shutdown(context=self.context)


def _named(name: str, value: Any) -> Any:
    from rcl_interfaces.msg import Parameter as Message

    return Message(name=name, value=value)


def level(status: Any) -> int:
    """Level of a DiagnosticStatus as a number."""
    return int.from_bytes(status.level, "little")


def facts(status: Any) -> dict[str, str]:
    """Values of a DiagnosticStatus."""
    return {v.key: v.value for v in status.values}
