"""Message classes by type name, as they are installed here."""

from __future__ import annotations

import importlib
import re
from typing import Any

from rsdfm_ros.errors import RsdfmError

_NAME = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Za-z][A-Za-z0-9_]*)")


def package_and_name(type_name: str) -> tuple[str, str]:
    """E.g. `sensor_msgs/msg/Image` → sensor_msgs, Image. Raises: RsdfmError."""
    match = _NAME.fullmatch(type_name)
    if match is None:
        raise RsdfmError(f"{type_name[:80]!r} is no message type")
    return match[1], match[2]


def message_class(type_name: str) -> Any:
    """The class of e.g. `sensor_msgs/msg/Image`. Raises: RsdfmError if it is not installed here."""
    package, name = package_and_name(type_name)
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise RsdfmError(
            f"{type_name} is not installed here: install {package}, or leave the topic out"
        ) from error
