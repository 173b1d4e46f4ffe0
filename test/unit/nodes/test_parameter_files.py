"""config/nodes/ is what the code says and starts nodes with their defaults; aggregator.yaml knows every status."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
import rclpy
from rclpy.context import Context

from rsdfm_ros.nodes.mission.record_node import RecordNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.own_domains import new_domain
from support.places import ROOT
from support.ros_world import MODEL, RosWorld

FOLDER = ROOT / "config" / "nodes"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that writes the files."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import parameter_files

    return parameter_files


def started_with(file: Path, *more: str) -> Any:
    """A context as `--params-file` gives it to the nodes of a process."""
    context = Context()
    arguments = ["--ros-args", "--params-file", str(file), *more]
    rclpy.init(args=arguments, context=context, domain_id=new_domain())
    return context


def test_the_files_are_what_the_code_says(made: Any) -> None:
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert there == made.files(), "run make docs"
    assert len(there) > 10


def test_a_uav_that_starts_with_its_file_has_its_defaults() -> None:
    context = started_with(FOLDER / "uav_node.yaml")
    uav = Uav(context=context, namespace="/uav1")
    try:
        for node in uav.nodes:
            assert node.settings == type(node.settings)() and not node.last_error
    finally:
        for node in uav.nodes:
            node.destroy_node()
        rclpy.shutdown(context=context)


def test_a_changed_line_of_a_file_reaches_its_node_in_any_namespace(tmp_path: Path) -> None:
    text = (FOLDER / "record_node.yaml").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("frame_id: map", "frame_id: field"))
    context = started_with(file)
    node = RecordNode(context=context, namespace="/team/a")
    try:
        assert node.settings == dataclasses.replace(type(node.settings)(), frame_id="field")
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_the_aggregator_has_a_place_for_every_status(world: RosWorld) -> None:
    groups = yaml.safe_load((ROOT / "config/diagnostics/aggregator.yaml").read_text())["analyzers"][
        "ros__parameters"
    ]
    uavs, concerns = groups["uavs"]["analyzers"], groups["concerns"]["analyzers"]
    uav = Uav(**world.options(model=MODEL))
    world.add(*uav.nodes)
    seen = world.diagnostics()
    world.until(lambda: len(seen) >= 2 * len(uav.nodes), "all nodes report")
    names = [*seen, "/uav1/collaboration_node: peer uav2", "/fault_injector_node: link /uav1/bev/features"]
    for name in names:
        places = [n for n, a in concerns.items() if any(re.fullmatch(r, name) for r in a["regex"])]
        assert len(places) == 1, name
        if name.startswith("/uav1/"):
            assert [n for n, a in uavs.items() if name.startswith(tuple(a["startswith"]))] == ["uav1"]
