"""Message types: ours, and those that a bag brings with it and that count where they differ from ours."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from rsdfm_ros.data.bags.definitions import check_size, misfit, names_in, parse, plain
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.fixes import PX4_ATTITUDE, PX4_GLOBAL_POSITION
from rsdfm_ros.data.messages.poses import PX4_ODOMETRY
from rsdfm_ros.errors import RsdfmError

PACKAGE = "rsdfm_ros"
MAX_SEQUENCE = 1 << 27
PX4_MESSAGES = {
    "px4_msgs/msg/VehicleOdometry": PX4_ODOMETRY,
    "px4_msgs/msg/VehicleGlobalPosition": PX4_GLOBAL_POSITION,
    "px4_msgs/msg/VehicleAttitude": PX4_ATTITUDE,
}
"""What is read of messages of px4_msgs."""


def message_folder() -> Path:
    """The folder with this package's .msg files: in the source tree, or in a sourced ROS workspace."""
    places = [Path(__file__).resolve().parents[4] / "msg"]
    places += [
        Path(p) / "share" / PACKAGE / "msg" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p
    ]
    for place in places:
        if (place / "FeaturePacket.msg").is_file():
            return place
    raise RsdfmError(
        f"FeaturePacket.msg was not found in {', '.join(map(str, places))}: "
        "run from the source tree, or source the ROS workspace in which the package is installed"
    )


@cache
def typestore() -> Typestore:
    """ROS message types with those of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.max_sequence_length = MAX_SEQUENCE
    types: dict[str, Any] = {}
    for path in sorted(message_folder().glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(), f"{PACKAGE}/msg/{path.stem}"))
    store.register(types)
    return store


@cache
def wanted() -> Typestore:
    """Types whose fields are read here: ours, and what is read of messages that rosbags does not know."""
    store = get_typestore(Stores.EMPTY)
    store.fielddefs.update(typestore().fielddefs)
    for name, fields in PX4_MESSAGES.items():
        store.fielddefs.update(get_types_from_msg(fields, name))
    return store


def has_header(type_name: str, store: Typestore | None = None) -> bool:
    """Whether messages of this type begin with a std_msgs/Header, so that their stamp is in bytes 4 to 12."""
    known = (store or typestore()).fielddefs.get(type_name)
    return known is not None and bool(known[1]) and known[1][0][1] == (Nodetype.NAME, "std_msgs/msg/Header")


class BagTypes:
    """Readers for the messages of one bag.

    `differences` are sentences on definitions in the bag that are not ours; `unknown` says why a type cannot be read.
    """

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.unknown: dict[str, str] = {}
        self._stores: dict[str, Typestore] = {}
        self._unfit: set[str] = set()

    def add(self, name: str, encoding: str, definition: str) -> None:
        """Take in the definition that a bag has of a type; the first one counts."""
        if name in self._stores or name in self.unknown:
            return
        ours = typestore()
        try:
            theirs = parse(name, encoding, definition) if definition else None
        except Exception as error:  # the parsers may raise anything on text that is no definition
            self.differences.append(f"{name}: its definition in the bag cannot be read ({_short(error)})")
            theirs = None
        if theirs is None:
            if name in ours.fielddefs:
                self._stores[name] = ours
            else:
                self.unknown[name] = f"{name} is unknown here, and the bag does not define it"
            return
        different = _difference(name, theirs, ours)
        if different is None:
            self._stores[name] = ours
            return
        try:
            store = _store(theirs)
            lacking = misfit(name, store, wanted()) if name in wanted().fielddefs else None
        except Exception as error:  # the generator of code, too, on types that make no sense
            self.unknown[name] = f"the bag's definition of {name} cannot be used ({_short(error)})"
            return
        if lacking is not None:
            self._unfit.add(name)
            self.unknown[name] = f"{name} differs from ours ({lacking}): nothing can be made of its messages"
            return
        self._stores[name] = store
        if name in ours.fielddefs:
            self.differences.append(
                f"{name} differs from ours ({different}): it is read by the bag's definition"
            )

    def store(self, name: str) -> Typestore | None:
        """The types to read messages of this name with, None if they cannot be read."""
        return self._stores.get(name)

    def decode(self, raw: bytes | memoryview, name: str) -> Any:
        """The message object of serialised bytes. Raises: MessageError."""
        store = self._stores.get(name)
        if store is None:
            reason = "other_definition" if name in self._unfit else "unknown_type"
            raise MessageError(reason, self.unknown.get(name, f"{name} is not in this bag"))
        try:
            return store.deserialize_cdr(raw, name)
        except Exception as error:  # generated code on untrusted bytes: struct, index, value, key and more
            raise MessageError("broken_message", f"a {name} cannot be read ({_short(error)})") from error


def _store(types: dict[str, Any]) -> Typestore:
    store = Typestore(max_sequence_length=MAX_SEQUENCE)
    ours = typestore()
    # Types that the definition only refers to are taken from ours, e.g. a header that was not recorded.
    missing = {n for n in _referred(types) if n not in types and n in ours.fielddefs}
    while missing:
        types = types | {n: ([], ours.fielddefs[n][1]) for n in missing}
        missing = {n for n in _referred(types) if n not in types and n in ours.fielddefs}
    check_size(types)
    store.register(types)
    return store


def _referred(types: dict[str, Any]) -> set[str]:
    return {name for _, fields in types.values() for _, desc in fields for name in names_in(desc)}


def _difference(name: str, theirs: dict[str, Any], ours: Typestore) -> str | None:
    """Difference in a type or in one that it contains; None if there is none."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        if current not in theirs:
            continue  # only referred to: taken from ours
        if current not in ours.fielddefs:
            return f"{current} is not known here"
        there = [(n.lower(), plain(d)) for n, d in theirs[current][1]]
        here = [(n.lower(), plain(d)) for n, d in ours.fielddefs[current][1]]
        if there != here:
            extra = [n for n, _ in there if n not in dict(here)]
            lacking = [n for n, _ in here if n not in dict(there)]
            parts = [f"has `{n}`" for n in extra[:3]] + [f"lacks `{n}`" for n in lacking[:3]]
            changed = [n for n, d in there if n in dict(here) and dict(here)[n] != d]
            parts += [f"`{n}` is of another type" for n in changed[:3]]
            return f"{current} " + (", ".join(parts) or "has its fields in another order")
        todo += [n for _, desc in theirs[current][1] for n in names_in(desc)]
    return None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:160].replace("\n", " ")
