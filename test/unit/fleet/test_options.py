"""Single UAVs of a fleet, the options of a start, and what they do to the processes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml

from rsdfm_ros.fleet import companions
from rsdfm_ros.fleet.commands import fleet as command
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.options import LISTS, SETTINGS, SWITCHES, choices, options_from, sentence
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.processes import command_of
from rsdfm_ros.fleet.specification import NodeSpec, node_specifications
from support.places import ROOT

TINY = f"random:{ROOT / 'test/support/tiny.yaml'}"


@pytest.fixture
def description(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    values = {
        "model": TINY,
        "members": [
            {"name": "alpha", "parameters": {"budget_bytes": 2000}, "topics": {"pose": "mavros/pose"}},
            {"remaps": {"detections": "objects"}, "extrinsics": [0, 0, 0, 0, 0, 0, 1]},
        ],
        "uav": {"remaps": {"pose": "odometry/pose"}},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def specs_of(description: Path, **texts: str | list[str]) -> dict[str, NodeSpec]:
    return {spec.name: spec for spec in node_specifications(options_from(texts).load(description))}


def test_single_uavs_have_names_parameters_topics_and_extrinsics_of_their_own(description: Path) -> None:
    specs = specs_of(description)
    assert list(specs) == ["evaluator", "alpha", "uav2", "sim"]
    alpha, second = specs["alpha"], specs["uav2"]
    assert alpha.namespace == "/alpha" and alpha.parameters["agent"] == "alpha"
    assert (alpha.parameters["budget_bytes"], second.parameters["budget_bytes"]) == (2000, 5000)
    assert alpha.remaps == {"pose": "mavros/pose"}
    assert second.remaps == {"pose": "odometry/pose", "detections": "objects"}
    assert "extrinsics" not in alpha.parameters and second.parameters["extrinsics"][-1] == 1.0
    assert specs["sim"].parameters["agents"] == specs["evaluator"].parameters["agents"] == ["alpha", "uav2"]


def test_world_and_evaluator_meet_renamed_topics_below_the_namespace_of_the_fleet(description: Path) -> None:
    specs = specs_of(description, namespace_prefix="/team")
    assert specs["alpha"].namespace == "/team/alpha" and specs["sim"].namespace == "/team"
    expected = {
        "/team/alpha/pose": "/team/alpha/mavros/pose",
        "/team/uav2/pose": "/team/uav2/odometry/pose",
        "/team/uav2/detections": "/team/uav2/objects",
    }
    assert specs["sim"].remaps == specs["evaluator"].remaps == expected


def test_options_win_over_the_file_for_all_uavs(description: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra file.yaml"
    extra.write_text("/**: {ros__parameters: {max_age_s: 0.5}}\n")
    specs = specs_of(
        description,
        uavs="3",
        composed="false",
        remap="detections:=found pose:=/ins/pose",
        params_file=[str(extra)],
        set="uav.threads=2 world.lockstep=false",
        log_level="warn",
    )
    uavs = {name: spec for name, spec in specs.items() if spec.role == "uav"}
    assert len(uavs) == 15 and "uav3.encoder_node" in uavs
    assert uavs["uav2.encoder_node"].remaps == {"pose": "/ins/pose", "detections": "found"}
    for spec in uavs.values():
        assert spec.params_files == (str(extra),) and spec.log_level == "warn"
        assert spec.parameters["threads"] == 2
        assert spec.parameters["features_reliability"] == "best_effort"  # no lockstep
        assert spec.parameters["image_reliability"] == "reliable"  # of a simulation


def test_a_process_gets_remaps_its_parameters_and_then_the_files(description: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.yaml"
    extra.write_text("/**: {ros__parameters: {max_age_s: 0.5}}\n")
    spec = specs_of(description, params_file=str(extra))["alpha"]
    words = command_of(spec, tmp_path)
    assert words[2:5] == ["rsdfm_ros.start", "uav_node", "--ros-args"]
    assert "__ns:=/alpha" in words and "pose:=mavros/pose" in words
    files = [words[n + 1] for n, word in enumerate(words) if word == "--params-file"]
    assert files == [str(tmp_path / "alpha.yaml"), str(extra)]
    assert words[-2:] == ["--log-level", "info"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"uavs": "many"}, "uavs: expected an integer, got 'many'"),
        ({"composed": "perhaps"}, "^composed: expected true or false"),
        ({"remap": "pose"}, "expected a remapping rule FROM:=TO"),
        ({"remap": "pose:=bad name"}, "bad|name"),
        ({"remap": "__node:=other"}, "remaps: expected names of topics"),
        ({"params_file": "no/such.yaml"}, "there is no file no/such.yaml"),
        ({"set": "uav.sped=3"}, "unknown setting uav.sped"),
        ({"set": "'"}, "set: "),
        ({"record": "maybe"}, "record: expected true or false"),
        ({"when_lost": "panic"}, "^when_lost: expected `auto` or `end`"),
        ({"namespace_prefix": "team"}, "namespaces such as /team"),
        ({"wind": "3"}, "there is no option 'wind'"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(description: Path, texts: dict, words: str) -> None:
    with pytest.raises(FleetDescriptionError, match=words):
        node_specifications(options_from(texts).load(description))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"members": [{"name": "a"}, {"name": "a"}]}, "members: expected names that differ, got 'a'"),
        ({"members": [{"name": "Alpha"}]}, r"members\[0\].name: expected lower-case"),
        ({"members": [{"extrinsics": [1, 2]}]}, r"members\[0\].extrinsics: expected 7 numbers"),
        ({"members": [{"topics": {"pose": "a b"}}]}, "pose: expected a topic"),
        ({"members": 3}, "members: expected a list"),
        ({"uav": {"parameters": {"x": [1, "a"]}}}, "uav.parameters.x: expected a list of"),
        ({"uav": {"extrinsics": [0, 0, 0, 0, 0, 0, float("nan")]}}, "a finite number"),
        ({"uavs": 9}, "uavs: expected 1 to 8, got 9"),
    ],
)
def test_a_wrong_member_is_named(values: dict, words: str) -> None:
    with pytest.raises(FleetDescriptionError, match=words):
        fleet_from_dict(values)


def test_more_uavs_fly_when_no_simulator_limits_them() -> None:
    assert len(fleet_from_dict({"uavs": 12, "world": {"kind": "none"}}).agents) == 12


def test_a_lost_uav_ends_a_lockstep_simulation_and_nothing_else() -> None:
    assert fleet_from_dict({}).when_lost == "end"
    assert fleet_from_dict({"world": {"lockstep": False}}).when_lost == "continue"
    assert fleet_from_dict({"world": {"kind": "none"}}).when_lost == "continue"
    assert fleet_from_dict({"processes": {"when_lost": "respawn"}}).when_lost == "respawn"


def test_the_command_line_has_every_option_with_its_sentence() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    offered = {action.dest: action.help for action in parser._actions}
    for name in (*SETTINGS, *LISTS, *SWITCHES):
        assert offered[name] == sentence(name) and offered[name]
    assert choices("composed") == ("true", "false") and "gazebo" in choices("world")


def test_recording_takes_ros2_bag_where_it_is_and_the_evaluator_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, options = (
        fleet_from_dict({"uavs": 2, "namespace_prefix": "/team"}),
        options_from({"record": "true"}),
    )
    monkeypatch.setattr(companions, "rosbag2_installed", lambda: False)
    changed, specs, notes = companions.companions(fleet, options, tmp_path)
    assert changed.evaluator.record_bag and specs == [] and "evaluator writes" in notes[0]
    monkeypatch.setattr(companions, "rosbag2_installed", lambda: True)
    changed, [recorder], notes = companions.companions(fleet, options, tmp_path)
    assert not changed.evaluator.record_bag and recorder.command[:3] == ("ros2", "bag", "record")
    pattern = recorder.command[recorder.command.index("--regex") + 1]
    assert re.search(pattern, "/team/uav2/bev/features") and re.search(pattern, "/clock")
    assert not re.search(pattern, "/team/uav3/pose") and not re.search(pattern, "/other/team/uav1/pose")
    monkeypatch.setattr(companions, "rosbag2_installed", lambda: False)
    real = fleet_from_dict(
        {"world": {"kind": "none"}, "evaluator": {"enabled": False}, "network": {"domain": 5}}
    )
    _, [recorder], _ = companions.companions(real, options, tmp_path)
    assert recorder.executable == "record_node" and recorder.environment["ROS_DOMAIN_ID"] == "5"
    assert (
        re.fullmatch(recorder.parameters["topics"], "/uav1/pose") and not recorder.parameters["use_sim_time"]
    )


def test_rviz_is_started_with_a_configuration_for_these_uavs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, options = fleet_from_dict({"members": [{"name": "alpha"}]}), options_from({"rviz": "true"})
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ros"))
    with pytest.raises(FleetDescriptionError, match="rviz2 is not installed"):
        companions.companions(fleet, options, tmp_path)
    program = tmp_path / "ros/lib/rviz2/rviz2"
    program.parent.mkdir(parents=True)
    program.write_text("")
    _, [rviz], _ = companions.companions(fleet, options, tmp_path)
    assert rviz.command[0] == str(program) and "/alpha/" in (tmp_path / "fleet.rviz").read_text()
    with pytest.raises(FleetDescriptionError, match="need a folder"):
        companions.companions(fleet, options, None)


def test_nav2_names_stand_for_our_options(description: Path) -> None:
    fleet = options_from({"use_composition": "False", "namespace": "team"}).load(description)
    assert not fleet.uav.composed and fleet.namespace_prefix == "/team"
    assert (
        options_from({"use_rviz": "True"}).rviz and not options_from({"use_rviz": "False", "rviz": ""}).rviz
    )
    assert options_from({"namespace": "/"}).load(description).namespace_prefix == ""
    agreeing = options_from({"use_composition": "True", "composed": "true"}).load(description)
    assert agreeing.uav.composed


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"use_composition": "True", "composed": "false"}, "Nav2's name of composed, and the two contradict"),
        ({"use_rviz": "perhaps"}, "rviz: expected true or false, got 'perhaps'"),
        ({"namespace": "Team 1"}, "namespaces such as /team"),
    ],
)
def test_nav2_names_that_contradict_or_mean_nothing_are_refused(
    description: Path, texts: dict, words: str
) -> None:
    with pytest.raises(FleetDescriptionError, match=words):
        node_specifications(options_from(texts).load(description))


def test_real_uavs_follow_a_clock_on_demand_and_simulated_ones_always(description: Path) -> None:
    real = specs_of(description, world="none", use_sim_time="True")
    assert real["alpha"].parameters["use_sim_time"] is True
    assert specs_of(description, world="none")["alpha"].parameters["use_sim_time"] is False
    assert specs_of(description, use_sim_time="false")["alpha"].parameters["use_sim_time"] is True
