"""`ros2 run rsdfm_ros <node> --help`: purpose, topics and parameters of an executable, from the code itself."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast, get_args

from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.parameters import changeable
from rsdfm_ros.nodes.core.topics import about
from rsdfm_ros.start import node_module

WIDTH = 100

_SENSORS = ("camera/image_raw", "camera/image_raw/compressed", "camera/camera_info")
_GROUND = ("ground/height", "ground/range")
_CAMERAS = ("<camera>/image_raw", "<camera>/camera_info")
_MASKS = ("instance_mask", "occupancy")
_VISION = ("detections_3d", "single/detections_3d")
_SINGLE = ("single/detections", "single/instance_mask", "single/occupancy", "single/trajectories")
_ANSWERS = ("detections", *_MASKS, "trajectories", "future_masks", *_SINGLE, "single/future_masks")
TOPICS_OF: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "encoder_node": (
            (*_SENSORS, *_CAMERAS, "pose", *_GROUND, "radio/rate", "/tf", "/tf_static"),
            ("bev/features", "path", "ground/height", "/tf"),
        ),
        "collaboration_node": (
            ("bev/features", "bev/demand", "ground/height"),
            ("bev/fused", "bev/demand", "bev/contributors"),
        ),
        "detection_head_node": (
            ("bev/fused", "ground/height"),
            ("detections", *_VISION, "markers", "single/detections"),
        ),
        "segmentation_head_node": (
            ("bev/fused",),
            (*_MASKS, "debug/bev_image", "/tf_static", "single/instance_mask", "single/occupancy"),
        ),
        "trajectory_head_node": (
            ("bev/fused",),
            ("trajectories", "paths", "future_masks", "single/trajectories", "single/future_masks"),
        ),
        "uav_node": (
            (
                *(*_SENSORS, *_CAMERAS, "pose", *_GROUND, "radio/rate"),
                *("bev/features", "bev/demand", "/tf", "/tf_static"),
            ),
            (
                *(
                    "bev/features",
                    "bev/demand",
                    "bev/fused",
                    "bev/contributors",
                    "status",
                    "path",
                    "ground/height",
                    *_ANSWERS,
                ),
                *(*_VISION, "markers", "paths", "debug/bev_image", "/tf", "/tf_static"),
            ),
        ),
        "sim_node": (
            ("status",),
            ("/clock", "/ground_truth", "camera/image_raw", "camera/camera_info", "pose"),
        ),
        "evaluator_node": (
            ("bev/features", "status", "debug/processing_time", *_ANSWERS, "/ground_truth"),
            ("/fleet/status",),
        ),
        "gazebo_flight_node": (
            ("odometry", "joint_states", "gazebo/camera_info"),
            ("pose", "camera/camera_info", "cmd_vel", "gimbal/pitch/command", "gimbal/roll/command"),
        ),
        "gazebo_truth_node": (("pose", "camera/camera_info"), ("/ground_truth",)),
    }
)
"""Executable → names of TOPICS that it subscribes to and publishes, besides COMMON. Executables that are not listed
have topics that depend on their settings."""
COMMON = ("debug/processing_time", "/diagnostics")


def asked_for(arguments: Sequence[str]) -> bool:
    """Whether the command line (without the program) asks for help, before any ROS arguments."""
    own = list(arguments)
    if "--ros-args" in own:
        own = own[: own.index("--ros-args")]
    return any(a in ("-h", "--help") for a in own)


def executable_of(made: Callable[..., Any]) -> str:
    """The executable whose module made this function or class, also when the module is run as a program."""
    module = vars(sys.modules[made.__module__])
    spec = module.get("__spec__")
    name = str(spec.name if spec is not None else module.get("__name__", ""))
    return name.rpartition(".")[2]


def node_classes(executable: str) -> list[type[Any]]:
    """The classes of the nodes that an executable runs: those of its module, or those that it composes."""
    module = node_module(executable)
    classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, RsdfmNode)]
    own = [c for c in classes if c.__module__ == module.__name__]
    # Bases of nodes stand in modules that are no executables.
    runnable = (c for c in classes if hasattr(sys.modules[c.__module__], "main"))
    return own or sorted(runnable, key=lambda c: c.__module__)


def settings_of(node: type[Any]) -> type[Any] | None:
    """The dataclass of a node class's settings."""
    if given := getattr(node, "settings_type", None):
        return cast("type[Any]", given)
    for cls in node.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and dataclasses.is_dataclass(argument):
                    return argument
    return None


