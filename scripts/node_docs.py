"""Write docs/topics.md and docs/parameters.md from the nodes themselves: scripts/with_ros python scripts/node_docs.py

Every executable is started in this process with all options on and asked for its publishers, subscriptions, types, QoS
and settings; the sentences come from nodes/core/topics.py and the settings of the nodes. --check: only say whether the
pages differ.
"""

from __future__ import annotations

import ctypes
import dataclasses
import difflib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import rclpy
import yaml
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from rsdfm_ros.nodes.core import runner
from rsdfm_ros.nodes.core.topics import about, relative_name

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"topics": ROOT / "docs" / "topics.md", "parameters": ROOT / "docs" / "parameters.md"}
UAV = "/uav1"
DOMAIN = 100
COMMAND = "`make docs`"

#: Settings that switch every option on. Outputs that need optional packages stay off: see OPTIONAL.
EVERYTHING: dict[str, Any] = {
    "model": f"random:{ROOT / 'test/support/tiny.yaml'}",
    "agents": ["uav1"],
    "uavs": 1,
    "publish_single": True,
    "publish_future": True,
    "publish_markers": True,
    "publish_detections_3d": "never",
    "publish_lattice_tf": "never",
    "publish_pose_tf": "never",
}
OPTIONAL = MappingProxyType(
    {
        "encoder_node": (
            ("pose", "in", "px4_msgs/VehicleOdometry", "px4_msgs"),
            ("/tf", "in", "tf2_msgs/TFMessage", "tf2_msgs"),
            ("/tf_static", "in", "tf2_msgs/TFMessage", "tf2_msgs"),
            ("/tf", "out", "tf2_msgs/TFMessage", "tf2_msgs"),
        ),
        "detection_head_node": (
            ("detections_3d", "out", "vision_msgs/Detection3DArray", "vision_msgs"),
            ("single/detections_3d", "out", "vision_msgs/Detection3DArray", "vision_msgs"),
        ),
        "segmentation_head_node": (("/tf_static", "out", "tf2_msgs/TFMessage", "tf2_ros"),),
    }
)
"""Executable → its further topics where a package is installed: topic, direction, type, package."""
WITH_OPTIONAL: dict[str, tuple[dict[str, Any], ...]] = {
    "encoder_node": ({"pose_type": "tf", "extrinsics_source": "tf"}, {"publish_pose_tf": "always"}),
    "detection_head_node": ({"publish_detections_3d": "always"},),
    "segmentation_head_node": ({"publish_lattice_tf": "always"},),
}
"""Executable → the settings that show this, for machines that have these packages."""
#: Further settings that change topics; their topics are listed with them.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "encoder_node": (
        {"image_transport": "compressed"},
        {"cameras": ["front"]},
        {"pose_type": "pose"},
        {"pose_type": "odometry"},
        {"ground_model": "topic"},
        {"ground_model": "range"},
    ),
    "collaboration_node": ({"ground_model": "topic"},),
    "detection_head_node": ({"ground_model": "topic"},),
}
COMMON = ("/diagnostics", "debug/processing_time")
"""Topics that every node publishes; listed once."""
PARTS = (
    "encoder_node",
    "collaboration_node",
    "detection_head_node",
    "segmentation_head_node",
    "trajectory_head_node",
)
NOT_ACTIVATED = ("sim_node",)
"""Nodes that have all their topics once configured, and whose activity needs a renderer."""
NOT_CONFIGURED = MappingProxyType(
    {
        "fault_injector_node": "It takes the feature topics of `links` and publishes each below `output_prefix`: "
        "[reliability.md](reliability.md#fault_injector_node).",
        "record_node": "It subscribes to the recorded topics: [bags.md](bags.md).",
        "replay_node": "Its topics are those of its bag, and `/clock`: [bags.md](bags.md).",
        "view_node": "It subscribes to the topics of the fleet in the ROS graph: [views.md](views.md).",
        "web_node": "While a page is open it subscribes to the topics of the fleet in the ROS graph: "
        "[views.md](views.md).",
    }
)
"""Nodes whose topics depend on their settings, and the sentence about them."""


@dataclass(frozen=True, order=True)
class Row:
    """A topic of a node."""

    name: str
    direction: str
    type: str
    qos: str
    package: str = ""
    setting: str = ""


def executables() -> list[str]:
    """The executables, sorted."""
    return sorted(modules())


def modules() -> dict[str, str]:
    """Executable → its module."""
    source = ROOT / "src"
    found = sorted((source / "rsdfm_ros/nodes").rglob("*_node.py"))
    return {
        path.stem: ".".join(path.relative_to(source).with_suffix("").parts)
        for path in found
        if "\ndef main" in path.read_text()
    }


