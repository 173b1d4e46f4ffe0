"""Options for starting a fleet, beside the description: the same for `rsdfm fleet` and fleet.launch.py.

An option of SETTINGS replaces one setting of the description; the sentence and the limits come from there.
"""

from __future__ import annotations

import dataclasses
import shlex
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rsdfm_ros.fleet.description.fields import FleetDescriptionError, checked
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.reading import load_fleet, parse_override
from rsdfm_ros.settings import allowed
from rsdfm_ros.yaml_file import YamlError, parse_yaml

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "uavs": "uavs",
        "model": "model",
        "world": "world.kind",
        "seed": "world.seed",
        "style": "world.style",
        "weather": "world.weather",
        "frames": "world.frames",
        "composed": "uav.composed",
        "autostart": "uav.autostart",
        "budget_bytes": "uav.budget_bytes",
        "namespace_prefix": "namespace_prefix",
        "when_lost": "processes.when_lost",
        "respawn_delay_s": "processes.respawn_delay_s",
        "log_level": "processes.log_level",
        "sigterm_timeout_s": "processes.sigterm_timeout_s",
        "sigkill_timeout_s": "processes.sigkill_timeout_s",
        "domain": "network.domain",
        "use_sim_time": "world.use_sim_time",
    }
)
"""Option → dotted name of the setting that it replaces."""

NAV2_NAMES: Mapping[str, str] = MappingProxyType(
    {"use_composition": "composed", "use_rviz": "rviz", "namespace": "namespace_prefix"}
)
"""Launch argument as Nav2 calls it → the option that it stands for. The others have the same name in both."""

LISTS: Mapping[str, str] = MappingProxyType(
    {
        "params_file": "ROS parameter file for every UAV, over everything in the description; several: the last wins",
        "remap": "remapping rule FROM:=TO for every UAV, such as pose:=mavros/local_position/pose_cov; several at will",
        "set": "any other setting of the description as NAME=VALUE, such as world.lockstep=false; several at will",
    }
)
"""Option that may be given several times → its sentence."""

SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "record": "record the topics of the fleet to <out>/bag: with `ros2 bag record` where it is installed, "
        "otherwise with this package's recorder",
        "rviz": "show the fleet in RViz, where rviz2 is installed",
    }
)
"""true or false → its sentence."""


@dataclass(frozen=True)
class FleetOptions:
    """Options given beside the description. settings: by dotted name · remaps: from → to."""

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    params_files: tuple[str, ...] = ()
    remaps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    record: bool = False
    rviz: bool = False

    def load(self, description: str | Path) -> FleetDescription:
        """The description with these options applied. Raises: FleetDescriptionError."""
        more = {"params_files": list(self.params_files), "remaps": dict(self.remaps)}
        return load_fleet(description, self.settings, more)


def options_from(values: Mapping[str, str | Sequence[str] | None]) -> FleetOptions:
    """Options from texts by their names; empty texts and None are left out.

    A text of several items (LISTS) is split as a shell does. Raises: FleetDescriptionError.
    """
    given = _with_our_names(
        {name: value for name, value in values.items() if value not in (None, "", [], ())}
    )
    unknown = set(given) - {*SETTINGS, *LISTS, *SWITCHES}
    if unknown:
        raise FleetDescriptionError(f"there is no option {sorted(unknown)[0]!r}")
    settings = {
        SETTINGS[n]: checked_setting(n, SETTINGS[n], setting_value(SETTINGS[n], str(given[n])))
        for n in SETTINGS
        if n in given
    }
    settings |= dict(parse_override(item) for item in _items("set", given.get("set")))
    return FleetOptions(
        settings,
        tuple(_items("params_file", given.get("params_file"))),
        dict(_rule(item) for item in _items("remap", given.get("remap"))),
        *(_switch(name, given.get(name)) for name in SWITCHES),
    )


def _with_our_names(given: Mapping[str, str | Sequence[str]]) -> dict[str, str | Sequence[str]]:
    """Options under our names, those given under NAV2_NAMES too. Raises: FleetDescriptionError if both contradict."""
    ours = {name: value for name, value in given.items() if name not in NAV2_NAMES}
    for theirs, name in NAV2_NAMES.items():
        if theirs not in given:
            continue
        value = str(given[theirs])
        if name == "namespace_prefix":  # Nav2 takes it without the slash, too
            value = "".join(f"/{part}" for part in value.split("/") if part)
        if name in ours and str(ours[name]).lower() != value.lower():
            raise FleetDescriptionError(
                f"{theirs} is Nav2's name of {name}, and the two contradict: {given[theirs]!r} and {ours[name]!r}; "
                "leave one of them out"
            )
        ours[name] = value
    return ours


def setting_value(name: str, text: str) -> Any:
    """The value of a text for the setting of this dotted name: texts as they are, everything else as YAML."""
    kind, _ = _field(name)
    if kind is str:
        return text
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise FleetDescriptionError(f"{name}: {text!r} is no YAML value") from error


def checked_setting(option: str, name: str, value: Any) -> Any:
    """A value for the setting of this dotted name, given with this option. Raises: FleetDescriptionError."""
    kind, field = _field(name)
    return checked(field, kind, value, option)


def sentence(option: str) -> str:
    """Meaning and allowed values of an option."""
    if option in SETTINGS:
        _, field = _field(SETTINGS[option])
        limits = "" if field.metadata["choices"] else allowed(field)  # choices are shown beside the sentence
        return str(field.metadata["text"]) + (f" ({limits})" if limits else "")
    return LISTS.get(option) or SWITCHES[option]


def choices(option: str) -> tuple[str, ...]:
    """The values that an option may have; empty if they cannot be listed."""
    if option in SWITCHES:
        return ("true", "false")
    kind, field = _field(SETTINGS[option])
    return ("true", "false") if kind is bool else tuple(field.metadata["choices"])


def _field(name: str) -> tuple[Any, dataclasses.Field[Any]]:
    kind: Any = FleetDescription
    *groups, last = name.split(".")
    for group in groups:
        kind = typing.get_type_hints(kind)[group]
    field = next(f for f in dataclasses.fields(kind) if f.name == last)
    return typing.get_type_hints(kind)[last], field


def _items(name: str, value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, str):
        return list(value)
    try:
        return shlex.split(value)
    except ValueError as error:
        raise FleetDescriptionError(f"{name}: {value!r}: {error}") from error


def _rule(text: str) -> tuple[str, str]:
    name, sign, given = text.partition(":=")
    if not sign or not name or not given:
        raise FleetDescriptionError(
            f"expected a remapping rule FROM:=TO such as pose:=mavros/pose, got {text!r}"
        )
    return name, given


def _switch(name: str, value: Any) -> bool:
    if value is None:
        return False
    if str(value).lower() not in ("true", "false"):
        raise FleetDescriptionError(f"{name}: expected true or false, got {value!r}")
    return str(value).lower() == "true"
