"""`rsdfm train` refuses before it reads or writes; short runs are short; what is stopped keeps what is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from rsdfm_ros import cli
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, save_model
from rsdfm_ros.training import command, features, stages, temporal
from support.training_data import FlatWorld
from support.training_runs import SETTINGS

HEAD = {"head_samples": 50, "head_steps": 200, "head_batch": 2}
LONG = {**SETTINGS["training"], **HEAD, "temporal_steps": 400, "codec_steps": 300}  # type: ignore[dict-item]
FROZEN = "--head layout --freeze-trunk --init {model}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration, a model, a file and FlatWorld as its data set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**SETTINGS, "training": LONG}))
    torch.manual_seed(1)
    save_model(tmp_path / "donor", RSDFM(load_model_config(tmp_path / "tiny.yaml")), {})
    (tmp_path / "file").write_text("a file")
    return tmp_path


def train(words: str, place: Path) -> int:
    argv = words.format(model=place / "donor").split()
    usual = {"--config": "tiny.yaml", "--out": "out", "--data": "flat", "--threads": "1"}
    given = [w for option, value in usual.items() if option not in argv for w in (option, value)]
    return cli.main(["train", *given, *argv])


def rows(file: str) -> int:
    """Number of features in a file."""
    return len(json.loads(Path("out", file).read_text())["rows"])


MISTAKES = [
    ("--out file", "--out file cannot be used: file is a file"),
    ("--out file/below", "--out file/below cannot be used: file is a file"),
    ("--out /proc/rsdfm", "--out /proc/rsdfm cannot be written"),
    ("--steps 0", "--steps 0 is out of range"),
    ("--steps -1", "--steps -1 is out of range"),
    ("--minutes -1", "--minutes -1: expected minutes above 0"),
    ("--minutes nan", "--minutes nan: expected minutes above 0"),
    ("--temporal-minutes 0", "--temporal-minutes 0: expected"),
    ("--codec-minutes -3", "--codec-minutes -3: expected"),
    ("--threads 0", "--threads 0 is out of range"),
    ("--seed -1", "--seed -1 is out of range"),
    ("--device cuda:77", "device 'cuda:77'"),
    ("--device gpu", "unknown device 'gpu'"),
    ("--stages codec", "--init MODEL says which"),
    ("--stages trunk --init {model} --codec-minutes 3", "codec stage is not part of --stages trunk"),
    ("--freeze-trunk", "--freeze-trunk belongs to --head NAME"),
    ("--head rivers --freeze-trunk --init {model}", "registered are .*layout"),
    ("--head layout --init {model}", "--freeze-trunk"),
    (FROZEN + " --stages codec", "leave one of them out"),
    (FROZEN + " --temporal-minutes 3", "temporal stage is not part of --head layout"),
    ("--init nowhere", "no model at nowhere"),
    ("--config none.yaml", "--config none.yaml cannot be read .*such as config/model/nano.yaml"),
    ("--config fleet.yaml", "--config fleet.yaml looks like a fleet description"),
    ("--config list.yaml", "--config list.yaml holds no settings"),
    ("--config broken.yaml", "--config broken.yaml is no YAML"),
    ("--config training.yaml", "--config training.yaml: `training` is 5"),
    ("--config unknown.yaml", "--config unknown.yaml: unknown training settings"),
    ("--config rate.yaml", "--config rate.yaml: .*learning_rate"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_one_sentence_before_anything_is_written(
    words: str,
    message: str,
    place: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (place / "fleet.yaml").write_text((root / "config/fleet/demo.yaml").read_text())
    (place / "list.yaml").write_text("[1, 2]")
    (place / "broken.yaml").write_text("model: [")
    (place / "training.yaml").write_text("training: 5")
    (place / "unknown.yaml").write_text("model: {name: a}\ntraining: {stepps: 3}")
    (place / "rate.yaml").write_text("model: {name: a}\ntraining: {learning_rate: -1}")
    monkeypatch.setattr(command, "open_usable", lambda path: pytest.fail("read the data"))
    assert train(words, place) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.strip().splitlines()) == 1, said
    assert re.search(message, said), said
    assert not (place / "out").exists() and (place / "file").read_text() == "a file"


def test_few_steps_compute_few_features_and_end_with_a_model_that_says_so(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--steps 2", place) == 0
    said = capsys.readouterr()
    assert "trunk 2 of 6 steps, temporal 2 of 400 steps, codec 2 of 300 steps" in said.err
    taken = load_model("out/model")[1]["training"]["stages"]
    assert {name: stage["steps"] for name, stage in taken.items()} == {"trunk": 2, "temporal": 2, "codec": 2}
    assert 0 < rows("features.done") <= 2 * 2 * 3 < 24  # steps × batch × history, of 2 × 2 × 6 frames


def test_more_steps_extend_the_features_and_give_the_head_of_a_run_in_a_single_go(place: Path) -> None:
    assert train(FROZEN + " --steps 2", place) == 0
    assert rows("head_features.done") <= 4
    before = load_model("out/model")[0].state_dict()
    assert train(FROZEN + " --steps 6", place) == 0
    assert 4 < rows("head_features.done") <= 12
    samples = np.fromfile("out/head_features.f16", np.float16)
    assert train(FROZEN + " --steps 6 --out whole", place) == 0
    assert np.array_equal(samples, np.fromfile("whole/head_features.f16", np.float16))
    after = load_model("out/model")[0].state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)


def test_minutes_bound_features_and_every_stage(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of which every feature and every step takes a minute."""
    now = [0.0]

    def minute(original: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            now[0] += 60.0
            return original(*args)

        return timed

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(temporal, "fused_map", minute(features.fused_map))
    monkeypatch.setattr(stages, "descend", minute(stages.descend))
    assert train("--minutes 3", place) == 0
    taken = load_model("out/model")[1]["training"]["stages"]
    assert [stage["steps"] for stage in taken.values()] == [3, 3, 3]
    assert rows("features.done") <= 2 * 2 * 3  # two batches: the second began before the third minute
    assert train("--minutes 3 --codec-minutes 5 --out other", place) == 0
    assert load_model("other/model")[1]["training"]["stages"]["codec"]["steps"] == 5


def test_a_later_stage_starts_over_when_what_it_started_from_has_changed(place: Path) -> None:
    assert train("--steps 1", place) == 0
    assert train("--steps 2", place) == 0
    assert train("--steps 2 --out whole", place) == 0
    parts, whole = (load_model(f"{out}/model")[0].state_dict() for out in ("out", "whole"))
    assert whole.keys() == parts.keys()
    taken = load_model("out/model")[1]["training"]["stages"]
    assert [stage["steps"] for stage in taken.values()] == [2, 2, 2]
    # Without that, the codec's checkpoint would have brought back the whole model of the first run.
    trunk = torch.load("out/trunk.pt", weights_only=True)["module"]
    final = {k: v for k, v in parts.items() if k.startswith("encoder")}
    assert final and all(torch.equal(trunk[f"model.{k}"], v) for k, v in final.items())


def test_another_run_is_refused_untouched_and_replaced_as_a_whole_by_force(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}

    assert train("--steps 1", place) == 0
    first = load_model("out/model")[0].state_dict()
    before = content()
    for words, message in (
        ("--steps 1 --seed 7", "--out out holds another training run: training.seed 0 there, 7 asked"),
        (FROZEN, "--head none there, layout asked"),
        ("--steps 1 --init {model}", "--init none there, a model"),
        ("--steps 1 --out donor", "holds manifest.yaml, weights.safetensors and no training run"),
        ("--steps 1 --out . --force", "holds .* and no training run; choose another folder"),
    ):
        assert train(words, place) == 2
        said = capsys.readouterr().err
        assert re.search(message, said), said
        assert content() == before
    (place / "out" / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "descend", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert train("--steps 1 --seed 7 --force", place) == 130
    assert "the same command without --force goes on" in capsys.readouterr().err
    kept = load_model("out/model")[0].state_dict()
    assert all(torch.equal(kept[k], first[k]) for k in first)
    assert train("--steps 1 --seed 7 --force", place) == 0
    now, manifest, _ = load_model("out/model")
    assert manifest["training"]["settings"]["seed"] == 7
    assert any(not torch.equal(v, first[k]) for k, v in now.state_dict().items())
    assert (place / "out/notes.txt").read_text() == "mine" and not list((place / "out").glob(".*"))


def test_a_finished_run_is_left_as_it_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--steps 1", place) == 0
    manifest = place / "out/model/manifest.yaml"
    manifest.write_text(manifest.read_text().replace("detection: 0.05", "detection: 0.35"))
    assert train("--steps 1", place) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert load_model("out/model")[1]["thresholds"]["detection"] == 0.35


PROCESS = """
import sys, time
from support.training_data import FlatWorld
from rsdfm_ros import cli
from rsdfm_ros.training import command, {slow} as module
command.open_usable = lambda path: FlatWorld()
original = module.{function}
def slow(*args):
    print("began", flush=True)
    time.sleep(0.3)
    return original(*args)
module.{function} = slow
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "slow", "function", "message"),
    [
        (
            FROZEN,
            "features",
            "fused_map",
            r"of \d+ features are saved in out/head_features.f16; the same command",
        ),
        ("", "stages", "descend", r"step \d+ of stage trunk is saved in out/trunk.pt; the same command"),
    ],
    ids=["features", "trunk"],
)
def test_ctrl_c_ends_training_at_once_and_says_what_is_saved(
    words: str, slow: str, function: str, message: str, place: Path
) -> None:
    values = yaml.safe_load((place / "tiny.yaml").read_text())
    values["training"] |= {"head_samples": 1000, "head_steps": 5000, "steps": 5000}
    (place / "tiny.yaml").write_text(yaml.safe_dump(values))
    code = PROCESS.format(slow=slow, function=function)
    argv = ["--config", "tiny.yaml", "--out", "out", "--data", "flat", "--threads", "1"]
    argv += words.format(model=place / "donor").split()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "train", *argv],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    while "began" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()[1]
    process.stdout.readline()  # the second one: the first is done
    assert train(words, place) == 2  # a second run does not come in between
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert time.monotonic() - start < 60.0  # what was left to do takes five minutes at least
    assert process.returncode == 130 and "Traceback" not in said, said
    assert re.search(message, said), said
    if words:
        assert rows("head_features.done") >= 1
    else:
        assert (place / "out/trunk.pt").is_file()
    assert not (place / "out/.lock").exists()
