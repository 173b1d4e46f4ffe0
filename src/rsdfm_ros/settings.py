"""Typed settings: dataclass fields with their sentence and limits, and the strict builder of such dataclasses.

`setting` describes a field, `Builder` makes dataclasses of untrusted values such as parsed YAML. Parameters of nodes,
fleet descriptions, topic maps, and configurations of models and training are made with them.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rsdfm_ros.errors import RsdfmError

T = TypeVar("T")

WORDS: Mapping[type, str] = types.MappingProxyType(
    {bool: "true or false", int: "an integer", float: "a finite number", str: "a text"}
)
MAX_NUMBER_CHARACTERS = 100
"""Longer texts are no numbers."""
_MAX_INTEGER = 2**63 - 1
"""As in messages and parameters of ROS."""
_SHOWN = 200
"""So many characters of a refused value are told."""


class FormerNameWarning(FutureWarning):
    """A setting was given under a former name, which works in this release only."""


def setting(
    default: Any = dataclasses.MISSING,
    text: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    pattern: str = "",
    words: str = "",
    length: tuple[int, ...] = (),
    length_of: int = 0,
    factory: Callable[[], Any] | None = None,
    parse: Callable[[Any, str], Any] | None = None,
    renamed_from: str = "",
    dynamic: bool = False,
    read_only: bool = False,
) -> Any:
    """A dataclass field: `text` describes it with its unit.

    low…high: inclusive, for every element of a list · choices, pattern: of a text · words: the allowed values for
    people · length: the allowed numbers of elements of a list; length_of: they are multiples of it · parse(value,
    where): makes the value instead of the field's type · renamed_from: a former name, which still works, with a
    warning · dynamic, read_only: of a node's parameter, which may be changed at any time, or never.
    """
    metadata = {
        "text": text,
        "low": low,
        "high": high,
        "choices": tuple(choices),
        "pattern": pattern,
        "words": words,
        "length": length,
        "length_of": length_of,
        "parse": parse,
        "renamed_from": renamed_from,
        "dynamic": dynamic,
        "read_only": read_only,
    }
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def allowed(field: dataclasses.Field[Any]) -> str:
    """The values of a field in words, without its type; empty if there is no limit."""
    limits = field.metadata
    if limits.get("choices"):
        return " or ".join(f"`{c}`" for c in limits["choices"])
    if limits.get("words"):
        return str(limits["words"])
    low, high = limits.get("low"), limits.get("high")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    return f"at least {_number(low)}" if low is not None else ""


def within(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a scalar of the right type is finite and obeys choices, range and pattern of its field."""
    limits = field.metadata
    low, high = limits.get("low"), limits.get("high")
    return (
        not (isinstance(value, float) and not math.isfinite(value))
        and (not limits.get("choices") or value in limits["choices"])
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (not limits.get("pattern") or re.fullmatch(limits["pattern"], value) is not None)
    )


def warn_renamed(old: str, new: str) -> None:
    """Warn once per place in the code that a former name was used."""
    warnings.warn(renamed_sentence(old, new), FormerNameWarning, stacklevel=2)


def renamed_sentence(old: str, new: str) -> str:
    """Warning about the use of a former name."""
    return f"{old} is called {new} now: the former name works in this release only"


def both_sentence(old: str, new: str) -> str:
    """Error when both names were used."""
    return f"{old} is called {new} now, and both are given: leave {old} out"


