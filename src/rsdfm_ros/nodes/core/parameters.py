"""Typed settings of a node: one frozen dataclass is the only place of names, defaults, units and ranges.

A field made with `rsdfm_ros.settings.setting` becomes a declared ROS parameter with a descriptor. Every setting may be
changed while the node is unconfigured and is read when it is configured; afterwards only the dynamic ones may.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.settings import both_sentence, renamed_sentence, within

S = TypeVar("S")

_TYPES = {
    "bool": Parameter.Type.BOOL,
    "int": Parameter.Type.INTEGER,
    "float": Parameter.Type.DOUBLE,
    "str": Parameter.Type.STRING,
    "tuple[str, ...]": Parameter.Type.STRING_ARRAY,
    "tuple[float, ...]": Parameter.Type.DOUBLE_ARRAY,
}
_WORDS = {
    "bool": "true or false",
    "int": "an integer such as 5",
    "float": "a number with a decimal point such as 5.0",
    "str": "a text",
    "tuple[str, ...]": "a list of texts such as ['uav1', 'uav2']",
    "tuple[float, ...]": "a list of numbers with decimal points such as [0.0, 1.5]",
}
_LISTS = {t for t in Parameter.Type if t.name.endswith("_ARRAY")}


class SettingError(RsdfmError):
    """A parameter value that is not allowed."""


def declare_leniently(node: Node, kind: type[S]) -> tuple[S, dict[str, str]]:
    """Declare every setting of `kind` on the node; returns the values it was started with, and by parameter a sentence
    on every bad value, which the default replaces."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        try:
            value = _started_with(node, field)
            check_value(field, value, owner=node.get_name())
        except (InvalidParameterTypeException, InvalidParameterValueException):
            problems[field.name] = f"parameter {field.name} of {node.get_name()}: {allowed(field)}"
            value = field.default
        except SettingError as error:
            problems[field.name] = str(error)
            value = field.default
        if field.name in problems and not node.has_parameter(field.name):
            _declare_one(node, field, ignore_override=True)
        values[field.name] = value
    return kind(**values), problems


def _started_with(node: Node, field: dataclasses.Field[Any]) -> Any:
    if not node.has_parameter(field.name):
        former = _under_former_name(node, field) if field.metadata["renamed_from"] else None
        _declare_one(node, field, instead=former)
    try:
        value = node.get_parameter(field.name).value
    except ParameterUninitializedException:
        value = None
    if value is None:
        return field.default
    return tuple(value) if isinstance(field.default, tuple) else value


def _under_former_name(node: Node, field: dataclasses.Field[Any]) -> Any:
    """Start value given under the former name of a setting, None without one; logs a warning."""
    old, new = field.metadata["renamed_from"], field.name
    value = _given(node, old)
    if value is None:
        return None
    if _given(node, new) is not None:
        raise SettingError(f"parameter {both_sentence(old, new)} ({node.get_name()})")
    if Parameter.Type.from_parameter_value(value) is not _TYPES[str(field.type)]:
        raise SettingError(f"parameter {old} of {node.get_name()}: {allowed(field)}, got {value!r}")
    node.get_logger().warning(f"parameter {renamed_sentence(old, new)}")
    return value


def _given(node: Node, name: str) -> Any:
    """The value for a parameter in a file or on the command line, of any type; None if there is none."""
    node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True))
    value = node.get_parameter(name).value
    node.undeclare_parameter(name)
    return value


def _declare_one(
    node: Node, field: dataclasses.Field[Any], *, ignore_override: bool = False, instead: Any = None
) -> None:
    """Declare the parameter of a setting; instead: its value in place of the default."""
    descriptor = descriptor_of(field)
    # An empty list has no element type in ROS: such parameters are declared by type.
    value = _TYPES[str(field.type)] if field.default == () else field.default
    value = value if instead is None else instead
    value = list(value) if isinstance(value, tuple) else value
    node.declare_parameter(field.name, value, descriptor, ignore_override)


def check_value(field: dataclasses.Field[Any], value: Any, *, owner: str) -> None:
    """SettingError unless a value of the right type is finite and obeys range, choices and length."""
    limits = field.metadata
    elements = value if isinstance(value, tuple) else (value,)
    wrong_length = limits["length"] and len(value) not in limits["length"]
    if wrong_length or not all(within(field, e) for e in elements):
        shown = list(value) if isinstance(value, tuple) else value
        raise SettingError(f"parameter {field.name} of {owner}: {allowed(field)}, got {shown!r}")


