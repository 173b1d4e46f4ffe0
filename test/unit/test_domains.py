"""A ROS domain of its own for every fleet: taken, held, told to others, given back however a process ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros import domains
from rsdfm_ros.domains import DomainError, DomainHeld, holders, joined_domain, locked, this_process
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet import mission
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.domain import asked_domain, business, claim_domain
from rsdfm_ros.fleet.specification import EVALUATOR, WORLD, NodeSpec

pytest.importorskip("rclpy")

TINY = "random:test/support/tiny.yaml"
CLAIM = """
import sys
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.domain import claim_domain
fleet = fleet_from_dict({"uavs": 2})
print("ready", flush=True)
sys.stdin.readline()
with claim_domain(fleet, "results") as claim:
    print(claim.domain, flush=True)
    sys.stdin.readline()
"""
REFUSAL_LIMIT_S = 120


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of this test alone, also for the processes that it starts; no domain from outside."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    return folder


def rsdfm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rsdfm_ros.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=REFUSAL_LIMIT_S, check=False)


def test_two_fleets_that_start_at_once_get_two_domains_and_a_killed_one_gives_its_back() -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", CLAIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    try:
        assert [p.stdout.readline() for p in started] == ["ready\n"] * 2
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        taken = [int(p.stdout.readline()) for p in started]
        assert len(set(taken)) == 2 and set(taken) <= set(domains.CHOSEN)
        told = holders()
        assert {d: h.pid for d, h in told.items()} == dict(zip(taken, (p.pid for p in started), strict=True))
        assert told[taken[0]].uavs == ("uav1", "uav2") and told[taken[0]].out.endswith("/results")
        started[0].kill()
        assert started[0].wait(60) == -signal.SIGKILL
        assert set(holders()) == {taken[1]}
        with claim_domain(fleet_from_dict({}), None) as claim:
            assert claim.domain == taken[0] == claim.fleet.network.domain
            assert str(claim.domain) in claim.sentence
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert holders() == {}


def test_a_domain_whose_ports_are_in_use_is_not_taken() -> None:
    with claim_domain(fleet_from_dict({}), None) as claim:
        first = claim.domain
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 7400 + 250 * first + 10))
        assert domains.has_ports(first)
        with claim_domain(fleet_from_dict({}), None) as claim:
            assert claim.domain != first


@pytest.mark.parametrize(
    ("command", "option"), [("fleet", "--domain=45"), ("demo", "--set=network.domain=45")]
)
def test_a_domain_that_another_fleet_holds_is_refused_and_nothing_is_touched(
    tmp_path: Path, command: str, option: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("an earlier result")
    description = ["config/fleet/demo.yaml"] if command == "fleet" else []
    with locked(45, this_process("/results/of/another", ["uav1"])):
        done = rsdfm(command, *description, option, f"--out={out}", f"--set=model={TINY}")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ROS domain 45 (network.domain) belongs to another fleet: process ")
    assert done.stderr.count("\n") == 1 and f"process {os.getpid()} " in done.stderr
    assert "/results/of/another" in done.stderr and "get a free one" in done.stderr
    assert [p.name for p in out.iterdir()] == ["result.json"]
    assert (out / "result.json").read_text() == "an earlier result"


def test_a_transport_without_effect_is_refused_before_anything_starts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = rsdfm("fleet", "config/fleet/demo.yaml", "--set=network.transport=UDPv4", f"--out={out}")
    assert done.returncode == 2 and done.stdout == "" and not out.exists()
    assert done.stderr.startswith(
        "error: network.transport: 'UDPv4' would have no effect with network.discovery_"
    )
    assert done.stderr.count("\n") == 1


def test_what_asks_for_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_domain(fleet_from_dict({})) is None
    monkeypatch.setenv("ROS_DOMAIN_ID", "17")
    assert asked_domain(fleet_from_dict({})) == (17, "ROS_DOMAIN_ID")
    assert asked_domain(fleet_from_dict({"network": {"domain": 5}})) == (5, "network.domain")
    monkeypatch.setenv("ROS_DOMAIN_ID", "400")
    with pytest.raises(DomainError, match="ROS_DOMAIN_ID: expected 0 to 232, got '400'"):
        asked_domain(fleet_from_dict({}))


def test_the_world_of_others_may_be_there_already_our_own_may_not() -> None:
    own = business(fleet_from_dict({"uavs": 1, "namespace_prefix": "/team"}))
    assert own == {"topics": ["/clock", "/ground_truth"], "nodes": [], "below": ["/team/uav1"]}
    real = business(fleet_from_dict({"uavs": 1, "world": {"kind": "none"}}))
    assert real["below"] == [] and real["topics"] == ["/uav1/bev/features", "/uav1/status"]
    assert "/uav1/encoder_node" in real["nodes"]
    gazebo = business(fleet_from_dict({"uavs": 1, "world": {"kind": "gazebo"}}))
    assert "/clock" not in gazebo["topics"] and "/ground_truth" in gazebo["topics"]


def test_who_joins_finds_the_one_fleet_and_is_asked_among_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert joined_domain() == (None, "")
    with locked(44, this_process(tmp_path / "a", ["uav1"])):
        domain, sentence = joined_domain()
        assert domain == 44 and sentence.startswith("ROS domain 44: the fleet of process ")
        with locked(46, this_process(tmp_path / "b", ["uav1"])):
            done = rsdfm("bag", "record", "--out", str(tmp_path / "bag"))
            assert done.returncode == 2 and "2 fleets run here" in done.stderr
            assert "ROS_DOMAIN_ID=44" in done.stderr and "ROS_DOMAIN_ID=46" in done.stderr
            assert str(tmp_path / "b") in done.stderr
            monkeypatch.setenv("ROS_DOMAIN_ID", "3")
            assert joined_domain() == (None, "")


def test_a_live_view_joins_the_fleet_that_runs_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    from rsdfm_ros.view import command

    monkeypatch.setenv("ROS_DOMAIN_ID", "")
    args = argparse.Namespace(save=None, web=False, connect=None, map=None)
    ran: list[str] = []
    with locked(44, this_process(None, ["uav1"])):
        command._live(args, lambda program, arguments: ran.append(os.environ["ROS_DOMAIN_ID"]))
    assert ran == ["44"] and "ROS domain 44" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_file_that_is_none_is_refused_and_left_alone(own_folder: Path, tmp_path: Path, kind: str) -> None:
    folder, precious = own_folder / domains.FOLDER, tmp_path / "precious"
    folder.mkdir()
    precious.write_text("precious")
    path = folder / "7.json"
    {"link": lambda: path.symlink_to(precious), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    with (
        pytest.raises(DomainError, match=r"cannot lock ROS domain 7: .*TMPDIR"),
        locked(7, this_process(None, [])),
    ):
        pass
    assert precious.read_text() == "precious" and holders() == {}
    for domain in domains.CHOSEN[:3]:
        (folder / f"{domain}.json").symlink_to(precious)
    with claim_domain(fleet_from_dict({}), None) as claim:
        assert claim.domain in domains.CHOSEN[3:]


def test_a_folder_that_is_none_is_refused(own_folder: Path) -> None:
    (own_folder / domains.FOLDER).write_text("not a folder")
    with (
        pytest.raises(DomainError, match=r"cannot lock ROS domains in .*: not a folder: .*TMPDIR"),
        locked(7, this_process(None, [])),
    ):
        pass
    with pytest.raises(DomainError, match="not a folder"), claim_domain(fleet_from_dict({}), None):
        pass
    assert holders() == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 60_000, b'{"pid": "x"}', b"\xff\xfe", b"null"])
def test_a_lock_counts_whatever_its_file_says(own_folder: Path, content: bytes) -> None:
    with locked(7, this_process(None, [])):
        (own_folder / domains.FOLDER / "7.json").write_bytes(content)
        with pytest.raises(DomainHeld, match="belongs to another fleet"), locked(7, this_process(None, [])):
            pass
    with locked(7, this_process(None, ["uav1"])):
        assert holders()[7].uavs == ("uav1",)


def test_what_others_write_cannot_forge_lines(own_folder: Path) -> None:
    with locked(7, this_process(None, [])):
        path = own_folder / domains.FOLDER / "7.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "out": "a\nerror: \x1b[2Jb"}))
        assert holders()[7].out == "a?error: ?[2Jb"


class Ended:
    """A supervisor whose world has ended and whose evaluator ends after so many looks."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def status(self, name: str) -> int | None:
        if name == "world":
            return 0
        self._looks -= 1
        return 0 if self._looks < 0 else None


@pytest.mark.parametrize(("timeout_s", "late"), [(0.1, True), (600.0, False)])
def test_the_evaluator_is_given_the_time_that_it_may_wait_for_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float, late: bool
) -> None:
    monkeypatch.setattr(mission, "EVALUATOR_PATIENCE_S", 0.0)
    monkeypatch.setattr(mission, "POLL_S", 0.01)
    fleet = fleet_from_dict({"evaluator": {"end_timeout_s": timeout_s}})
    specs = [NodeSpec("world", WORLD, ""), NodeSpec("evaluator", EVALUATOR, "")]
    supervisor: Any = Ended(looks=60)
    watch = mission._Watch(fleet, supervisor, specs, mission.StatusTail(tmp_path / "s", None), None, tmp_path)
    if late:
        with pytest.raises(RsdfmError, match="wrote no result within 0 s"):
            watch.run()
    else:
        watch.run()
