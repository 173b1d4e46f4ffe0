"""Typed settings from YAML: dataclasses whose fields carry their sentence and limits, built strictly.

`setting` describes a field, `build` makes a dataclass of parsed YAML; docs/fleet.md is generated from the same facts.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rsdfm_ros.errors import RsdfmError

T = TypeVar("T")
_NODE_VALUES = (bool, int, float, str)


class FleetDescriptionError(RsdfmError):
    """A fleet description that cannot be used: says where and what is allowed."""


def setting(
    default: Any = dataclasses.MISSING,
    text: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    pattern: str = "",
    words: str = "",
    length_of: int = 0,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """A field: its sentence (with unit) and limits. pattern: what a text must match, in `words` for people ·
    length_of: the number of elements of a list is a multiple of it."""
    limits = {
        "text": text,
        "low": low,
        "high": high,
        "choices": tuple(choices),
        "pattern": pattern,
        "words": words,
        "length_of": length_of,
    }
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=limits)
    return dataclasses.field(default=default, metadata=limits)


def build(kind: type[T], values: Any, where: str = "") -> T:
    """`kind` of parsed YAML; `where` is its dotted name with a dot at the end. Raises: FleetDescriptionError."""
    if not isinstance(values, Mapping):
        raise FleetDescriptionError(f"{where or 'the description'}: expected a mapping, got {values!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [str(name) for name in values if name not in fields]
    if unknown:
        known = ", ".join(sorted(fields))
        raise FleetDescriptionError(
            f"unknown setting {where}{unknown[0]}; {where or 'there'} can be: {known}"
        )
    typed = {
        name: _typed(hints[name], value, f"{where}{name}", fields[name]) for name, value in values.items()
    }
    missing = [
        f.name
        for f in fields.values()
        if f.name not in typed
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise FleetDescriptionError(f"{where}{missing[0]} is missing")
    built = kind(**typed)
    check = getattr(built, "check", None)
    if check is not None:
        check(where)
    return built


def checked(field: dataclasses.Field[Any], kind: Any, value: Any, where: str) -> Any:
    """The value of a single field; `where`: the option that it was given with. Raises: FleetDescriptionError."""
    return _typed(kind, value, where, field)


def require(good: bool, where: str, allowed: str, value: Any) -> None:
    """Raise FleetDescriptionError with the allowed values unless `good`."""
    if not good:
        raise FleetDescriptionError(f"{where}: expected {allowed}, got {value!r}")


def allowed(field: dataclasses.Field[Any]) -> str:
    """The values of a field in words, without its type; empty if there is no limit."""
    limits = field.metadata
    if limits["choices"]:
        return " or ".join(f"`{c}`" for c in limits["choices"])
    if limits["words"]:
        return str(limits["words"])
    low, high = limits["low"], limits["high"]
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    return f"at least {_number(low)}" if low is not None else ""


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _typed(kind: Any, value: Any, where: str, field: dataclasses.Field[Any]) -> Any:
    if dataclasses.is_dataclass(kind):
        return build(kind, value, f"{where}.")  # type: ignore[arg-type]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return _list(inner[0], value, where, field)
    if origin is not None:
        require(isinstance(value, Mapping), where, "a mapping", value)
        if inner[1] is str:
            pairs = {_text(k, where): _text(v, f"{where}.{k}") for k, v in value.items()}
            for text in [t for pair in pairs.items() for t in pair]:
                _limits(text, where, field)
            return pairs
        return {_text(k, where): _parameter(v, f"{where}.{k}") for k, v in value.items()}
    checked = _scalar(kind, value, where)
    _limits(checked, where, field)
    return checked


def _list(kind: Any, value: Any, where: str, field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    require(isinstance(value, list | tuple), where, "a list", value)
    if dataclasses.is_dataclass(kind):
        return tuple(build(kind, v, f"{where}[{n}].") for n, v in enumerate(value))  # type: ignore[arg-type]
    items = tuple(_scalar(kind, v, f"{where}[{n}]") for n, v in enumerate(value))
    multiple = field.metadata["length_of"]
    if multiple:
        require(len(items) % multiple == 0, where, f"{multiple} numbers, or a multiple of that", value)
    for n, item in enumerate(items):
        _limits(item, f"{where}[{n}]", field)
    return items


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
    good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    require(good, where, words[kind], value)
    if kind is float:
        require(math.isfinite(value), where, "a finite number", value)
    return value


def _limits(value: Any, where: str, field: dataclasses.Field[Any]) -> None:
    limits = field.metadata
    good = (
        (not limits["choices"] or value in limits["choices"])
        and (limits["low"] is None or value >= limits["low"])
        and (limits["high"] is None or value <= limits["high"])
        and (not limits["pattern"] or re.fullmatch(limits["pattern"], value) is not None)
    )
    require(good, where, allowed(field), value)


def _text(value: Any, where: str) -> str:
    require(isinstance(value, str) and bool(value), where, "a text", value)
    return str(value)


def _parameter(value: Any, where: str) -> Any:
    """A value of a node parameter: scalar, list of scalars of one type, or a group of parameters."""
    if isinstance(value, Mapping):
        return {_text(k, where): _parameter(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        kinds = {type(v) for v in value}
        good = len(kinds) == 1 and kinds <= set(_NODE_VALUES)
        require(good, where, "a list of booleans, integers, numbers or texts", value)
        return list(value)
    require(isinstance(value, _NODE_VALUES), where, "a boolean, integer, number, text or list", value)
    return value
