"""`rsdfm fleet` as a whole: a mission with its simulator, and what happens when it is stopped or a process dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from harness import HERE
from rosbags.highlevel import AnyReader

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.bytes import typestore
from rsdfm_ros.fleet.description import FleetDescription, fleet_from_dict
from rsdfm_ros.fleet.mission import run_fleet

DEMO = HERE.parents[1] / "config" / "fleet" / "demo.yaml"


def small_fleet(model: Path, domain: int, frames: int = 3) -> FleetDescription:
    return fleet_from_dict(
        {
            "uavs": 2,
            "model": str(model),
            "world": {"frames": frames, "first_answer_timeout_s": 60.0, "answer_timeout_s": 30.0},
            "uav": {
                "budget_bytes": 6000,
                "peer_wait_s": 20.0,
                "liveliness_lease_s": 10.0,
                "publish_single": True,
                "publish_future": True,
            },
            "evaluator": {"record_frames": True, "record_bag": True},
            "network": {"domain": domain},
        }
    )


def test_a_mission_is_flown_judged_and_recorded(tmp_path: Path, domain: int, model: Path) -> None:
    lines: list[dict] = []
    result = run_fleet(small_fleet(model, domain), out_dir=tmp_path, on_status=lines.append)
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert all(len(facts["peers"]) == 1 for line in lines for facts in line["agents"].values())
    assert result.result is not None and result.result["protocol"]["frames_answered"] == 3
    rows = {row["method"]: row for row in result.result["results"]}
    assert rows["rsdfm"]["iou_short"] is not None and 1000 < rows["rsdfm"]["bytes_per_frame"] < 9000
    assert json.loads((tmp_path / "result.json").read_text()) == result.result
    with np.load(tmp_path / "frames" / "000002.npz") as arrays:
        assert arrays["true_ids"].max() > 0 and arrays["uav2/collaborative/ids"].shape == (128, 128)
        assert bytes(arrays["uav1/image"][:2]) == b"\xff\xd8"
    with AnyReader([tmp_path / "bag"], default_typestore=typestore()) as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
        assert counts["/uav1/camera/image_raw"] == 3 and counts["/ground_truth"] == 7
        assert counts["/uav2/bev/features"] >= 3


def test_a_crashed_process_is_reported_with_its_last_lines(tmp_path: Path, domain: int, model: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.yaml").write_text((model / "manifest.yaml").read_text())
    (broken / "weights.safetensors").write_bytes(b"not the weights")
    with pytest.raises(RsdfmError, match=r"(?s)uav\d ended with status 2. Its last lines .*hashes to"):
        run_fleet(small_fleet(broken, domain), out_dir=tmp_path / "out")
    assert left_behind(str(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_stopped_fleet_leaves_nothing_running(tmp_path: Path, domain: int, number: signal.Signals) -> None:
    mark = f"fleet-test-{uuid.uuid4()}"
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rsdfm_ros.cli", "fleet", str(DEMO), "--out", str(out)]
    command += [
        "--model",
        f"random:{HERE / 'tiny.yaml'}",
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
        wait_until(lambda: len(left_behind(mark)) >= 5, "the fleet's processes run")
        logs = out / "logs"
        wait_until(lambda: any(f.stat().st_size for f in logs.glob("uav*.log")), "a UAV says something")
    finally:
        process.send_signal(number)
        printed, _ = process.communicate(timeout=120)
    assert "Traceback" not in printed
    assert number == signal.SIGKILL or process.returncode in (130, 143), printed
    wait_until(lambda: left_behind(mark) == [], "everything has ended")


def wait_until(condition, what: str, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.05)


def left_behind(mark: str) -> list[str]:
    """Command lines of living processes, except this one, whose environment or command line contains `mark`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) == os.getpid() or "State:\tZ" in (folder / "status").read_text():
                continue
            command = (folder / "cmdline").read_bytes()
            if mark.encode() in command + (folder / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        except (OSError, PermissionError):
            continue
    return found
