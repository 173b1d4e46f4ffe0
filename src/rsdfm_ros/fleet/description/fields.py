"""Fleet descriptions from YAML: the builder of their dataclasses, and values of node parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.former_names import with_new_names
from rsdfm_ros.settings import Builder

_NODE_VALUES = (bool, int, float, str)


class FleetDescriptionError(RsdfmError):
    """A fleet description that cannot be used: says where and what is allowed."""


BUILDER = Builder(FleetDescriptionError, "the description")


def checked(field: dataclasses.Field[Any], kind: Any, value: Any, where: str) -> Any:
    """The value of a single field; `where`: the option that it was given with. Raises: FleetDescriptionError."""
    return BUILDER.typed(kind, value, where, field)


def require(good: bool, where: str, allowed: str, value: Any) -> None:
    """Raise FleetDescriptionError with the allowed values unless `good`."""
    BUILDER.require(good, where, allowed, value)


def node_parameters(value: Any, where: str) -> dict[str, Any]:
    """Parameters of nodes by name, in groups at will. Raises: FleetDescriptionError."""
    require(isinstance(value, Mapping), where, "a mapping", value)
    values = {BUILDER.text(name, where): _parameter(v, f"{where}.{name}") for name, v in value.items()}
    return with_new_names(values, f"{where}.", FleetDescriptionError)


def _parameter(value: Any, where: str) -> Any:
    """A value of a node parameter: scalar, list of scalars of one type, or a group of parameters."""
    if isinstance(value, Mapping):
        return {BUILDER.text(name, where): _parameter(v, f"{where}.{name}") for name, v in value.items()}
    if isinstance(value, list):
        kinds = {type(v) for v in value}
        good = len(kinds) == 1 and kinds <= set(_NODE_VALUES)
        require(good, where, "a list of booleans, integers, numbers or texts", value)
        return list(value)
    require(isinstance(value, _NODE_VALUES), where, "a boolean, integer, number, text or list", value)
    return value
