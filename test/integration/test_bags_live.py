"""Bags and live nodes: what flew online is the same offline, and again when the bag is played."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.evaluation.bags.answers import EngineOptions
from rsdfm_ros.evaluation.bags.evaluate import evaluate_bag, load_perception
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import ReplayDescription
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.replay import replay_fleet
from support.fleets import left_behind, small_fleet, wait_until
from support.own_domains import new_domain
from support.places import ROOT

FRAMES = 4
BUDGET = 6000


@pytest.fixture(scope="module")
def flown(
    tmp_path_factory: pytest.TempPathFactory, model: Path
) -> tuple[Path, FleetDescription, dict[str, Any]]:
    """A mission of two simulated UAVs: folder with the bag, the fleet, and what the online evaluator wrote."""
    out = tmp_path_factory.mktemp("flown")
    fleet = small_fleet(model, new_domain(), FRAMES)
    result = run_fleet(fleet, out_dir=out)
    assert result.result is not None
    return out, fleet, result.result


def offline(bag_folder: Path, model: Path, *, recorded: bool = False) -> dict[str, Any]:
    options = EngineOptions(budget_bytes=BUDGET, recorded_features=recorded)
    with open_bag(bag_folder) as bag:
        return evaluate_bag(bag, default_map(), load_perception(str(model)), options)


def rows_of(result: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    return {row.pop("method"): row for row in (dict(r) for r in result["results"])}


def test_offline_figures_equal_those_of_the_flight(flown: Any, model: Path) -> None:
    folder, _, online = flown
    for recorded in (False, True):
        again = offline(folder / "bag", model, recorded=recorded)
        assert again["damage"] == [] and again["left_out"] == [] and again["packets_refused"] == {}
        assert again["protocol"]["instants"] == FRAMES and again["protocol"]["instants_judged"] == FRAMES - 2
        there, here = rows_of(online), rows_of(again)
        assert set(here) == {"single", "rsdfm"}
        for method, row in there.items():
            assert here[method] == pytest.approx(row, rel=1e-12, abs=1e-12), (method, recorded)
        assert there["rsdfm"]["bytes_per_frame"] == here["rsdfm"]["bytes_per_frame"]


def test_every_recorded_answer_equals_the_offline_one(flown: Any, model: Path) -> None:
    folder, _, _ = flown
    compare_answers(folder / "bag", model)


def test_a_played_bag_gives_the_answers_of_the_flight(
    flown: Any, model: Path, tmp_path: Path, domain: int
) -> None:
    folder, fleet, online = flown
    replay = ReplayDescription(bag=str(folder / "bag"))
    played, notes = replay_fleet(small_fleet(model, domain, FRAMES), replay)
    assert notes == [] and played.agents == fleet.agents
    result = run_fleet(played, out_dir=tmp_path / "out")
    assert result.result is not None
    there, here = rows_of(online), rows_of(result.result)
    for method, row in there.items():
        assert here[method] == pytest.approx(row, rel=1e-12, abs=1e-12), method
    compare_answers(tmp_path / "out" / "bag", model)


def test_a_uav_alone_gives_its_answers_of_the_flight_with_the_recorded_packets_of_the_others(
    flown: Any, model: Path, tmp_path: Path, domain: int
) -> None:
    folder, _, online = flown
    replay = ReplayDescription(bag=str(folder / "bag"))
    played, notes = replay_fleet(small_fleet(model, domain, FRAMES), replay, uavs=["uav1"])
    assert notes == [] and played.agents == ("uav1",)
    result = run_fleet(played, out_dir=tmp_path / "out").result
    assert result is not None and list(result["agents"]) == ["uav1"]
    there, here = online["agents"]["uav1"], result["agents"]["uav1"]
    assert here["peers_fused_min"] == 1 and here["packets_rejected"] == 0
    assert here["images"] == here["images_answered"] == FRAMES
    for variant in ("collaborative", "single"):
        assert here[variant] == pytest.approx(there[variant], rel=1e-12, abs=1e-12)


def compare_answers(bag_folder: Path, model: Path) -> None:
    """Masks and boxes in the bag, bit by bit, with those computed from its images."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from rsdfm_ros.data.bags.sensors import Sensors
    from rsdfm_ros.data.messages.stamps import stamp_ns
    from rsdfm_ros.data.messages.tasks import boxes_from_message, masks_from_message
    from rsdfm_ros.evaluation.bags.engine import Engine

    perception = load_perception(str(model))
    with open_bag(bag_folder) as bag, ThreadPoolExecutor(2) as pool:
        published: dict[tuple[str, int], Any] = {}
        for message in bag.messages():
            if message.topic.endswith(("instance_mask", "detections")):
                content = bag.decode(message)
                published[message.topic, stamp_ns(content.header.stamp)] = content
        sensors = Sensors(bag, default_map())
        engine = Engine(perception, sensors, EngineOptions(budget_bytes=BUDGET), pool)
        compared = 0
        for instant in sensors.instants():
            for answer in engine.step(instant) if instant.images else ():
                for variant, prefix in (("collaborative", ""), ("single", "single/")):
                    here = f"/{answer.uav}/{prefix}"
                    mask = published[f"{here}instance_mask", instant.stamp_ns]
                    boxes = boxes_from_message(published[f"{here}detections", instant.stamp_ns])
                    ours = answer.answers[variant]
                    window = perception.output_window
                    assert np.array_equal(masks_from_message(mask, window)[0], ours.mask)
                    assert ours.boxes is not None and np.array_equal(boxes.scores, ours.boxes.scores)
                    assert np.array_equal(boxes.centres, ours.boxes.centres)
                    assert np.array_equal(boxes.yaws, ours.boxes.yaws)
                    assert np.array_equal(boxes.ids, ours.boxes.ids)
                    compared += 1
        assert compared == FRAMES * 2 * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_recorder_leaves_a_readable_bag(
    flown: Any, model: Path, tmp_path: Path, domain: int, number: signal.Signals
) -> None:
    from rsdfm_ros.fleet.specification import NodeSpec

    folder, _, _ = flown
    environment = {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    parameters = {"bag": str(folder / "bag"), "lockstep": False, "real_time_factor": 4.0, "loops": 1000}
    player = NodeSpec(
        "player", "world", "replay_node", "", {**parameters, "ready_timeout_s": 0.5}, environment
    )
    out = tmp_path / "bag"
    wanted = {"/uav1/camera/image_raw", "/uav2/camera/image_raw", "/uav1/pose", "/clock"}
    command = [
        sys.executable,
        "-m",
        "rsdfm_ros.cli",
        "bag",
        "record",
        "--out",
        str(out),
        "--domain",
        str(domain),
    ]
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(player)
        process = subprocess.Popen(
            command,
            env={**os.environ, "RSDFM_MARK": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(lambda: wanted <= recorded(out), "something of every topic is in the bag")
        finally:
            process.send_signal(number)
            printed, _ = process.communicate(timeout=60)
    wait_until(lambda: left_behind(str(tmp_path)) == [], "everything has ended", 10)
    assert "Traceback" not in printed
    with open_bag(out) as bag:
        assert wanted <= {message.topic for message in bag.messages()}, printed
        if number == signal.SIGINT:
            assert process.returncode == 0 and bag.damage == [], printed
        else:
            assert any("metadata.yaml: is missing" in d for d in bag.damage)


def recorded(folder: Path) -> set[str]:
    """Topics of which a bag that is still being written holds messages, as far as they survive a kill."""
    try:
        with open_bag(folder) as bag:
            return {message.topic for message in bag.messages()}
    except BagError:
        return set()


def test_the_commands_agree_with_the_functions(flown: Any, model: Path, tmp_path: Path) -> None:
    folder, _, _ = flown
    results = []
    for n in range(2):
        out = tmp_path / f"{n}.json"
        command = [sys.executable, "-m", "rsdfm_ros.cli", "bag", "evaluate", str(folder / "bag")]
        command += ["--model", str(model), "--budget-bytes", str(BUDGET), "--json", str(out)]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        results.append(json.loads(out.read_text()))
        assert results[-1].pop("provenance")["model"]["folder"] == str(model)
    assert results[0] == results[1]
    assert results[0] == json.loads(json.dumps(offline(folder / "bag", model)))
