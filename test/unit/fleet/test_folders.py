"""demo, fleet, replay and bag record, as a person types them, and the folders that they write to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.bag_data import make_bag
from support.own_domains import new_domain
from support.places import ROOT, TEST, TINY

WAIT_S = 120.0


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working folder with descriptions of a judged fleet and of one in no world of ours."""
    shared = f"uavs: 1\nmodel: random:{TINY}\n"
    (tmp_path / "fleet.yaml").write_text(shared + "world: {frames: 3}\n")
    (tmp_path / "live.yaml").write_text(shared + "world: {kind: none}\nevaluator: {enabled: false}\n")
    return tmp_path


def started(here: Path, mode: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TEST / "support" / "stand_in.py"), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A recorder would join whatever fleet flies on this machine; one of real UAVs would take ROS' own default domain.
    domain = {"ROS_DOMAIN_ID": str(new_domain())} if words[0] == "bag" or "live.yaml" in words else {}
    environment = {**os.environ, "STAND_IN": mode, **domain}
    return subprocess.Popen(command, cwd=here, env=environment, text=True, **pipes)


def typed(here: Path, mode: str, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    process = started(here, mode, *words)
    out, error = process.communicate(timeout=WAIT_S)
    assert "Traceback" not in error, error
    return process.returncode, out, error


@contextlib.contextmanager
def waiting(here: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose mission is under way."""
    process = started(here, "waits", *words)
    try:
        until(lambda: (here / "running").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()
        (here / "running").unlink(missing_ok=True)


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_finished_run_is_refused_untouched_and_replaced_only_by_a_finished_one(here: Path) -> None:
    fleet = ("fleet", "fleet.yaml", "--out", "run")
    assert typed(here, "ends", *fleet)[0] == 0
    first = content(here / "run")
    assert "result.json" in first and "bag/metadata.yaml" in first and ".under_way" not in first
    status, _, error = typed(here, "ends", *fleet)
    assert status == 2 and error.count("\n") == 1 and "--force" in error and "run" in error
    assert content(here / "run") == first
    status, _, error = typed(here, "fails", *fleet, "--force")
    assert status == 2 and "run/unfinished/run/logs/evaluator.log" in error
    there = content(here / "run")
    assert {name: there[name] for name in first} == first and (here / "run/unfinished/run/logs").is_dir()
    assert typed(here, "ends", *fleet, "--force")[0] == 0
    second = content(here / "run")
    assert second.keys() == first.keys() and second["bag/bag_0.mcap"] != first["bag/bag_0.mcap"]


def test_a_second_run_into_a_folder_is_refused_while_the_first_goes_on(here: Path) -> None:
    words = ("fleet", "fleet.yaml", "--out", "run")
    with waiting(here, *words) as first:
        status, _, error = typed(here, "ends", *words, "--force")
        assert status == 2 and f"(process {first.pid}) is writing there" in error
        (here / "go").touch()
        _, error = first.communicate(timeout=WAIT_S)
        assert first.returncode == 0, error
    assert "result.json" in content(here / "run") and not (here / "run" / ".lock").exists()


def test_a_run_that_was_stopped_or_killed_does_not_block_the_next(here: Path) -> None:
    words = ("fleet", "fleet.yaml", "--out", "run")
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        with waiting(here, *words) as process:
            process.send_signal(number)
            _, error = process.communicate(timeout=WAIT_S)
        if number != signal.SIGKILL:
            assert process.returncode == 130 and "what was written so far is in run\n" in error
            assert "result.json" in content(here / "run")  # as evaluators do, of what they had seen
    assert typed(here, "fails", *words)[0] == 2 and (here / "run/bag").is_dir()
    assert typed(here, "ends", *words)[0] == 0
    first = content(here / "run")
    with waiting(here, *words, "--force") as process:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=WAIT_S)
    place = error.rpartition(" is in ")[2].strip()
    assert place == "run/unfinished/run" and (here / place / "logs").is_dir()
    assert {n: c for n, c in content(here / "run").items() if n in first} == first


def test_a_folder_that_nobody_named_keeps_the_earlier_run_beside(here: Path) -> None:
    for again in (False, True):
        status, _, error = typed(here, "ends", "fleet", "fleet.yaml", "--json")
        assert status == 0 and ("the earlier results of out/fleet are kept in out/fleet-" in error) == again
    (kept,) = (here / "out").glob("fleet-*")
    assert content(kept).keys() == content(here / "out/fleet").keys()
    words = ("demo", "--fleet", "fleet.yaml", "--out", "out/fleet", "--force", "--json")
    status, out, error = typed(here, "ends", *words)
    assert status == 0, error
    files = json.loads(out)["files"]
    assert set(files) == {"out/fleet/report.html", "out/fleet/result.json", "out/fleet/bag"}
    assert all((here / f).exists() for f in files)


def test_a_flight_of_real_uavs_is_a_finished_run_when_it_is_stopped(here: Path) -> None:
    words = ("fleet", "live.yaml", "--out", "run")

    def fly(*more: str) -> str:
        with waiting(here, *words, *more) as process:
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=WAIT_S)
        assert process.returncode == 130 and "the results of the whole mission are in run\n" in error
        return (here / "run/bag/bag_0.mcap").read_text()

    first = fly()
    status, _, error = typed(here, "ends", *words)
    assert status == 2 and "--force" in error and (here / "run/bag/bag_0.mcap").read_text() == first
    assert fly("--force") != first and not (here / "run/unfinished").exists()


def test_the_recording_of_a_flight_that_was_killed_is_kept_beside(here: Path) -> None:
    with waiting(here, "fleet", "live.yaml", "--out", "run") as process:
        process.kill()
        process.communicate(timeout=WAIT_S)
    shutil.rmtree(here / "run/bag")
    make_bag(here / "run/bag", 1)
    (here / "run/bag/metadata.yaml").unlink()
    before = content(here / "run/bag")
    status, _, error = typed(here, "ends", "fleet", "fleet.yaml", "--out", "run")
    (kept,) = here.glob("run-*")
    assert status == 0 and content(kept / "bag") == before and f"are kept in {kept.name}" in error


def test_a_failed_replay_does_not_block_the_next(here: Path) -> None:
    make_bag(here / "flight", 2)
    words = ("replay", "flight", "--fleet", "fleet.yaml", "--out", "run")
    assert typed(here, "fails", *words)[0] == 2 and (here / "run/bag").is_dir()
    assert typed(here, "ends", *words)[0] == 0
    assert typed(here, "ends", *words)[0] == 2


def test_a_recording_is_refused_untouched_and_replaced_only_by_a_whole_one(here: Path) -> None:
    words = ("bag", "record", "--out", "flight")
    assert typed(here, "ends", *words)[0] == 0
    first = content(here / "flight")
    assert set(first) == {"flight_0.mcap", "metadata.yaml"}
    assert typed(here, "ends", *words)[0] == 2 and content(here / "flight") == first
    status, _, error = typed(here, "fails", *words, "--force")
    assert status == 2 and "what was written so far is in flight/unfinished/flight" in error
    assert content(here / "flight").items() >= first.items()
    status, _, error = typed(here, "ends", *words, "--force")
    second = content(here / "flight")
    assert status == 0 and error == "the bag is now in flight\n"
    assert second.keys() == first.keys() and second["flight_0.mcap"] != first["flight_0.mcap"]


def test_what_a_killed_recorder_left_is_kept_beside(here: Path) -> None:
    make_bag(here / "flight", 1)
    (here / "flight/metadata.yaml").unlink()
    left = content(here / "flight")
    status, _, error = typed(here, "ends", "bag", "record", "--out", "flight")
    (kept,) = here.glob("flight-*")
    assert status == 0 and content(kept) == left and f"are kept in {kept.name}" in error
    assert set(content(here / "flight")) == {"flight_0.mcap", "metadata.yaml"}


FLEET, DEMO = ["fleet", "fleet.yaml"], ["demo", "--fleet", "fleet.yaml"]
REPLAY, RECORD = ["replay", "flight", "--fleet", "fleet.yaml"], ["bag", "record"]
WRONG = [
    *([*words, "--out", place, sentence] for words in (FLEET, DEMO, REPLAY, RECORD) for place, sentence in (
        ("fleet.yaml", "fleet.yaml is a file; expected a folder"),
        ("fleet.yaml/below", "fleet.yaml is a file; choose another place"),
        ("/proc/rsdfm/run", "cannot be written"),
        ("done", "--out done holds finished results; --force replaces them, another --out keeps both"),
    )),
    [*REPLAY, "--start", "100", "no image lies in the chosen part (from 100 s on): its last image is 0.500 s"],
    [*REPLAY, "--start", "0.6", "no image lies in the chosen part"],
    [*REPLAY, "--start", "0.1", "--duration", "0.1", "the next image is 0.500 s after its beginning"],
    [*REPLAY, "--start", "-1", "--start: expected 0 to 1e+09, got -1.0"],
    [*REPLAY, "--start", "nan", "--start: expected a finite number, got nan"],
    [*REPLAY, "--duration", "-1", "--duration: expected 0 to 1e+09, got -1.0"],
    [*REPLAY, "--loop", "0", "--loop: expected 1 to 1000000, got 0"],
    [*REPLAY, "--rate", "0", "rate: expected a number from 0.01 to 100, or `max`, got '0'"],
    [*REPLAY, "--map", "none.yaml", "none.yaml"],
    [*REPLAY, "--out", ".", "flight lies in ., where the run would write"],
    [*REPLAY, "--out", "flight", "flight lies in flight, where the run would write"],
    ["replay", "nowhere", "--fleet", "fleet.yaml", "nowhere: does not exist"],
    [*FLEET, "--set", "world.kind=replay", "--set", "replay.bag=nowhere", "nowhere: does not exist"],
    [*FLEET, "--set", "world.kind=replay", "--set", "replay.bag=flight", "--uavs", "3", "has no uav3"],
    [*FLEET, "--frames", "500", "frames: expected 1 to 120, got 500"],
    [*FLEET, "--set", "evaluator.recrod_bag=true", "unknown setting evaluator.recrod_bag"],
    [*FLEET, "--params-file", "none.yaml", "there is no file none.yaml"],
    ["fleet", "live.yaml", "--model", "nowhere", "no model at nowhere: cannot read manifest.yaml"],
    ["fleet", "live.yaml", "--model", "weightless", "has a manifest but no weights"],
    ["fleet", "live.yaml", "--model", f"random:{TINY}:x", "expected a number as seed"],
    ["fleet", "live.yaml", "--rviz", "rviz2 is not installed"],
    [*DEMO, "--frames", "0", "--frames: expected 1 to 120, got 0"],
    [*DEMO, "--model", "nowhere", "no model at nowhere: cannot read manifest.yaml"],
    [*RECORD, "--topics", "(", "--topics '(' is no regular expression"],
    [*RECORD, "--exclude", "[", "--exclude '[' is no regular expression"],
    [*RECORD, "--duration", "nan", "--duration: expected 0 to 1e+09, got nan"],
    [*RECORD, "--max-size", "-1", "--max-size: expected 0 to 1e+09, got -1"],
    [*RECORD, "--domain", "500", "--domain: expected 0 to 232"],
    [*RECORD, "--map", "none.yaml", "none.yaml"],
]  # fmt: skip
_ALL = """import contextlib, io, json, sys
from rsdfm_ros.cli import main
from rsdfm_ros.fleet import processes
def refuse(*_): raise AssertionError("a process was started")
processes.Supervisor.start = refuse
for words in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as error: status = main(words)
    print(json.dumps([status, error.getvalue()]))
"""


def test_wrong_arguments_are_refused_before_a_process_starts_or_a_folder_is_touched(here: Path) -> None:
    make_bag(here / "flight", 2)
    shutil.copytree(here / "flight", here / "done" / "bag")
    (here / "done" / "metadata.yaml").touch()
    (here / "weightless").mkdir()
    shutil.copy(ROOT / "models/nano/manifest.yaml", here / "weightless")
    before = content(here)
    commands = [c[:-1] if "--out" in c else [*c[:-1], "--out", "run"] for c in WRONG]
    given = json.dumps(commands)
    done = subprocess.run(
        [sys.executable, "-c", _ALL], input=given, cwd=here, capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for (*_, sentence), command, (status, error) in zip(WRONG, commands, answers, strict=True):
        assert status == 2 and sentence in error and error.count("\n") == 1, (command, error)
        assert error.startswith("error: "), (command, error)
    assert content(here) == before and not (here / "run").exists()


_LAUNCH = """import sys
from pathlib import Path
from rsdfm_ros.fleet.run_folder import held_run_folder
kind, end, force = sys.argv[1:]
folder = held_run_folder(Path("run"), force=force == "true", option="out", force_option="force:=true")
folder.begin(kind)
(folder.work / "bag").mkdir()
(folder.work / "bag" / "metadata.yaml").write_text(f"{kind} {end}")
if end == "whole": folder.end()
"""


def test_the_folder_of_a_launch_file_is_let_go_when_its_process_ends(here: Path) -> None:
    def launch(kind: str, end: str, force: str) -> str:
        command = [sys.executable, "-c", _LAUNCH, kind, end, force]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=WAIT_S)
        refused = "force:=true replaces them, another out keeps both" in done.stderr
        assert done.returncode == refused and ("Traceback" in done.stderr) == refused, done.stderr
        assert not (here / "run/.lock").exists()
        return "refused" if refused else (here / "run/bag/metadata.yaml").read_text()

    assert launch("simulation", "stopped", "false") == "simulation stopped"
    assert launch("simulation", "whole", "false") == "simulation whole"
    assert launch("simulation", "whole", "false") == "refused"
    assert launch("simulation", "stopped", "true") == "simulation whole"
    assert launch("none", "stopped", "true") == "none stopped"
    assert launch("simulation", "whole", "false") == "refused"
