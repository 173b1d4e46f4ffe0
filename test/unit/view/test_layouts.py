"""RViz and Foxglove show topics that exist, with displays that exist, for any number of UAVs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsdfm_ros.nodes.core import qos, topics
from rsdfm_ros.view.foxglove import foxglove_layout
from rsdfm_ros.view.rviz import rviz_config

FOUR = ("uav1", "uav2", "uav3", "uav4")
#: Classes and the properties of them that are set here, as in rviz_default_plugins and rviz_common (Kilted).
_DISPLAY = {"Class", "Name", "Enabled", "Value"}
_STREAM = _DISPLAY | {"Topic"}
PROPERTIES = {
    "rviz_common/Group": _DISPLAY | {"Displays"},
    "rviz_default_plugins/Grid": _DISPLAY
    | {"Plane", "Plane Cell Count", "Cell Size", "Reference Frame", "Color", "Alpha"},
    "rviz_default_plugins/TF": _DISPLAY
    | {"Show Names", "Show Axes", "Show Arrows", "Marker Scale", "Frame Timeout"},
    "rviz_default_plugins/Image": _STREAM | {"Normalize Range"},
    "rviz_default_plugins/Map": _STREAM | {"Update Topic", "Alpha", "Color Scheme", "Draw Behind"},
    "rviz_default_plugins/MarkerArray": _STREAM | {"Namespaces"},
    "rviz_default_plugins/Path": _STREAM | {"Color", "Line Style", "Buffer Length"},
}
TOOLS = {"Interact", "MoveCamera", "Select", "FocusCamera", "Measure"}
#: What RViz subscribes to by itself, beside what it is told to.
IMPLIED = {"occupancy_updates"}
FOXGLOVE_PANELS = {"3D", "Image", "Plot", "DiagnosticSummary"}


def agents(count: int) -> list[str]:
    return [f"uav{n + 1}" for n in range(count)]


def displays(content: Any) -> Iterator[dict[str, Any]]:
    for display in content:
        yield display
        yield from displays(display.get("Displays", []))


def of_rviz(count: int) -> list[dict[str, Any]]:
    return list(displays(yaml.safe_load(rviz_config(agents(count)))["Visualization Manager"]["Displays"]))


def relative(topic: str, names: list[str]) -> str:
    _, agent, name = topic.split("/", 2)
    assert agent in names
    return name


@pytest.mark.parametrize(
    ("path", "made"),
    [("config/rviz/fleet.rviz", rviz_config(FOUR)), ("config/foxglove/fleet.json", foxglove_layout(FOUR))],
)
def test_the_committed_file_is_what_the_code_makes(root: Path, path: str, made: str) -> None:
    assert (root / path).read_text() == made, f"remake {path}: ./rsdfm view --uavs 4 --rviz … --foxglove …"


@pytest.mark.parametrize("count", [1, 4, 16])
def test_rviz_gets_displays_that_exist_with_properties_that_exist(count: int) -> None:
    shown = of_rviz(count)
    for display in shown:
        assert set(display) <= PROPERTIES[display["Class"]], display
    groups = [d for d in shown if d["Class"] == "rviz_common/Group"]
    assert [g["Name"] for g in groups] == agents(count)
    manager = yaml.safe_load(rviz_config(agents(count)))["Visualization Manager"]
    assert {t["Class"] for t in manager["Tools"]} <= {f"rviz_default_plugins/{t}" for t in TOOLS}
    assert manager["Global Options"]["Fixed Frame"] == "map"


@pytest.mark.parametrize("count", [1, 4, 16])
def test_rviz_asks_for_topics_that_are_published_with_a_qos_that_fits(count: int) -> None:
    names, found = agents(count), set()
    for display in of_rviz(count):
        for key in ("Topic", "Update Topic"):
            topic = display.get(key)
            if topic is None:
                continue
            name = relative(topic["Value"], names)
            found.add(name)
            assert name in topics.TOPICS or name in IMPLIED, name
            latched = name == "occupancy"
            assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile"), name
            offered = qos.sensor("best_effort") if name.startswith("camera/") else qos.outputs()
            if topic["Reliability Policy"] == "Reliable":
                assert offered.reliability == qos.ReliabilityPolicy.RELIABLE, name
    assert {"camera/image_raw", "instance_mask", "occupancy", "markers", "paths", "path"} <= found


@pytest.mark.parametrize("count", [1, 4, 16])
def test_foxglove_shows_topics_that_are_published_in_panels_that_exist(count: int) -> None:
    layout, names = json.loads(foxglove_layout(agents(count))), agents(count)
    panels = layout["configById"]
    assert {identity.partition("!")[0] for identity in panels} == FOXGLOVE_PANELS
    used = list(panels["3D!map"]["topics"])
    for config in panels.values():
        used += [v for k, v in config.get("imageMode", {}).items() if k in ("imageTopic", "calibrationTopic")]
        used += [line["value"].partition(".")[0] for line in config.get("paths", [])]
    assert all(relative(topic, names) in topics.TOPICS for topic in used)

    def leaves(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
            yield from leaves(node["first"])
            yield from leaves(node["second"])

    assert sorted(leaves(layout["layout"])) == sorted(panels)


def test_what_foxglove_plots_are_fields_of_the_status() -> None:
    from rsdfm_ros.msg import AgentStatus

    panels = json.loads(foxglove_layout(FOUR))["configById"]
    fields = AgentStatus.get_fields_and_field_types()
    values = [line["value"] for panel in panels.values() for line in panel.get("paths", [])]
    assert len(values) == 8 and all(v.partition(".")[2] in fields for v in values)


def test_the_fixed_frame_is_what_the_fleet_is_told() -> None:
    assert "Fixed Frame: world" in rviz_config(["a"], frame_id="world")
    assert json.loads(foxglove_layout(["a"], frame_id="world"))["configById"]["3D!map"]["followTf"] == "world"
