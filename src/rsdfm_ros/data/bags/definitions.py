"""Definitions of message types that a bag brings with it: parsed, and bounded before they become code."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

MAX_FIELDS = 4096
"""Fields of all types of a definition."""
MAX_ELEMENTS = 65_536
"""Texts and messages in arrays of a fixed length within one message: the generated code names each of them."""
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]*/msg/[A-Za-z][A-Za-z0-9_]*")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_REALS, _TEXTS = ("float32", "float64", "float128"), ("string", "wstring")


def parse(name: str, encoding: str, definition: str) -> dict[str, Any]:
    """Types of a definition, by name, without their constants. Raises whatever the parsers raise, ValueError."""
    idl = encoding == "ros2idl" or definition.startswith("=" * 80 + "\nIDL: ")
    found = _parse_idl(definition) if idl else get_types_from_msg(definition, name)
    # Types become generated code: nothing but plain identifiers may go in, and constants are not needed.
    for type_name, (_, fields) in found.items():
        if not _TYPE.fullmatch(type_name):
            raise ValueError(f"{type_name[:80]!r} is no message type")
        for field_name, _ in fields:
            if not _FIELD.fullmatch(field_name) or iskeyword(field_name):
                raise ValueError(f"{field_name[:80]!r} is no field name")
    types = {type_name: ([], fields) for type_name, (_, fields) in found.items()}
    check_size(types)
    return types


def _parse_idl(definition: str) -> dict[str, Any]:
    """A definition as rosbag2 stores it: one file after the other, each behind a line `IDL: package/msg/Name`."""
    found: dict[str, Any] = {}
    for part in re.split(r"^={80}\nIDL: .*\n", definition, flags=re.MULTILINE):
        if part.strip():
            found.update(get_types_from_idl(part))
    return found


def check_size(types: dict[str, Any]) -> None:
    """Raise ValueError for types of too many fields, with arrays that are too long, or that contain themselves."""
    fields = sum(len(fields) for _, fields in types.values())
    if fields > MAX_FIELDS:
        raise ValueError(f"{fields} fields, expected at most {MAX_FIELDS}")
    sizes: dict[str, int] = {}
    for name in types:
        _elements(name, types, sizes, ())


def _elements(name: str, types: dict[str, Any], sizes: dict[str, int], within: tuple[str, ...]) -> int:
    """Texts and messages that one message of this type has at least, itself included."""
    if name in within:
        raise ValueError(f"{name} contains itself")
    if name not in sizes:
        number = 1
        for _, desc in types[name][1] if name in types else ():
            times, inner = 1, desc
            if desc[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                inner, length = desc[1]
                times = length if desc[0] == Nodetype.ARRAY else 0
            if inner[0] == Nodetype.NAME:
                number += times * _elements(inner[1], types, sizes, (*within, name))
            elif inner[1][0] in _TEXTS:
                number += times
            if number > MAX_ELEMENTS:
                raise ValueError(f"more than {MAX_ELEMENTS} texts and messages in arrays of {name}")
        sizes[name] = number
    return sizes[name]


def names_in(desc: Any) -> list[str]:
    """The message types that a field refers to."""
    if desc[0] == Nodetype.NAME:
        return [desc[1]]
    return names_in(desc[1][0]) if desc[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE) else []


def plain(desc: Any) -> Any:
    """A field's type without bounds of strings and sequences, which do not change its bytes."""
    if desc[0] == Nodetype.BASE:
        return (
            int(desc[0]),
            {"char": "uint8", "byte": "uint8", "octet": "uint8"}.get(desc[1][0], desc[1][0]),
        )
    if desc[0] == Nodetype.NAME:
        return (int(desc[0]), desc[1])
    count = desc[1][1] if desc[0] == Nodetype.ARRAY else 0
    return (int(desc[0]), (plain(desc[1][0]), count))


def misfit(name: str, theirs: Typestore, ours: Typestore) -> str | None:
    """A field of ours that messages of their definition lack or have as another kind of value, such as a text for a
    number: then nothing can be made of them. None if there is none. Further fields do no harm."""
    todo, seen = [name], set()
    while todo:
        current = todo.pop()
        if current in seen or current not in ours.fielddefs:
            continue
        seen.add(current)
        there = dict(theirs.fielddefs[current][1]) if current in theirs.fielddefs else {}
        for field, desc in ours.fielddefs[current][1]:
            if field not in there:
                return f"{current} lacks `{field}`"
            given, wanted = plain(there[field]), plain(desc)
            if not _fits(given, wanted):
                array = int(Nodetype.ARRAY)
                if given[0] == wanted[0] == array and given[1][1] != wanted[1][1]:
                    return f"{current} has `{field}` with {given[1][1]} numbers, expected the {wanted[1][1]} of ours"
                return f"{current} has `{field}` of another type"
            todo += names_in(desc)
    return None


def _fits(theirs: Any, ours: Any) -> bool:
    """Whether values of one plain type can be taken for those of another: whole numbers of any size, reals of any
    precision, whole numbers as reals; arrays for sequences."""
    kind, value = ours
    if kind in (int(Nodetype.ARRAY), int(Nodetype.SEQUENCE)):
        if theirs[0] not in (int(Nodetype.ARRAY), int(Nodetype.SEQUENCE)):
            return False
        length = value[1] if kind == int(Nodetype.ARRAY) else None
        return (length is None or theirs[1][1] == length) and _fits(theirs[1][0], value[0])
    if theirs[0] != kind or kind == int(Nodetype.NAME):
        return bool(theirs == ours)
    groups = [2 if t in _TEXTS else 1 if t in _REALS else 0 for t in (theirs[1], value)]
    return groups[0] == groups[1] or groups == [0, 1]
