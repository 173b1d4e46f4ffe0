"""Facts that a mission writes beside its figures: how it was flown, its world, its times, next steps."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.bags.answers import EngineOptions
from rsdfm_ros.evaluation.metrics.processing import KEPT_IMAGES, ProcessingTimes
from rsdfm_ros.evaluation.mission_about import about_of, with_about
from rsdfm_ros.evaluation.report.next_steps import steps_after_demo, steps_text, steps_with
from rsdfm_ros.evaluation.report.recording import Surroundings
from rsdfm_ros.evaluation.report.timing import timing_words
from rsdfm_ros.fleet.about import about_mission
from rsdfm_ros.fleet.commands import bag as bag_command
from rsdfm_ros.fleet.description.parts import UavDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict, load_fleet
from rsdfm_ros.fleet.outcome import print_outcome
from rsdfm_ros.fleet.specification import node_specifications
from rsdfm_ros.fleet.surroundings import surroundings_of, surroundings_of_seed, write_surroundings
from rsdfm_ros.sim.config import SimConfig, WorldConfig
from rsdfm_ros.sim.layout_map import layout_of_seed
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES, BudgetConfig
from rsdfm_ros.words import without_home
from support.places import ROOT


def test_a_mission_is_told_with_its_seed_and_whether_it_waited() -> None:
    about = about_mission(load_fleet(ROOT / "config/fleet/demo.yaml"))
    assert about["protocol"] == {
        "world": "simulation", "lockstep": True, "real_time_factor": None, "budget_bytes": 5000,
        "style": "block", "weather": "clear",
    }  # fmt: skip
    assert about["provenance"]["seed"] == 9000
    realtime = load_fleet(ROOT / "config/fleet/realtime.yaml")
    assert realtime.uavs == 4 and not realtime.uav.publish_single
    about = about_mission(realtime)
    assert about["protocol"]["lockstep"] is False and about["protocol"]["real_time_factor"] == 1.0
    assert about_mission(fleet_from_dict({"world": {"kind": "none"}}))["provenance"]["seed"] is None


def test_the_evaluator_gets_it_and_writes_it_with_the_fingerprint_of_the_packets() -> None:
    fleet = fleet_from_dict({"model": str(ROOT / "models/nano")})
    about = {"protocol": {"lockstep": True}, "provenance": {"model": {"folder": "m", "fingerprint": None}}}
    spec = node_specifications(fleet, "out", about)[0]
    told = about_of(spec.parameters["about"])
    result = with_about({"protocol": {"frames": 3}, "results": []}, told, 0xF00D)
    assert result["protocol"] == {"frames": 3, "lockstep": True} and result["results"] == []
    assert result["provenance"]["model"] == {"folder": "m", "fingerprint": "000000000000f00d"}
    assert with_about({"protocol": {}}, about_of("{}"), None) == {"protocol": {}, "provenance": {}}


@pytest.mark.parametrize("text", ["", "[]", '{"results": {}}', '{"protocol": 3}', "{"])
def test_other_words_about_a_mission_are_refused(text: str) -> None:
    with pytest.raises(RsdfmError, match="protocol and provenance"):
        about_of(text)


@pytest.mark.parametrize(
    "world",
    [
        WorldConfig(),
        WorldConfig(style="suburb"),
        WorldConfig(style="mixed", turn_deg=(-180, 180)),
        WorldConfig(style="industrial", turn_deg=(30, 30)),
    ],
    ids=str,
)
def test_surroundings_are_those_of_the_style_turned_as_the_world_is(world: WorldConfig) -> None:
    found = surroundings_of_seed(9003, SimConfig(world=world))
    layout = layout_of_seed(9003, world)
    assert found.roads and found.buildings and found.K is not None
    for name, polygons in (("road", found.roads), ("building", found.buildings)):
        centres = np.array([np.mean(p, axis=0) for p in polygons])
        centres = centres[np.abs(centres).max(axis=1) < 100.0]
        inside, _ = layout.at(centres, (name,))
        assert np.asarray(inside).all(), name


def test_cameras_of_different_fields_of_view_have_no_common_intrinsics() -> None:
    assert surroundings_of_seed(9000, SimConfig(fov_deg=(60, 90))).K is None


def test_every_fleet_over_a_known_world_leaves_its_surroundings(tmp_path: Path) -> None:
    simulated = fleet_from_dict({"world": {"seed": 9001}})
    run, other = tmp_path / "run", tmp_path / "other"
    (run / "bag").mkdir(parents=True)
    other.mkdir()
    write_surroundings(simulated, run)
    assert len(Surroundings.read(run).buildings) > 1
    gazebo = dataclasses.replace(simulated, world=dataclasses.replace(simulated.world, kind="gazebo"))
    assert surroundings_of(gazebo) is not None
    for bag in (run / "bag", run / "bag" / "bag_0.mcap"):
        replayed = fleet_from_dict({"world": {"kind": "replay"}, "replay": {"bag": str(bag)}})
        write_surroundings(replayed, other)
        assert Surroundings.read(other).roads == Surroundings.read(run).roads
    write_surroundings(fleet_from_dict({"world": {"kind": "none"}}), other)
    assert not (other / "scene.json").exists()


def test_an_image_is_timed_when_all_nodes_have_told_and_comparison_is_left_out() -> None:
    times = ProcessingTimes()
    assert times.figures("uav1") == {"processing_median_ms": None, "processing_p95_ms": None}
    for stamp in range(3):
        times.add("uav1", "encoder_node", stamp, {"decode": 1.0, "encode": 100.0 + stamp})
        times.add("uav1", "detection_head_node", stamp, {"detection": 10.0, "detection_single": 1e6})
    times.add("uav1", "encoder_node", 3, {"encode": 9000.0})  # its heads have not answered yet
    figures = times.figures("uav1")
    assert figures["processing_median_ms"] == 112.0
    assert 112.0 < (figures["processing_p95_ms"] or 0) <= 113.0
    for stamp in range(10, 10 + 2 * KEPT_IMAGES):
        times.add("uav1", "encoder_node", stamp, {"encode": 1.0})
        times.add("uav1", "detection_head_node", stamp, {"detection": 1.0})
    assert times.figures("uav1")["processing_median_ms"] == 2.0


def _result(lockstep: bool) -> dict:
    facts = {"processing_median_ms": 210.4, "processing_p95_ms": 300.0}
    facts |= {"latency_median_ms": 5430.0, "latency_p95_ms": 6000.0}
    return {
        "protocol": {"lockstep": lockstep, "agents": ["uav1", "uav2"], "frames_answered": 1},
        "provenance": {"machine": {"cores": 1}},
        "agents": {"uav1": facts, "uav2": {**facts, "processing_median_ms": 250.0}},
        "results": [{"method": "single", "iou_long": 0.5}, {"method": "rsdfm", "iou_long": 0.75}],
    }


def test_in_lockstep_times_are_those_of_computing_with_the_reason() -> None:
    words = timing_words(_result(True))
    assert "210 to 250 ms" in words and "2 UAVs" in words and "1 core" in words
    assert "5430" not in words and "says nothing about real time" in words
    words = timing_words(_result(False))
    assert "210 to 250 ms" in words and "5430 ms" in words and "lockstep" not in words
    assert timing_words({"agents": {}}) == ""


def test_the_outcome_is_the_table_of_evaluate_with_times_files_and_steps(tmp_path: Path) -> None:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_outcome(_result(True), console, [tmp_path / "result.json"], [("do it", "./rsdfm it")])
    text = console.export_text()
    assert "IoU ±50 m" in text and "0.750" in text and "iou_long" not in text
    assert "result.json" in text and "./rsdfm it" in text and "says nothing about" in text


def test_steps_are_offered_for_what_is_there(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    (run / "frames").mkdir(parents=True)
    assert steps_with(run) == []
    (run / "frames" / "000000.npz").write_bytes(b"")
    (run / "bag").mkdir()
    commands = [command for _, command in steps_with(run)]
    assert commands == [
        f"./rsdfm report '{run}'",
        f"./rsdfm view '{run}'",
        f"./rsdfm bag evaluate '{run}/bag'",
    ]
    again = [command for _, command in steps_after_demo(tmp_path / "run-9001", 9001)]
    assert f"./rsdfm demo --seed 9002 --out {tmp_path}/run-9002" in again
    steps = steps_after_demo(run, 9000)
    assert not any(" report " in command for _, command in steps)
    assert any("--seed 9001" in command for _, command in steps)
    assert steps_text(steps).count("./rsdfm ") == len(steps) == 4


def test_every_default_of_the_byte_budget_is_the_same() -> None:
    assert DEFAULT_BUDGET_BYTES == 5_000
    parser = argparse.ArgumentParser()
    bag_command.add_arguments(parser)
    assert parser.parse_args(["evaluate", "bag"]).budget_bytes == DEFAULT_BUDGET_BYTES
    assert UavDescription().budget_bytes == EngineOptions().budget_bytes == DEFAULT_BUDGET_BYTES
    assert BudgetConfig().target_bytes_per_frame == DEFAULT_BUDGET_BYTES
    for path in sorted((ROOT / "config" / "fleet").glob("*.yaml")):
        assert load_fleet(path).uav.budget_bytes == DEFAULT_BUDGET_BYTES, path
    about = about_mission(fleet_from_dict({}))
    assert json.loads(json.dumps(about))["protocol"]["budget_bytes"] == DEFAULT_BUDGET_BYTES


def test_steps_can_be_typed_in_any_folder(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run/frames").mkdir(parents=True)
    Path("run/frames/000000.npz").touch()
    page, view = (command for _, command in steps_with(Path("run")))
    assert page == f"{without_home(str(root))}/rsdfm report run"
    assert view == f"{without_home(str(root))}/rsdfm view run"
