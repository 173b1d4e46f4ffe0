"""The commands that fly, as a person types them: a demo of the shipped model, its report, and its bag once more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WAIT_S = 900.0


def rsdfm(*words: str, cwd: Path, domain: int) -> str:
    """Standard output of `rsdfm WORDS`, after it has ended well."""
    done = subprocess.run(
        [sys.executable, "-m", "rsdfm_ros.cli", *words],
        cwd=cwd,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_demo_is_flown_shown_and_replayed_from_any_folder(tmp_path: Path, domain: int) -> None:
    flown = json.loads(
        rsdfm("demo", "--frames", "4", "--set", "uavs=2", "--json", cwd=tmp_path, domain=domain)
    )
    assert [row["method"] for row in flown["results"]] == ["single", "rsdfm"]
    assert all((tmp_path / name).exists() for name in flown["files"])
    made = rsdfm("report", "out/demo", "--out", "page", cwd=tmp_path, domain=domain).split()
    assert made == ["page/report.html", "page/bev.mp4"] and (tmp_path / "page/bev.mp4").stat().st_size
    info = json.loads(rsdfm("bag", "info", "out/demo/bag", "--json", cwd=tmp_path, domain=domain))
    assert info["ground_truth"]
    rsdfm("replay", "out/demo/bag", "--out", "replayed", cwd=tmp_path, domain=domain)
    again = json.loads((tmp_path / "replayed/result.json").read_text())
    assert again["protocol"]["agents"] == ["uav1", "uav2"]
