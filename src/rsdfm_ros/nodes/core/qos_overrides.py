"""The usual `qos_overrides.<topic>.<publisher|subscription>.<policy>` parameters for every topic of a node.

They are declared when a publisher or subscription is made and may be changed, like other parameters, while the node is
unconfigured; rclpy's own ones cannot be repaired after a bad value.
"""

from __future__ import annotations

import copy
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from rsdfm_ros.nodes.core.parameters import SettingError

PREFIX = "qos_overrides."
_ENUMS: dict[str, Any] = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
    "liveliness": LivelinessPolicy,
}
_CHOICES = {
    "history": ("keep_last", "keep_all"),
    "reliability": ("reliable", "best_effort"),
    "durability": ("transient_local", "volatile"),
    "liveliness": ("automatic", "manual_by_topic"),
}
_DURATIONS = ("deadline", "lifespan", "liveliness_lease_duration")
_POLICIES = ("history", "depth", "reliability", "durability", "deadline", "liveliness", _DURATIONS[2])


def overridden(node: Node, profile: QoSProfile, topic: str, entity: str) -> QoSProfile:
    """A copy of `profile` with what the parameters of this topic say.

    topic: fully qualified · entity: `publisher` or `subscription`. Raises: SettingError for a value that is no policy.
    """
    result = copy.copy(profile)
    for policy in (*_POLICIES, "lifespan") if entity == "publisher" else _POLICIES:
        name = f"{PREFIX}{topic}.{entity}.{policy}"
        if not node.has_parameter(name):
            _declare(
                node, name, policy, _word(getattr(profile, policy)), f"{policy} of the {entity} on {topic}"
            )
        value = node.get_parameter(name).value
        if value != _word(getattr(profile, policy)):
            check(name, value)
            setattr(result, policy, _policy(policy, value))
    return result


def forget(node: Node, profile: QoSProfile, topic: str, entity: str) -> None:
    """Undeclare the parameters of a topic that is not used any more, except those that differ from `profile`."""
    for policy in (*_POLICIES, "lifespan"):
        name = f"{PREFIX}{topic}.{entity}.{policy}"
        if node.has_parameter(name) and node.get_parameter(name).value == _word(getattr(profile, policy)):
            node.undeclare_parameter(name)


def check(name: str, value: Any) -> None:
    """SettingError unless the value is one that the overriding parameter of this name may have."""
    policy = name.rpartition(".")[2]
    if policy in _CHOICES:
        if value not in _CHOICES[policy]:
            words = " or ".join(repr(c) for c in _CHOICES[policy])
            raise SettingError(f"parameter {name}: expected {words}, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int) or value < (0 if policy in _DURATIONS else 1):
        words = "a duration in ns, at least 0" if policy in _DURATIONS else "a number of messages, at least 1"
        raise SettingError(f"parameter {name}: expected {words}, got {value!r}")


def _declare(node: Node, name: str, policy: str, value: str | int, text: str) -> None:
    unit = ", ns" if policy in _DURATIONS else ", messages" if policy == "depth" else ""
    limits = "one of " + ", ".join(_CHOICES[policy]) if policy in _CHOICES else "an integer"
    descriptor = ParameterDescriptor(
        description=text + unit, additional_constraints=f"{limits}; may be changed while unconfigured"
    )
    try:
        node.declare_parameter(name, value, descriptor)
    except InvalidParameterTypeException:
        node.declare_parameter(name, value, descriptor, ignore_override=True)
        raise SettingError(f"parameter {name}: expected {limits}") from None


def _word(value: Any) -> str | int:
    """A policy as the parameter shows it."""
    if isinstance(value, Duration):
        return int(value.nanoseconds)
    return value if isinstance(value, int) and not hasattr(value, "name") else str(value.name).lower()


def _policy(policy: str, value: Any) -> Any:
    if policy in _ENUMS:
        return _ENUMS[policy][value.upper()]
    return Duration(nanoseconds=value) if policy in _DURATIONS else value
