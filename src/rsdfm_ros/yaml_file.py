"""YAML from users and strangers, read within limits of size, depth, number of values and length of numbers.

Every file and text in YAML is read here: fleet descriptions, topic maps, settings of models and training, descriptions
of data sets, manifests, metadata of bags. Reading takes about a second at most and raises nothing but OSError and
YamlError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.settings import MAX_NUMBER_CHARACTERS

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML may be built without libyaml."""
_MAX_DIRECTIVES = 16
"""The parser compares every %TAG line with all lines before it."""


class YamlError(RsdfmError):
    """A text that is no YAML, or beyond the limits; one sentence, without the name of the file."""


@dataclass(frozen=True)
class YamlLimits:
    """Limits of a YAML document.

    max_bytes 1 MiB: a hundred times the largest file that comes with the package · max_depth 64: sixteen times the
    deepest of them · max_values 50 000: scalars, lists and mappings; an alias counts as all that it stands for.
    """

    max_bytes: int = 1 << 20
    max_depth: int = 64
    max_values: int = 50_000


LIMITS = YamlLimits()


def read_yaml(path: str | Path, limits: YamlLimits = LIMITS) -> Any:
    """The content of a YAML file; None of an empty one. Raises: OSError, YamlError."""
    return parse_yaml(read_text(path, limits), limits)


def read_text(path: str | Path, limits: YamlLimits = LIMITS) -> str:
    """The text of a YAML file, for parse_yaml. Raises: OSError; YamlError if it is too long or not in UTF-8."""
    with Path(path).open("rb") as file:
        data = file.read(limits.max_bytes + 1)
    _check_size(len(data), limits)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(
            f"expected text in UTF-8, got 0x{data[error.start]:02x} as byte {error.start + 1}: save it as UTF-8"
        ) from error


def parse_yaml(text: str, limits: YamlLimits = LIMITS) -> Any:
    """The content of a text in YAML; None of an empty one. Raises: YamlError."""
    _check_size(len(text), limits)
    if f"\n{text}".count("\n%") > _MAX_DIRECTIVES:
        raise YamlError(
            f"expected at most {_MAX_DIRECTIVES} lines that begin with %, got more: leave them out"
        )
    loader = None
    try:
        loader = _Loader(text, limits)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(f"{place}{' '.join(words.split())}") from error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        # Constructors of dates, numbers and tags raise errors of many types for values that they cannot read.
        raise YamlError(f"expected YAML, got a value that cannot be read ({reason(error)})") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check_size(size: int, limits: YamlLimits) -> None:
    if size > limits.max_bytes:
        raise YamlError(f"expected at most {limits.max_bytes} bytes of YAML, got more: is it the right file?")


class _Bounded(Composer):
    """Counts values and levels while they are composed."""

    anchors: dict[str, Any]

    def begin(self, limits: YamlLimits) -> None:
        self.anchors = {}
        self._limits = limits
        self._values = self._depth = self._deepest = 0
        self._finished: dict[str, tuple[int, int]] = {}  # anchor → number of values and levels below it

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[attr-defined]
        line = event.start_mark.line + 1
        alias = isinstance(event, yaml.AliasEvent)
        if alias and event.anchor in self.anchors and event.anchor not in self._finished:
            raise YamlError(
                f"line {line}: expected a value that ends, got *{event.anchor} inside of itself: write it out"
            )
        values, levels = self._finished.get(event.anchor, (1, 0)) if alias else (1, 0)
        before, outer = self._values, self._deepest
        self._values += values
        self._depth += 1
        self._deepest = self._depth + levels
        if self._values > self._limits.max_values:
            raise YamlError(
                f"line {line}: expected at most {self._limits.max_values} values, aliases written out, got more: "
                "make it smaller"
            )
        if self._deepest > self._limits.max_depth:
            raise YamlError(
                f"line {line}: expected at most {self._limits.max_depth} levels of nesting, got more: make it flatter"
            )
        node = super().compose_node(parent, index)
        if not alias and event.anchor is not None:
            self._finished[event.anchor] = (self._values - before, self._deepest - self._depth)
        self._depth -= 1
        self._deepest = max(outer, self._deepest)
        return node


class _Loader(_Bounded, _Parser):  # type: ignore[misc]
    """The safe loader of PyYAML within limits."""

    def __init__(self, text: str, limits: YamlLimits) -> None:
        _Parser.__init__(self, text)
        self.begin(limits)


def _short(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A constructor of numbers that refuses long ones: those in base 60 take a time that grows with the square."""

    def constructed(loader: Any, node: Any) -> Any:
        if len(node.value) > MAX_NUMBER_CHARACTERS:
            raise YamlError(
                f"line {node.start_mark.line + 1}: expected a number of at most {MAX_NUMBER_CHARACTERS} characters, "
                f"got {len(node.value)}: put a text in quotes"
            )
        return construct(loader, node)

    return constructed


for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Loader.add_constructor(_tag, _short(_Loader.yaml_constructors[_tag]))
