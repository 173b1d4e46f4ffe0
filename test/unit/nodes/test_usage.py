"""`--help` of every executable names all its topics and parameters, and starts nothing."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

from support.places import ROOT

pytest.importorskip("rclpy")
from rsdfm_ros.nodes.core.topics import about
from rsdfm_ros.nodes.core.usage import COMMON, TOPICS_OF, asked_for, node_classes, settings_of, usage

EXECUTABLES = sorted(
    p.stem for p in (ROOT / "src/rsdfm_ros/nodes").rglob("*_node.py") if "\ndef main" in p.read_text()
)


def documented() -> dict[str, dict[str, set[str]]]:
    """Entries of docs/topics.md, which is generated from the running nodes, by executable."""
    found: dict[str, dict[str, set[str]]] = {}
    here: dict[str, set[str]] = {}
    for line in (ROOT / "docs/topics.md").read_text().splitlines():
        if line.startswith("## "):
            here = found.setdefault(line[3:].strip(), {"in": set(), "out": set()})
        elif (row := re.match(r"\| `([^`]+)` \| (in|out) \|", line)) and found:
            here[row[2]].add(row[1])
    return found


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_usage_names_every_parameter_with_type_default_and_when_it_may_change(executable: str) -> None:
    text = usage(executable)
    kinds = {settings_of(c) for c in node_classes(executable)}
    assert kinds and None not in kinds
    words = " ".join(text.split())
    for kind in kinds:
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            assert re.search(rf"^  {field.name}\b", text, re.MULTILINE), field.name
            assert " ".join(field.metadata["text"].split()) in words
    for word in ("default true", "dynamic", "changed while unconfigured", "changed never", "double"):
        assert word in words


def test_usage_names_the_parameters_that_a_head_has_of_its_own() -> None:
    assert re.search(r"^  ground_height_m\b", usage("detection_head_node"), re.MULTILINE)
    assert not re.search(r"^  ground_height_m\b", usage("trajectory_head_node"), re.MULTILINE)


@pytest.mark.parametrize("executable", sorted(TOPICS_OF))
def test_usage_lists_the_topics_that_the_running_node_has(executable: str) -> None:
    subscribed, published = map(set, TOPICS_OF[executable])
    docs = documented()[executable]
    # The pages about composed and optional things name a topic where it is made for the first time.
    extra = {"camera/image_raw/compressed", "<camera>/image_raw", "<camera>/camera_info", "/tf", "/tf_static"}
    extra |= {"single/detections_3d", "ground/height", "ground/range"}
    if executable == "uav_node":
        extra |= {"bev/features"}
    assert docs["out"] <= published and docs["in"] <= subscribed
    of_peers = {"bev/demand"}  # subscribed to once there is a peer
    assert published - docs["out"] <= extra
    assert subscribed - docs["in"] <= extra | of_peers | {"/ground_truth"}
    for name in (*subscribed, *published, *COMMON):
        assert about(name) and f"\n  {name}" in usage(executable)


def test_a_composed_node_tells_common_parameters_once() -> None:
    text = usage("uav_node")
    assert text.count("\n  latency_warn_s") == 1 and "parameters of all its nodes:" in text
    assert "parameters of detection_head_node, segmentation_head_node, trajectory_head_node:" in text


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], False),
        (["--help"], True),
        (["-h"], True),
        (["--ros-args", "-p", "x:=--help"], False),
        (["--ros-args", "--help"], False),
    ],
)
def test_help_is_asked_for_before_the_ros_arguments(arguments: list[str], asked: bool) -> None:
    assert asked_for(arguments) is asked


@pytest.mark.parametrize("module", ["rsdfm_ros.nodes.mission.sim_node", "rsdfm_ros.start"])
def test_help_ends_with_status_0_and_starts_nothing(module: str) -> None:
    command = [sys.executable, "-m", module]
    command += ["sim_node"] if module.endswith("start") else []
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert (
        done.stdout.startswith("usage: ros2 run rsdfm_ros sim_node") and "\n  real_time_factor" in done.stdout
    )
