"""`rsdfm evaluate` refuses before it simulates or computes anything; what is stopped says what stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rsdfm_ros import cli
from rsdfm_ros.data.nuscenes import merge, write_scene
from rsdfm_ros.evaluation import scenes, session
from support.evaluated import SEED, make_frame, save_tiny_model

LONG = 200
"""Frames of a scene whose evaluation takes much longer than any test waits."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), [3, 8001])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_scene(root, f"scene-{SEED:05d}", (make_frame(k, 2) for k in range(7)), seed=SEED)
    long = (replace(make_frame(k % 9, 2), index=k, stamp_ns=k * 500_000_000) for k in range(LONG))
    write_scene(root, f"scene-{SEED + 1:05d}", long, seed=SEED + 1)
    merge(root)
    return root


MISTAKES = [
    ("--json {file}/result.json", "--json .* cannot be used: .*file is a file"),
    ("--json {folder}", "--json .* is a folder: expected the name of a file"),
    ("--json /proc/rsdfm/result.json", "--json .* cannot be written"),
    ("--sweep loss=0 --json {folder}/s.json --plot {file}/a.svg", "--plot .* cannot be used"),
    ("--sweep loss=0 --json {folder}/s.json --plot a.doc", r"--plot a\.doc: expected a name that ends in"),
    ("--sweep loss=0", "--json FILE"),
    ("--plot a.svg", "--sweep"),
    ("--sweep loss=0 --mapping --json a.json", "--sweep and --mapping exclude"),
    ("--mapping --calibrate", "--mapping and --calibrate exclude"),
    ("--mapping --disturb loss=0.5", "--disturb does not go with --mapping"),
    ("--sweep loss=0,2 --json {folder}/s.json", "loss=2.* is out of range"),
    ("--sweep uavs=2,9 --json {folder}/s.json", "uavs=9.* is out of range: expected 1 to 8"),
    ("--sweep loss=0 --seed 3 --json {folder}/s.json", "trained on 1 of these scenes"),
    ("--frames 3", "--frames 3: expected at least 7"),
    ("--frames 100000", "--frames 100000 is out of range"),
    ("--scenes 0", "--scenes 0 is out of range"),
    ("--uavs 0", "--uavs 0 is out of range"),
    ("--uavs 9", "--uavs 9 is out of range: expected 1 to 8"),
    ("--egos 5", "--egos 5 is out of range: expected 1 to 4"),
    ("--seed -1", "--seed -1 is out of range"),
    ("--seed 3", "trained on 1 of these scenes .seeds 3"),
    ("--calibrate", "trained on 1 of these scenes .seeds 8001"),
    ("--mapping --seed 3", "trained on 1 of these scenes .seeds 3"),
    ("--budget-bytes 0", "--budget-bytes 0 is out of range"),
    ("--methods single,magic", "unknown method magic"),
    ("--disturb noise=1", "unknown disturbance"),
    ("--disturb loss=nan", "loss=nan is out of range"),
    ("--device cuda:77", "device 'cuda:77'"),
    ("--device tpu", "unknown device 'tpu'"),
    ("--plugin no_such_module", "cannot import no_such_module"),
    ("--style moon", "moon"),
    ("--model {folder}", "no model at"),
    ("--data {folder}", "{folder}"),
    ("--data {data} --size 64x48", "--size is for scenes simulated now"),
    ("--data {data} --uavs 3", "has 2 UAVs, --uavs asks for 3"),
    ("--data {data} --uavs 2 --seed 40 --scenes 2", "seeds 40 to 41: .* has scenes of seeds 9000, 9001"),
    ("--data {data} --mapping --uavs 2", "no depth: simulate with --depth"),
    ("--data {data} --uavs 2 --sweep uavs=1,4 --json {folder}/s.json", "has 2 UAVs, --uavs asks for 4"),
    ("--seeds-spread {folder}/none.json {file}", "none.json: expected results of"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_one_sentence_before_anything_is_simulated_or_computed(
    words: str,
    message: str,
    model: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"folder": tmp_path / "folder", "file": tmp_path / "file", "data": dataset}
    places["folder"].mkdir()
    places["file"].touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scenes, "simulate_dataset", lambda *_, **__: pytest.fail("simulated"))
    monkeypatch.setattr(session, "evaluate_cases", lambda *_: pytest.fail("evaluated"))
    argv = words.format(**places).split()
    known = [] if "--model" in argv else ["--model", str(model)]
    assert cli.main(["evaluate", *known, *argv]) == 2
    said = capsys.readouterr().err
    assert re.search(message.replace("{folder}", str(places["folder"])), said), said
    assert said.startswith("error: ") and len(said.strip().splitlines()) == 1
    assert not list(places["folder"].iterdir())


def test_a_seed_without_a_number_of_scenes_means_those_from_it_on(dataset: Path) -> None:
    assert [s.number for s in scenes.open_scenes(dataset, 2, first=SEED + 1)] == [SEED + 1]


def test_results_replace_earlier_ones_as_a_whole(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "result.json"
    out.write_text("earlier")
    argv = ["--model", str(model), "--data", str(dataset), "--uavs", "2", "--scenes", "1", "--json", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli.main(["evaluate", *argv, "--methods", "single"]) == 130
    assert out.read_text() == "earlier" and [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert cli.main(["evaluate", *argv, "--methods", "single"]) == 0
    assert json.loads(out.read_text())["results"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_evaluation_ends_long_before_its_scene_and_says_what_stays(
    model: Path, dataset: Path, tmp_path: Path, number: signal.Signals
) -> None:
    options = ["--model", str(model), "--data", str(dataset), "--uavs", "2", "--seed", str(SEED + 1)]
    out = tmp_path / "result.json"
    code = (
        "import sys, time\n"
        "from rsdfm_ros import cli\n"
        "from rsdfm_ros.evaluation import session\n"
        "one = session._one\n"
        "def slow(*args):\n"
        "    sys.stdout.write('frame\\n'); sys.stdout.flush()\n"
        "    time.sleep(0.2)\n"
        "    one(*args)\n"
        "session._one = slow\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "evaluate", *options, "--json", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "frame\n"
    start = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    # All jobs of the scene sleep for 200 × 2 egos × 4 methods × 0.2 s / 2 threads > 150 s.
    assert time.monotonic() - start < 60.0
    assert process.returncode == 130 and "Traceback" not in said, said
    assert "interrupted: no results were written" in said and not out.exists()
