"""Typed settings of a node: one frozen dataclass is the only place of names, defaults, units and ranges.

A field made with :func:`setting` becomes a declared ROS parameter with a descriptor. Settings are read once, when the
node is made; all of them are read-only afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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


class SettingError(RsdfmError):
    """A parameter value that is not allowed."""


def setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    length: tuple[int, ...] = (),
) -> Any:
    """A dataclass field that is a parameter: `text` says what it is and in which unit; low…high inclusive;
    `choices` for texts; `length` lists the allowed numbers of elements of a list."""
    metadata = {"text": text, "low": low, "high": high, "choices": choices, "length": length}
    return dataclasses.field(default=default, metadata=metadata)


def declare(node: Node, kind: type[S]) -> S:
    """Declare every setting of `kind` on the node and return the values it was started with.

    Raises: SettingError with a sentence that says what is allowed.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        try:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            # An empty list has no element type in ROS: such parameters are declared by type.
            if node.has_parameter(field.name):
                parameter = node.get_parameter(field.name)
            elif default == []:
                parameter = node.declare_parameter(field.name, _TYPES[str(field.type)], _descriptor(field))
            else:
                parameter = node.declare_parameter(field.name, default, _descriptor(field))
            value = parameter.value
        except ParameterUninitializedException:
            value = None
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise SettingError(f"parameter {field.name} of {node.get_name()}: {allowed(field)}") from error
        if value is None:
            value = field.default
        values[field.name] = tuple(value) if isinstance(field.default, tuple) else value
    return checked(kind, values, owner=node.get_name())


def checked(kind: type[S], values: Mapping[str, Any], *, owner: str) -> S:
    """`kind` built from values that obey its ranges and choices; SettingError names the first that does not."""
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value, limits = values[field.name], field.metadata
        wrong = (
            (limits["choices"] and value not in limits["choices"])
            or (limits["length"] and len(value) not in limits["length"])
            or (limits["low"] is not None and not value >= limits["low"])
            or (limits["high"] is not None and not value <= limits["high"])
        )
        if wrong:
            raise SettingError(f"parameter {field.name} of {owner}: {allowed(field)}, got {value!r}")
    return kind(**values)


def allowed(field: dataclasses.Field[Any]) -> str:
    """What a setting may be, as the end of a sentence."""
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


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    limits = field.metadata
    descriptor = ParameterDescriptor(
        name=field.name,
        type=_TYPES[str(field.type)].value,
        description=limits["text"],
        additional_constraints=allowed(field),
        read_only=True,
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
