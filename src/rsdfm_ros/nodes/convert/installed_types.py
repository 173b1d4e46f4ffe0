"""Definitions of message types from the .msg files that are installed here, for recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core.message_types import package_and_name


def installed_types(type_name: str) -> Typestore:
    """A store that knows the type and all that it contains, from the .msg files installed beside the classes.

    Raises: RsdfmError if a file cannot be found or read.
    """
    if type_name in typestore().fielddefs:
        return typestore()
    types: dict[str, Any] = {}
    todo = [type_name]
    while todo:
        name = todo.pop()
        if name in types:
            continue
        ours = typestore().fielddefs.get(name)
        types[name] = ours if ours is not None else _read(name)
        todo += [inner for _, desc in types[name][1] for inner in _inner(desc)]
    store = Typestore()
    store.register(types)
    return store


def _read(name: str) -> Any:
    package, message = package_and_name(name)
    file = Path("share") / package / "msg" / f"{message}.msg"
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and (Path(prefix) / file).is_file():
            try:
                return get_types_from_msg((Path(prefix) / file).read_text(), name)[name]
            except Exception as error:  # the parser may raise anything
                raise RsdfmError(f"{Path(prefix) / file} cannot be read: {error}") from error
    raise RsdfmError(f"{file} was not found in any prefix of AMENT_PREFIX_PATH")


def _inner(desc: Any) -> list[str]:
    if isinstance(desc[1], str):
        return [desc[1]]
    return _inner(desc[1][0]) if isinstance(desc[1][0], tuple) and not isinstance(desc[1][0][0], str) else []