def nodes_of(executable: str) -> list[Any]:
    """The nodes that the `main` of an executable builds."""
    module = importlib.import_module(modules()[executable])
    built: list[Any] = []

    def collect(_: str, build: Any, *__: Any) -> int:
        built.extend(build())
        return 0

    with mock.patch.object(runner, "run_executable", collect):
        module.main()
    return built


def rows_of(node: Any) -> Iterator[Row]:
    """The topics of a node, without those of all ROS nodes."""
    everyones = ("/rosout", "/parameter_events")
    entities = [("out", p) for p in node.publishers] + [("in", s) for s in node.subscriptions]
    for direction, entity in entities:
        topic = entity.topic_name
        if topic in everyones or (topic == "/clock" and direction == "in"):
            continue
        kind = entity.msg_type
        package = kind.__module__.partition(".")[0]
        yield Row(
            relative_name(topic, UAV).replace("front/", "<camera>/"),
            direction,
            f"{package}/{kind.__name__}",
            qos_text(entity.qos_profile),
        )


def qos_text(profile: QoSProfile) -> str:
    """QoS in words."""
    words = ["reliable" if profile.reliability == ReliabilityPolicy.RELIABLE else "best effort"]
    words.append(f"last {profile.depth}")
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        words.append("transient local")
    for name, duration in (
        ("lifespan", profile.lifespan),
        ("deadline", profile.deadline),
        ("lease", profile.liveliness_lease_duration),
    ):
        if Duration() < duration < Duration(seconds=1e9):
            words.append(f"{name} {duration.nanoseconds / 1e9:g} s")
    return ", ".join(words)


def explore(
    executable: str, more: Mapping[str, Any] = MappingProxyType({})
) -> tuple[list[Row], list[type[Any]]]:
    """Topics and settings of an executable, with every option on, and with some other settings."""
    with tempfile.TemporaryDirectory() as folder:
        values = {**EVERYTHING, **more, "out": str(Path(folder) / "out")}
        parameters = Path(folder) / "parameters.yaml"
        parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
        namespace = UAV if executable in ("uav_node", *PARTS) else "/"
        ros_arguments = ["--ros-args", "--params-file", str(parameters), "-r", f"__ns:={namespace}"]
        rclpy.init(args=[*ros_arguments, "--log-level", "error"], domain_id=DOMAIN)
        nodes = nodes_of(executable)
        try:
            for node in nodes if executable not in NOT_CONFIGURED else ():
                node.trigger_configure()
                if executable not in NOT_ACTIVATED:
                    node.trigger_activate()
                if node.last_error:
                    raise RuntimeError(f"{executable}: {node.last_error}")
            rows = {row for node in nodes for row in rows_of(node)}
            for part in PARTS if executable == "uav_node" else (executable,):
                rows |= {Row(t, d, k, "", p) for t, d, k, p in OPTIONAL.get(part, ())}
            return sorted(rows, key=lambda r: (r.direction, r)), [type(n.settings) for n in nodes]
        finally:
            for node in nodes:
                node.destroy_node()
            rclpy.shutdown()


def with_variants(executable: str) -> tuple[list[Row], list[type[Any]]]:
    """The same, with what other settings add."""
    rows, kinds = explore(executable)
    plain = set(rows)
    for more in VARIANTS.get(executable, ()):
        name, value = next(iter(more.items()))
        words = f"With `{name}: {yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}`."
        new = [row for row in explore(executable, more)[0] if row not in plain]
        rows += [dataclasses.replace(row, setting=words) for row in new]
    return rows, kinds


def optional_topics(executable: str) -> set[tuple[str, str, str]]:
    """Topic, direction and type of the topics of OPTIONAL that an executable really has; needs the packages."""
    packages = {"vision_msgs", "tf2_msgs"}
    rows = [row for more in WITH_OPTIONAL[executable] for row in explore(executable, more)[0]]
    return {(r.name, r.direction, r.type) for r in rows if r.qos and r.type.split("/")[0] in packages}