def usage(executable: str) -> str:
    """The whole text for an executable, which is also the name of its module."""
    module = node_module(executable)
    lines = [
        f"usage: ros2 run rsdfm_ros {executable} [--help] [--ros-args -r __ns:=/uav1 -p NAME:=VALUE "
        "-r TOPIC:=TOPIC --params-file FILE …]",
        "",
        *_paragraphs(module.__doc__ or ""),
    ]
    subscribed, published = TOPICS_OF.get(executable, ((), ()))
    if published:
        lines += [
            "Topics are relative to the namespace, those with a slash are the fleet's; all can be remapped.",
            "",
        ]
        lines += ["subscribes to:", *map(_topic, subscribed), ""]
        lines += ["publishes:", *map(_topic, (*published, *COMMON)), ""]
    else:
        lines += ["Its topics depend on its settings.", ""]
    nodes = [cls.__module__.rpartition(".")[2] for cls in node_classes(executable)]
    for names, entries in _parameters(executable).items():
        whose = "all its nodes" if len(names) == len(nodes) > 1 else ", ".join(names)
        lines += [f"parameters of {whose}:", *entries, ""]
    lines += [
        "Every topic also has the parameters qos_overrides.<topic>.<publisher|subscription>.<policy>, and every node",
        "the services of a managed (lifecycle) node; `autostart:=false` leaves them to a lifecycle manager.",
    ]
    return "\n".join(lines)


def _parameters(executable: str) -> dict[tuple[str, ...], list[str]]:
    """The lines about parameters by the nodes that have them, those of all nodes first."""
    owners: dict[str, list[str]] = {}
    for cls in node_classes(executable):
        kind = settings_of(cls)
        for field in dataclasses.fields(kind) if kind is not None else ():
            owners.setdefault(_parameter(field), []).append(cls.__module__.rpartition(".")[2])
    found: dict[tuple[str, ...], list[str]] = {}
    for entry, names in sorted(owners.items(), key=lambda item: -len(item[1])):
        found.setdefault(tuple(names), []).append(entry)
    return found


def _paragraphs(text: str) -> list[str]:
    blocks = text.strip().partition(": ")[2].split("\n\n")
    out: list[str] = []
    for block in blocks:
        words = " ".join(block.split())
        out += [*textwrap.wrap(words[:1].upper() + words[1:], WIDTH), ""]
    return out


def _topic(name: str) -> str:
    return _item(name, about(name))


def _parameter(field: dataclasses.Field[Any]) -> str:
    limits = field.metadata
    facts = [_type(field), f"default {_yaml(field.default)}"]
    if limits["choices"]:
        facts.append("one of " + ", ".join(limits["choices"]))
    if limits["low"] is not None or limits["high"] is not None:
        low, high = ("" if v is None else _number(v) for v in (limits["low"], limits["high"]))
        facts.append(f"{low} … {high}")
    if limits["length"]:
        facts.append(" or ".join(str(n) for n in limits["length"]) + " elements")
    facts.append("dynamic" if limits["dynamic"] else f"changed {changeable(field)}")
    if limits["renamed_from"]:
        facts.append(f"formerly {limits['renamed_from']}")
    return _item(field.name, f"{limits['text']} ({'; '.join(facts)})")


def _type(field: dataclasses.Field[Any]) -> str:
    names = {
        "str": "string",
        "tuple[str, ...]": "string[]",
        "float": "double",
        "tuple[float, ...]": "double[]",
    }
    return names.get(str(field.type), str(field.type))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    return repr(value)


def _item(name: str, text: str) -> str:
    indent = " " * 30
    wrapped = textwrap.wrap(text, WIDTH - len(indent))
    head = f"  {name:<27} " if len(name) <= 27 else f"  {name}\n{indent}"
    return head + f"\n{indent}".join(wrapped)