def proposed(
    settings: S, parameters: Sequence[Parameter], *, owner: str, unconfigured: bool
) -> tuple[S, list[Parameter]]:
    """`settings` with the parameters that are among them replaced, and the parameters with their lists typed.

    Raises: SettingError with a sentence that says what is allowed, or why no change is allowed now.
    """
    fields = {f.name: f for f in dataclasses.fields(settings)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    typed = []
    for parameter in parameters:
        field = fields.get(parameter.name)
        if field is None:
            typed.append(parameter)
            continue
        kind = _TYPES[str(field.type)]
        # `ros2 param set … "[]"` does not give the element type.
        if kind in _LISTS and parameter.type_ in _LISTS and not parameter.value:
            parameter = Parameter(parameter.name, kind, [])
        if parameter.type_ is not kind:
            raise SettingError(
                f"parameter {field.name} of {owner}: {allowed(field)}, got {parameter.value!r}"
            )
        value = tuple(parameter.value) if kind in _LISTS else parameter.value
        check_value(field, value, owner=owner)
        if field.metadata["read_only"]:
            raise SettingError(
                f"parameter {field.name} of {owner} is read-only: set it in the params file and start anew"
            )
        if not unconfigured and not field.metadata["dynamic"] and value != getattr(settings, field.name):
            raise SettingError(
                f"parameter {field.name} of {owner} is read-only while the node is configured: set it in the params "
                "file and start anew, or deactivate and clean up the node first"
            )
        changes[field.name] = value
        typed.append(parameter)
    return dataclasses.replace(settings, **changes), typed  # type: ignore[type-var]


def unknown(name: str, known: Sequence[str], *, owner: str, former: Mapping[str, str]) -> str:
    """The sentence for a parameter that does not exist; former: former name → name."""
    if name in former:
        return f"{owner}: parameter {name} is called {former[name]} now"
    near = difflib.get_close_matches(name, known, n=1)
    return f"{owner} has no parameter {name!r}" + (f": did you mean {near[0]!r}?" if near else "")


def former_names(settings: Any) -> dict[str, str]:
    """Former name → name of the settings that were renamed."""
    renamed = (f for f in dataclasses.fields(settings) if f.metadata["renamed_from"])
    return {f.metadata["renamed_from"]: f.name for f in renamed}


def allowed(field: dataclasses.Field[Any]) -> str:
    """Allowed values of a setting, as the end of a sentence."""
    limits = field.metadata
    if limits["choices"]:
        return "expected one of " + ", ".join(repr(c) for c in limits["choices"])
    words = f"expected {_WORDS[str(field.type)]}"
    if limits["length"]:
        words += " with " + " or ".join(str(n) for n in limits["length"]) + " elements"
    if limits["low"] is not None and limits["high"] is not None:
        words += f", from {limits['low']} to {limits['high']}"
    elif limits["low"] is not None:
        words += f", at least {limits['low']}"
    return words + f" ({limits['text']})"


def changeable(field: dataclasses.Field[Any]) -> str:
    """The times at which a setting may be changed, in words: `at any time`, `while unconfigured` or `never`."""
    if field.metadata["dynamic"]:
        return "at any time"
    return "never" if field.metadata["read_only"] else "while unconfigured"


def descriptor_of(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """The ROS descriptor of a setting."""
    limits = field.metadata
    descriptor = ParameterDescriptor(
        name=field.name,
        type=_TYPES[str(field.type)].value,
        description=limits["text"],
        additional_constraints=f"{allowed(field)}; changed: {changeable(field)}",
        read_only=limits["read_only"],
    )
    low, high = limits["low"], limits["high"]
    if str(field.type) == "int" and (low is not None or high is not None):
        low = -(2**63) if low is None else int(low)
        high = 2**63 - 1 if high is None else int(high)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    if str(field.type) == "float" and (low is not None or high is not None):
        low = -1.7e308 if low is None else float(low)
        high = 1.7e308 if high is None else float(high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return descriptor
