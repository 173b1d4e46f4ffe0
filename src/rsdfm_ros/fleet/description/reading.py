"""Fleet descriptions from YAML (config/fleet/), with what was asked for beside them. Strict: every unknown setting and
every wrong value is named with what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import reason
from rsdfm_ros.fleet.description.fields import BUILDER, FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.shipped import shipped
from rsdfm_ros.yaml_file import YamlError, parse_yaml, read_yaml


def load_fleet(
    path: str | Path, overrides: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None
) -> FleetDescription:
    """Read a description. overrides: values by dotted name, e.g. {"world.frames": 10} · more: `params_files` and
    `remaps` that come on top of what the description has for all UAVs and for single ones.

    Raises: FleetDescriptionError.
    """
    try:
        values = read_yaml(shipped(path))
    except (OSError, YamlError) as error:
        raise FleetDescriptionError(f"cannot read the fleet description {path}: {reason(error)}") from error
    if not isinstance(values, dict):
        raise FleetDescriptionError(f"{path}: expected a mapping with name, uavs, model, world, …")
    for name, value in (overrides or {}).items():
        _set(values, name, value)
    for name, value in (more or {}).items():
        if value:
            _extend(values, name, value)
    return fleet_from_dict(values)


def fleet_from_dict(values: Mapping[str, Any]) -> FleetDescription:
    """A checked description of parsed YAML. Raises: FleetDescriptionError."""
    if (
        isinstance(values, Mapping)
        and "uavs" not in values
        and isinstance(values.get("members"), list)
        and values["members"]
    ):
        values = {**values, "uavs": len(values["members"])}
    return BUILDER.build(FleetDescription, values)


def parse_override(text: str) -> tuple[str, Any]:
    """`world.frames=10` as ("world.frames", 10). Raises: FleetDescriptionError."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.]+", name.strip()):
        raise FleetDescriptionError(f"expected name=value such as world.frames=10, got {text!r}")
    try:
        return name.strip(), parse_yaml(value)
    except YamlError as error:
        raise FleetDescriptionError(f"{name}: {value!r} is no YAML value") from error


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            raise FleetDescriptionError(f"{name}: {group} is not a group of settings")
        values = inner
    values[last] = value


def _extend(values: dict[str, Any], name: str, more: Any) -> None:
    uav, members = values.setdefault("uav", {}), values.get("members")
    groups = [
        uav,
        *(m for m in (members if isinstance(members, list) else []) if isinstance(m, dict) and name in m),
    ]
    for group in groups:
        before = group.get(name, type(more)()) if isinstance(group, dict) else more
        if type(before) is not type(more):
            raise FleetDescriptionError(
                f"{name}: expected a {'list' if isinstance(more, list) else 'mapping'}, got {before!r}"
            )
        if isinstance(group, dict):
            group[name] = [*before, *more] if isinstance(more, list) else {**before, **more}