@dataclass(frozen=True)
class Builder:
    """Makes dataclasses of untrusted values; refusals say what was expected and what came.

    error: what is raised · whole: the whole of the values, in words · prefix: stands before the name of a setting ·
    noun: how settings are called · lenient: numbers may come as texts, as YAML gives 1e-3, and integers as 3.0 ·
    words: names of the types. A dataclass may have a method `check(where)`, which is called in the end.
    """

    error: type[RsdfmError]
    whole: str
    prefix: str = ""
    noun: str = "setting"
    lenient: bool = False
    words: Mapping[type, str] = dataclasses.field(default_factory=lambda: WORDS)

    def require(self, good: bool, where: str, allowed: str, value: Any) -> None:
        """Raise the error with what is allowed and what came, unless `good`."""
        if not good:
            raise self.error(f"{self.prefix}{where}: expected {allowed}, got {repr(value)[:_SHOWN]}")

    def build(self, kind: type[T], values: Any, where: str = "") -> T:
        """`kind` of parsed values; `where` is its dotted name with a dot at the end."""
        typed = self.values(kind, values, where)
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.name not in typed and field.default is field.default_factory is dataclasses.MISSING:
                words = allowed(field) or self._words(hints[field.name])
                raise self.error(f"{self.prefix}{where}{field.name}: expected {words}, got nothing")
        built = kind(**typed)
        check = getattr(built, "check", None)
        if check is not None:
            check(where)
        return built

    def values(
        self, kind: type[Any], values: Any, where: str = "", without: Collection[str] = ()
    ) -> dict[str, Any]:
        """The values that are given for fields of `kind`, typed; those of `without` may not be."""
        if not isinstance(values, Mapping):
            raise self.error(f"{where or self.whole}: expected a mapping, got {repr(values)[:_SHOWN]}")
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind) if f.name not in without}
        values = self._with_new_names(fields.values(), values, where)
        unknown = [f"{where}{name}"[:_SHOWN] for name in values if name not in fields]
        if unknown:
            known = ", ".join(sorted(fields))
            place = where.rstrip(".") or self.whole
            raise self.error(f"unknown {self.noun} {', '.join(unknown)}; {place} can have: {known}")
        return {
            name: self.typed(hints[name], value, f"{where}{name}", fields[name])
            for name, value in values.items()
        }

    def typed(self, hint: Any, value: Any, where: str, field: dataclasses.Field[Any]) -> Any:
        """A value as the type of its field, within its limits."""
        if field.metadata.get("parse") is not None:
            return field.metadata["parse"](value, where)
        if dataclasses.is_dataclass(hint):
            return self.build(typing.cast(type[Any], hint), value, f"{where}.")
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):  # X | None
            some = next(kind for kind in inner if kind is not types.NoneType)
            return None if value is None else self.typed(some, value, where, field)
        if origin is tuple:
            return self._list(inner, value, where, field)
        if origin is not None:
            self.require(isinstance(value, Mapping), where, "a mapping", value)
            return {
                self._key(name, where, field, inner[1]): self.typed(inner[1], v, f"{where}.{name}", field)
                for name, v in value.items()
            }
        scalar = self.scalar(hint, value, where)
        self.require(within(field, scalar), where, allowed(field), value)
        return scalar

    def scalar(self, kind: type, value: Any, where: str) -> Any:
        """A finite number, a text, or true or false."""
        if self.lenient:
            value = _read_number(kind, value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        self.require(good, where, self.words[kind], value)
        if kind is float:
            self.require(math.isfinite(value), where, self.words[kind], value)
        if kind is int:
            self.require(abs(value) <= _MAX_INTEGER, where, f"{self.words[kind]} of at most 64 bits", value)
        return value

    def text(self, value: Any, where: str) -> str:
        """A text that is not empty."""
        self.require(isinstance(value, str) and bool(value), where, self.words[str], value)
        return str(value)

    def _key(self, name: Any, where: str, field: dataclasses.Field[Any], kind: Any) -> str:
        """A name of a mapping; where texts stand below it, the limits are for both."""
        text = self.text(name, where)
        self.require(kind is not str or within(field, text), where, allowed(field), text)
        return text

    def _list(
        self, inner: tuple[Any, ...], value: Any, where: str, field: dataclasses.Field[Any]
    ) -> tuple[Any, ...]:
        self.require(isinstance(value, list | tuple), where, "a list", value)
        if dataclasses.is_dataclass(inner[0]):
            kind = typing.cast(type[Any], inner[0])
            return tuple(self.build(kind, v, f"{where}[{n}].") for n, v in enumerate(value))
        items = tuple(self.scalar(inner[0], v, f"{where}[{n}]") for n, v in enumerate(value))
        multiple = field.metadata.get("length_of", 0)
        if multiple:
            words = f"{multiple} numbers, or a multiple of that"
            self.require(len(items) % multiple == 0, where, words, value)
        if inner[-1] is not Ellipsis:
            self.require(len(items) == len(inner), where, f"a list of {len(inner)}", value)
        for n, item in enumerate(items):
            self.require(within(field, item), f"{where}[{n}]", allowed(field), item)
        return items

    def _with_new_names(
        self, fields: Collection[dataclasses.Field[Any]], values: Mapping[Any, Any], where: str
    ) -> Mapping[Any, Any]:
        names = {
            f.metadata["renamed_from"]: f.name for f in fields if f.metadata.get("renamed_from") in values
        }
        for old, new in names.items():
            if new in values:
                raise self.error(both_sentence(f"{where}{old}", f"{where}{new}"))
            warn_renamed(f"{where}{old}", f"{where}{new}")
        return {names.get(name, name): value for name, value in values.items()}

    def _words(self, hint: Any) -> str:
        if dataclasses.is_dataclass(hint) or typing.get_origin(hint) not in (None, tuple):
            return "a mapping"
        return self.words.get(hint, "a list")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _read_number(kind: type, value: Any) -> Any:
    """A number that came as a text, or as a whole float where an integer is expected; anything else as it is."""
    if kind not in (int, float) or isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARACTERS:
        try:
            value = float(value) if kind is float else int(value)
        except ValueError:
            return value
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
