"""`rsdfm fleet` as a whole: a mission with its simulator, and what happens when it is stopped or a process dies."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from rsdfm_ros.data.bags.message_sizes import typestore
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.make import make_report
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.model.perception import Perception
from support.fleets import left_behind, small_fleet, wait_until
from support.places import ROOT, TINY

GIVEN = ("uavs", "model", "world", "uav", "evaluator", "network")
DEMO = ROOT / "config" / "fleet" / "demo.yaml"


def test_a_mission_is_flown_judged_recorded_and_explained(tmp_path: Path, domain: int, model: Path) -> None:
    out, description = tmp_path / "out", tmp_path / "fleet.yaml"
    fleet = dataclasses.asdict(small_fleet(model, domain))
    description.write_text(json.dumps({key: fleet[key] for key in GIVEN}))  # JSON is YAML
    command = [sys.executable, "-m", "rsdfm_ros.cli", "fleet", str(description), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (out / "status.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert all(len(facts["peers"]) == 1 for line in lines for facts in line["agents"].values())
    result = json.loads((out / "result.json").read_text())
    assert result["protocol"]["frames_answered"] == 3
    rows = {row["method"]: row for row in result["results"]}
    assert rows["rsdfm"]["iou_short"] is not None and 1000 < rows["rsdfm"]["bytes_per_frame"] < 9000
    with np.load(out / "frames" / "000002.npz") as arrays:
        assert arrays["true_ids"].max() > 0 and arrays["uav2/collaborative/ids"].shape == (128, 128)
        assert bytes(arrays["uav1/image"][:2]) == b"\xff\xd8"
    with AnyReader([out / "bag"], default_typestore=typestore()) as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
        assert counts["/uav1/camera/image_raw"] == 3 and counts["/ground_truth"] == 7
        assert counts["/uav2/bev/features"] >= 3
    for facts in result["agents"].values():
        assert (facts["images"], facts["images_answered"], facts["images_not_answered"]) == (3, 3, 0)
        assert facts["rate_answered_hz"] > 0
        # The world publishes an instant before its images arrive, so that the UAV's own latency is a part of this.
        assert facts["latency_median_ms"] < facts["stamp_to_output_p50_ms"] <= facts["stamp_to_output_p95_ms"]
    assert "p95 ms" in done.stdout
    # What a person reads: the table of `rsdfm evaluate`, times without waiting, and what to try next.
    assert "IoU ±50 m" in done.stdout and "iou_long" not in done.stdout and "2 UAVs, model" in done.stdout
    assert "says nothing about real time" in " ".join(done.stdout.split())
    assert f"./rsdfm bag evaluate {out / 'bag'}" in done.stdout
    # Where the figures come from.
    told, agents = result["provenance"], result["agents"].values()
    assert told["command"] == f"rsdfm fleet {description} --out {out}" and told["seed"] == 9000
    assert told["model"]["fingerprint"] == f"{Perception.load(model).fingerprint:016x}"
    assert result["protocol"]["lockstep"] is True and result["protocol"]["budget_bytes"] == 6000
    assert all(0 < a["processing_median_ms"] <= a["processing_p95_ms"] for a in agents)
    # Its page: every UAV's maps, over roads and buildings.
    run = RunReader(out)
    assert run.surroundings.roads and run.surroundings.buildings
    (page,) = make_report(run, out, video=False)
    text = page.read_text()
    assert all(f"map of {agent} with 1 peer" in text for agent in ("uav1", "uav2"))
    assert told["model"]["fingerprint"] in text and "seed 9000" in text


def test_a_crashed_process_is_reported_with_its_last_lines(tmp_path: Path, domain: int, model: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.yaml").write_text((model / "manifest.yaml").read_text())
    (broken / "weights.safetensors").write_bytes(b"not the weights")
    with pytest.raises(
        RsdfmError, match=r"(?s)uav\d ended with status 2. Its last lines .*expected a safetensors file"
    ):
        run_fleet(small_fleet(broken, domain), out_dir=tmp_path / "out")
    assert left_behind(str(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_stopped_fleet_leaves_nothing_running(tmp_path: Path, domain: int, number: signal.Signals) -> None:
    mark = f"fleet-test-{uuid.uuid4()}"
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rsdfm_ros.cli", "fleet", str(DEMO), "--out", str(out)]
    command += [
        "--model",
        f"random:{TINY}",
        "--set",
        "uavs=2",
        "--set",
        f"network.domain={domain}",
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "RSDFM_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: len(left_behind(mark)) >= 5 or process.poll() is not None, "the processes run")
        assert process.poll() is None, process.communicate()[0]
        logs = out / "logs"
        wait_until(lambda: any(f.stat().st_size for f in logs.glob("uav*.log")), "a UAV says something")
    finally:
        process.send_signal(number)
        printed, _ = process.communicate(timeout=120)
    assert "Traceback" not in printed
    assert number == signal.SIGKILL or process.returncode in (130, 143), printed
    wait_until(lambda: left_behind(mark) == [], "everything has ended")
