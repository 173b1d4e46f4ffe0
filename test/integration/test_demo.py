"""`rsdfm demo` with all its processes: what Ctrl-C leaves, and the run after it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.evaluation.report.recording import RunReader
from support.fleets import left_behind, wait_until
from support.harness import TINY, WAIT_S


def test_ctrl_c_leaves_what_was_recorded_and_the_next_run_takes_the_folder(
    tmp_path: Path, domain: int
) -> None:
    description = {
        "uavs": 2,
        "model": f"random:{TINY}",
        "world": {"first_answer_timeout_s": 60.0, "answer_timeout_s": 30.0},
        "uav": {"budget_bytes": 6000, "peer_wait_s": 20.0, "liveliness_lease_s": 10.0},
        "evaluator": {"record_frames": True, "record_bag": True},
        "network": {"domain": domain},
    }
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(description))
    run = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "rsdfm_ros.cli",
        "demo",
        "--fleet",
        "fleet.yaml",
        "--out",
        "run",
        "--json",
    ]
    process = subprocess.Popen(
        [*command, "--frames", "120"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        status = run / "status.jsonl"
        wait_until(lambda: status.is_file() and status.stat().st_size > 0, "a frame is answered", WAIT_S)
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130 and "Traceback" not in error, error
    assert "every process was ended; what was written so far is in run\n" in error
    lines = [json.loads(line) for line in status.read_text().splitlines()]
    assert 0 < len(lines) < 120 and lines[0]["frame"] == 0
    with open_bag(run / "bag") as bag:
        assert bag.damage == [] and bag.topics["/ground_truth"].messages > 0
    assert left_behind(str(tmp_path)) == [] and not (run / ".lock").exists()

    done = subprocess.run(
        [*command, "--frames", "2"], cwd=tmp_path, capture_output=True, text=True, timeout=2 * WAIT_S
    )
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    assert {"run/report.html", "run/bev.mp4", "run/result.json", "run/bag"} <= set(files)
    assert all((tmp_path / f).exists() for f in files)
    assert RunReader(run).frames == [0, 1]
    assert {p.name for p in tmp_path.iterdir()} == {"fleet.yaml", "run"}