def topics_page(found: dict[str, tuple[list[Row], list[type[Any]]]]) -> str:
    """docs/topics.md."""
    parts = [
        f"""# Topics

Made from the running nodes by {COMMAND}. Names without a slash are relative to the namespace of the UAV, such as
{UAV}; all of them can be remapped, and every QoS policy can be overridden (docs/nodes.md). Types of this package are
explained in [messages.md](messages.md). Every node also has what all managed nodes have: its parameter services, the
lifecycle services and `~/transition_event`, `/rosout`, `/parameter_events`, and `/clock` with `use_sim_time`. Every
node of this package also publishes:

| topic | type | |
|---|---|---|
| `/diagnostics` | diagnostic_msgs/DiagnosticArray | {about("/diagnostics")} |
| `debug/processing_time` | rsdfm_ros/ProcessingTime | {about("debug/processing_time")} |

Every feature topic `*/bev/features` of the same type on the ROS graph is a peer, in any namespace.
"""
    ]
    for executable, (rows, _) in found.items():
        parts.append(f"\n## {executable}\n\n{about_module(executable)}\n\n")
        rows = [row for row in rows if row.name not in COMMON or row.direction == "in"]
        if executable in NOT_CONFIGURED:
            parts.append(f"{NOT_CONFIGURED[executable]}\n")
            continue
        if not rows:
            parts.append("It has no further topics of its own.\n")
            continue
        parts.append("| topic | | type | QoS | |\n|---|---|---|---|---|\n")
        for row in rows:
            sentence = about(row.name)
            if row.setting:
                sentence += f" {row.setting}"
            if row.package:
                sentence += f" Where {row.package} is installed."
            parts.append(f"| `{row.name}` | {row.direction} | {row.type} | {row.qos} | {sentence} |\n")
    return "".join(parts)


def parameters_page(found: dict[str, tuple[list[Row], list[type[Any]]]]) -> str:
    """docs/parameters.md."""
    parts = [
        f"""# Parameters

Made from the settings classes of the nodes by {COMMAND}. The column “change” says when a parameter may change: any
time; unconfigured, that is before the lifecycle node is configured (in a params file, or with `ros2 param set` after a
cleanup); start, only by starting the node anew. A value that is not allowed is refused with a sentence. `uav_node`
takes the parameters of its parts. QoS overrides are parameters too: `qos_overrides.<topic>.publisher.reliability` and
so on (docs/nodes.md). Numbers with a decimal point need it in a params file too.
"""
    ]
    shown: dict[type[Any], str] = {}
    for executable, (_, kinds) in found.items():
        parts.append(f"\n## {executable}\n\n{about_module(executable)}\n\n")
        if len(kinds) > 1:
            parts.append(f"The parameters of {', '.join(f'`{name}`' for name in PARTS)}.\n")
            continue
        kind = kinds[0]
        if kind in shown:
            parts.append(f"The same as [{shown[kind]}](#{shown[kind]}).\n")
            continue
        shown[kind] = executable
        parts.append("| parameter | type | default | allowed | change | |\n|---|---|---|---|---|---|\n")
        parts.extend(parameter_row(field) for field in dataclasses.fields(kind))
    return "".join(parts)


def parameter_row(field: dataclasses.Field[Any]) -> str:
    """One line of the table of parameters."""
    limits = field.metadata
    names = {"str": "text", "int": "integer", "float": "number", "tuple[str, ...]": "texts"}
    kind = names.get(str(field.type), "numbers" if "tuple" in str(field.type) else str(field.type))
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    shown = yaml.safe_dump(default, default_flow_style=True, allow_unicode=True).splitlines()[0]
    low, high, choices, length = (limits[name] for name in ("low", "high", "choices", "length"))
    allowed = ", ".join(f"`{c}`" for c in choices)
    if low is not None and high is not None:
        allowed = f"{low:g} to {high:g}" if isinstance(low, float) else f"{low} to {high}"
    elif low is not None:
        allowed = f"at least {low:g}"
    if length:
        allowed = " or ".join(str(n) for n in length) + " elements" + (f", {allowed}" if allowed else "")
    change = "any time" if limits["dynamic"] else "start" if limits["read_only"] else "unconfigured"
    text = limits["text"] + (f" (formerly `{limits['renamed_from']}`)" if limits["renamed_from"] else "")
    return f"| `{field.name}` | {kind} | `{shown}` | {allowed} | {change} | {text} |\n"


def about_module(executable: str) -> str:
    """Description of an executable, from the first line of its module."""
    text = (sys.modules[modules()[executable]].__doc__ or "").strip().splitlines()[0]
    text = text.partition(": ")[2] or text
    return text[:1].upper() + text[1:]


def pages(names: Sequence[str] | None = None) -> dict[str, str]:
    """Both pages by name."""
    found = {executable: with_variants(executable) for executable in (names or executables())}
    return {"topics": topics_page(found), "parameters": parameters_page(found)}


def usual_allocation() -> None:
    """Give freed blocks back: Fast DDS clears its pools when it gets one again, for seconds at every new node."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(option, 128 * 1024)


def main(arguments: Iterable[str]) -> int:
    """Write the pages, or with --check compare them; the exit status."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
    usual_allocation()
    made, check, status = pages(), "--check" in arguments, 0
    for name, text in made.items():
        path = PAGES[name]
        before = path.read_text() if path.exists() else ""
        if not check:
            path.write_text(text)
        elif text != before:
            status = 1
            difference = difflib.unified_diff(
                before.splitlines(), text.splitlines(), str(path.name), "the code says", lineterm="", n=0
            )
            print("\n".join(difference), f"\n{path.name} differs from the code: run make docs")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
