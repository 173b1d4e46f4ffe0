"""Description of a data set beside its tables: axes, ground, agents of channels, classes, splits.

The tables of nuScenes v1.0 do not say where the ground is, which cameras one UAV carries, or in which of several
conventions their numbers are given. A :class:`Description` does. It comes from ``rsdfm_dataset.yaml`` beside the tables
(or a YAML file anywhere, with `path`), else from a preset whose channel names fit (presets.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.yaml_file import YamlError, parse_yaml

FILE_NAME = "rsdfm_dataset.yaml"
"""Name of the description beside the folders of tables."""

BY_SIZE = "by_size"
IGNORE = "ignore"
BOXES = "boxes"
WORLD, CAMERAS = "world", "cameras"


class DescriptionError(DatasetError):
    """The description of a data set is malformed or does not fit its tables."""


CHOICES: Mapping[str, tuple[str, ...]] = {
    "axes": ("right-handed", "unreal"),
    "camera_axes": ("optical", "forward"),
    "extrinsics": ("chain", "calibrated_sensor"),
    "box_origin": ("centre", "bottom"),
    "size_order": ("wlh", "lwh"),
    "timestamps": ("auto", "us", "ns"),
    "missing_cameras": ("refuse", "allow"),
}


@dataclass(frozen=True)
class Description:
    """Conventions of a data set's numbers.

    axes: `right-handed` (z up), or `unreal`: the world is x forward, y right, z up (left-handed) and quaternions
    wxyz hold Unreal's roll, pitch and yaw as if they were right-handed (extrinsic x, y, z) · camera_axes: what a
    camera's rotation turns: `optical` axes, or a body that looks along x with z up (`forward`) · extrinsics: `chain` =
    ego_pose · calibrated_sensor, or `calibrated_sensor` alone where that is already in the world · channels: regular
    expression with groups `agent` and, for several cameras per UAV, `camera`; channels that it does not match are no
    cameras of a UAV · agent_names: how agents are called, `{}` is the group `agent`, counted from 1 where `agents_from`
    is 0 · ground_height_m: height of the ground in the world of the tables, m; `boxes`: per scene, the median underside
    of its boxes · origin: where the map has x = y = 0: `world`, `cameras` (per scene, the mean of its cameras, in whole
    metres), [x, y] in the world of the tables, or the name of a channel (its mean position in the scene) · box_origin:
    what an annotation's translation is · size_order: of an annotation · categories: (pattern, class) in order, the
    first that fits a name counts; a class is one of ours, `by_size` or `ignore`; what fits none is ignored · splits:
    name → rule (see :meth:`in_split`) · timestamps: unit of `timestamp`; auto: ns from 9·10¹⁵ on · missing_cameras:
    whether a sample may lack images.
    """

    name: str = "nuscenes"
    axes: str = "right-handed"
    camera_axes: str = "optical"
    extrinsics: str = "chain"
    channels: str = r"(?:UAV_(?P<uav>\d+)(?:_(?P<camera>\w+))?|(?P<agent>.+))"
    agent_names: str = "{}"
    agents_from: int = 1
    ground_height_m: float | str = 0.0
    origin: str | tuple[float, float] = WORLD
    box_origin: str = "centre"
    size_order: str = "wlh"
    categories: tuple[tuple[str, str], ...] = (
        ("vehicle.bus.*", "bus"),
        *((prefix + name, name) for prefix in ("vehicle.", "") for name in CLASSES),
    )
    splits: Mapping[str, Any] = field(default_factory=dict)
    timestamps: str = "auto"
    missing_cameras: str = "refuse"

    def agent_of(self, channel: str) -> tuple[str, str] | None:
        """(agent, camera) of a camera channel; None for channels that are no camera of a UAV."""
        match = re.fullmatch(self.channels, channel)
        if match is None:
            return None
        groups = match.groupdict()
        if groups.get("uav") is not None:
            return f"uav{groups['uav']}", (groups.get("camera") or "").lower()
        agent = str(groups["agent"])
        if agent.isdigit():
            agent = str(int(agent) + 1 - self.agents_from)
        return self.agent_names.replace("{}", agent).lower(), (groups.get("camera") or "").lower()

    def class_of(self, category: str, size: Sequence[float]) -> int | None:
        """Index into CLASSES of an annotation by its category and size (length, width, height) m; None: not ours."""
        for pattern, name in self.categories:
            if fnmatchcase(category, pattern):
                if name == BY_SIZE:
                    return class_by_size(*size)
                return None if name == IGNORE else CLASSES.index(name)
        return None

    def in_split(self, split: str, scene: str) -> bool:
        """Whether a scene belongs to a split.

        A rule is a list of scene names, {"numbers": [...], "modulo": m}: the last number in the name (modulo m) is one
        of these, or "rest": in none of the other splits. Raises :class:`DescriptionError` for an unknown split.
        """
        if split not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DescriptionError(self.name, f"has no split {split!r}, only {known}", "leave the split out")
        rule = self.splits[split]
        if rule == "rest":
            return not any(self.in_split(s, scene) for s, other in self.splits.items() if other != "rest")
        if isinstance(rule, Mapping):
            found = re.findall(r"\d+", scene)
            number = int(found[-1][-18:]) if found else -1
            return (number % rule["modulo"] if "modulo" in rule else number) in rule["numbers"]
        return scene in rule

    def to_yaml(self) -> str:
        """The text of a description file."""
        values = asdict(self)
        values["categories"] = [list(pair) for pair in self.categories]
        values["origin"] = list(self.origin) if isinstance(self.origin, tuple) else self.origin
        return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None))


def class_by_size(length: float, width: float, height: float) -> int | None:
    """Class of a vehicle of which only the size (m) is known; None for what is no larger than a motorcycle."""
    if length < 2.6 or width < 1.2:
        return None
    if length >= 9.0:
        return CLASSES.index("bus")
    if length >= 6.2 or height >= 2.8:
        return CLASSES.index("truck")
    return CLASSES.index("van" if height >= 1.95 else "car")


def parse(
    text: str, path: Path | str, presets: Mapping[str, Description]
) -> tuple[Description, str, str | None]:
    """A description file: keys of :class:`Description`, and `preset`: what the others differ from; `path`, `split`.

    Returns the description, the path of the data set ("" = where the file lies) and the split (None = all).
    Raises :class:`DescriptionError` with every problem.
    """
    try:
        values = parse_yaml(text)
    except YamlError as error:
        raise DescriptionError(path, f"is no YAML ({error})") from None
    if not isinstance(values, dict):
        raise DescriptionError(path, "expected `key: value` lines", "see docs/datasets.md")
    values = dict(values)
    preset, data, split = values.pop("preset", None), values.pop("path", ""), values.pop("split", None)
    problems = []
    if preset is not None and preset not in presets:
        problems.append(f"preset {preset!r}: expected one of {', '.join(presets)}")
    if not isinstance(data, str):
        problems.append(f"path {data!r}: expected a folder")
    base = presets.get(str(preset), Description())
    known = [f.name for f in fields(Description)]
    problems += [
        f"unknown key {key!r}: expected some of {', '.join(known)}" for key in values if key not in known
    ]
    for key in ("categories", "origin"):
        if isinstance(values.get(key), list):
            values[key] = tuple(tuple(v) if isinstance(v, list) else v for v in values[key])
    values = {key: value for key, value in values.items() if key in known}
    described = replace(base, **values)
    problems += _problems(described)
    if split is not None and not problems and split not in described.splits:
        problems.append(
            f"split {split!r}: expected one of {', '.join(described.splits) or '(none is described)'}"
        )
    if problems:
        raise DescriptionError(path, "; ".join(problems), "see docs/datasets.md")
    return described, data, split


def _problems(d: Description) -> list[str]:
    found = [
        f"{key} {getattr(d, key)!r}: expected one of {', '.join(allowed)}"
        for key, allowed in CHOICES.items()
        if getattr(d, key) not in allowed
    ]
    if not (d.ground_height_m == BOXES or _number(d.ground_height_m)):
        found.append(f"ground_height_m {d.ground_height_m!r}: expected a height in metres or `{BOXES}`")
    if not (isinstance(d.origin, str) or (len(d.origin) == 2 and all(map(_number, d.origin)))):
        found.append(f"origin {d.origin!r}: expected {WORLD}, {CAMERAS}, a channel or [x, y] in metres")
    for pair in d.categories:
        if not (isinstance(pair, tuple) and len(pair) == 2 and pair[1] in (*CLASSES, BY_SIZE, IGNORE)):
            allowed = ", ".join((*CLASSES, BY_SIZE, IGNORE))
            found.append(f"categories entry {pair!r}: expected [pattern, class] with a class of {allowed}")
    try:
        groups = re.compile(d.channels).groupindex
    except (re.error, TypeError) as error:
        found.append(f"channels {d.channels!r} is no regular expression ({error})")
    else:
        if "agent" not in groups:
            found.append(f"channels {d.channels!r}: expected a group (?P<agent>…)")
    if not isinstance(d.agent_names, str) or d.agent_names.count("{}") != 1:
        found.append(f"agent_names {d.agent_names!r}: expected a name with one {{}}")
    splits: object = d.splits
    if not isinstance(splits, Mapping):
        return [*found, f"splits {splits!r}: expected name: rule"]
    for name, rule in splits.items():
        numbers = rule.get("numbers") if isinstance(rule, Mapping) else rule
        fine = rule == "rest" or (isinstance(numbers, list | tuple) and _whole(rule))
        if not fine:
            found.append(
                f"split {name}: expected scene names, {{numbers: […], modulo: m}} or rest, got {rule!r}"
            )
    return found


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _whole(rule: object) -> bool:
    if not isinstance(rule, Mapping):
        return True
    return (
        set(rule) <= {"numbers", "modulo"}
        and isinstance(rule.get("modulo", 1), int)
        and rule.get("modulo", 1) > 0
    )
