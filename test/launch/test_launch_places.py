"""Output folder and ROS domain under the real launch: claimed until its end, refused in one sentence where another run
holds them. The same for `rsdfm fleet`: test/unit/fleet/test_folders.py."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

from rsdfm_ros.domains import locked, this_process
from support.bag_data import make_bag
from support.launched import TINY, launch, launching

FLEET = "fleet.launch.py"
DOMAIN = 101 + (os.getpid() + 25) % 100
WAIT_S = 90.0
RESULTS = {"bag", "frames", "result.json", "scene.json", "status.jsonl"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "ROS_LOG_DIR": str(tmp_path / "log"), "ROS_DOMAIN_ID": str(DOMAIN)}


def refused(environment: dict[str, str], file: str, *arguments: str) -> str:
    """The one sentence of a launch that starts nothing."""
    status, said = launch(environment, file, TINY, *arguments, timeout_s=120)
    assert status != 0 and "process started" not in said and "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if "[ERROR]" in line]
    return line


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.timeout(400)
def test_a_finished_mission_is_refused_untouched_and_replaced_with_force(
    environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def mission(*more: str) -> int:
        status, said = launch(environment, FLEET, TINY, "uavs:=1", "frames:=2", f"out:={out}", *more)
        assert status == 0 and {p.name for p in out.iterdir()} == RESULTS, said
        protocol = json.loads((out / "result.json").read_text())
        return int(protocol["provenance"]["seed"])

    assert mission("seed:=9001") == 9001
    before = content(out)
    assert f"out {out} holds finished results; force:=true replaces them" in refused(
        environment, FLEET, f"out:={out}"
    )
    assert content(out) == before
    assert mission("seed:=9002", "force:=true") == 9002


@pytest.mark.timeout(400)
def test_a_stopped_launch_ends_cleanly_and_lets_folder_and_domain_go(
    environment: dict[str, str], tmp_path: Path
) -> None:
    out, settings = tmp_path / "out", "uavs:=1"
    with launching(
        environment, FLEET, TINY, settings, "frames:=120", "sigterm_timeout_s:=60", f"out:={out}"
    ) as process:
        deadline_s = time.monotonic() + WAIT_S
        while not list(out.glob("frames/*.npz")):
            assert time.monotonic() < deadline_s and process.poll() is None, "waited in vain for a frame"
            time.sleep(0.1)
        sentence = refused(environment, FLEET, f"domain:={DOMAIN}")
        assert f"ROS domain {DOMAIN}" in sentence and "belongs to another fleet" in sentence
        assert sentence.endswith("end it, or choose another domain with domain:=")
        elsewhere = {**environment, "ROS_DOMAIN_ID": str(DOMAIN - 100)}
        assert "is writing there" in refused(elsewhere, FLEET, f"out:={out}")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and "Traceback" not in said and "process has died" not in said, said
    assert (
        not (out / ".lock").exists() and (out / ".under_way").exists()
    )  # not finished: the next one may write
    with locked(DOMAIN, this_process(None, [])):
        pass


def test_a_bag_that_is_missing_or_too_short_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", 2)
    sentence = refused(
        environment, "replay.launch.py", f"bag:={bag}", "start_s:=1000", f"out:={tmp_path}/out"
    )
    assert "no image lies in the chosen part (from 1000 s on)" in sentence
    assert "required argument 'bag'" in refused(environment, "replay.launch.py")
    assert not (tmp_path / "out").exists()
