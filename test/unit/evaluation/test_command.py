"""`rsdfm evaluate` and `rsdfm demo` as a person uses them, on a tiny dataset and an untrained model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from rich.console import Console

from rsdfm_ros.data.nuscenes import merge, write_scene
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation import scenes
from rsdfm_ros.evaluation.commands import evaluate as command
from rsdfm_ros.evaluation.commands import sweep as sweep_command
from rsdfm_ros.evaluation.report.table import COLUMNS, print_table
from rsdfm_ros.evaluation.scenes import LeakageError, open_scenes, refuse_training_data
from rsdfm_ros.evaluation.sweep import points_on
from rsdfm_ros.fleet.live_table import live_table, status_text
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.dataset.simulate import Simulated
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES
from support.evaluated import SEED, make_frame, save_tiny_model


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for n in range(2):
        write_scene(root, f"scene-{SEED + n:05d}", (make_frame(k, 2) for k in range(7 + n)), seed=SEED + n)
    merge(root)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), [0, 1, 9001])


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def _one_scene(model: Path, dataset: Path) -> tuple[str, ...]:
    return (*("--model", str(model), "--data", str(dataset)), *f"--seed {SEED} --scenes 1 --uavs 2".split())


def test_evaluate_prints_a_table_and_writes_protocol_and_results(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out.json"
    options = _one_scene(model, dataset)
    status = command.run(
        _arguments(*options, "--methods", "single,rsdfm", "--disturb", "loss=0.5", "--json", str(out))
    )
    assert status == 0
    content = json.loads(out.read_text())
    assert content["protocol"]["seeds"] == [SEED]
    assert content["protocol"]["budget_bytes"] == DEFAULT_BUDGET_BYTES
    assert content["protocol"]["disturbance"]["loss"] == 0.5
    told = content["provenance"]
    assert told["seed"] == SEED and told["model"]["folder"] == str(model)
    assert told["model"]["fingerprint"] == content["protocol"]["model_fingerprint"]
    assert len(told["model"]["weights_sha256"]) == 64 and told["machine"]["cores"] >= 1
    assert [row["method"] for row in content["results"]] == ["single", "rsdfm"]
    needed = {"iou_long", "iou_short", "vpq_long", "vpq_short", "map", "ap", "ade", "fde", "bytes_per_frame"}
    assert all(needed <= set(row) for row in content["results"])
    assert content["results"][1]["frames"] == 2  # one scored frame of two egos
    assert "rsdfm" in capsys.readouterr().out


def test_a_sweep_writes_its_points_and_a_plot_and_is_not_done_twice(
    dataset: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, plot = tmp_path / "sweep.json", tmp_path / "sweep.svg"
    options = _one_scene(model, dataset)
    sweeps = ("--sweep", "loss=0,0.5", "--sweep", "uavs=1,2", "--json", str(out), "--plot", str(plot))
    assert command.run(_arguments(*options, "--methods", "rsdfm", *sweeps)) == 0
    content = json.loads(out.read_text())
    assert len(content["points"]) == 3  # both axes share the undisturbed point
    loss = points_on(content, "loss")
    assert [v for v, _ in loss] == ["0", "0.5"] and set(loss[0][1]) == {"single", "rsdfm"}
    alone = dict(points_on(content, "uavs"))["1"]
    assert alone["rsdfm"]["gain_iou_long"] == 0.0  # nobody to collaborate with
    assert plot.read_text().startswith("<?xml") and "gains of the others" in capsys.readouterr().out
    monkeypatch.setattr(sweep_command, "evaluate_scenes", lambda *_: pytest.fail("evaluated again"))
    assert command.run(_arguments(*options, "--methods", "rsdfm", *sweeps)) == 0


def test_scenes_of_the_training_are_refused(dataset: Path, model: Path) -> None:
    options = ("--model", str(model), "--data", str(dataset), "--uavs", "2")
    with pytest.raises(LeakageError, match="9001"):
        command.run(_arguments(*options))
    refuse_training_data({}, [9000, None])


def test_calibrate_writes_thresholds(dataset: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "thresholds.json"
    options = _one_scene(model, dataset)
    assert command.run(_arguments(*options, "--calibrate", "--json", str(out))) == 0
    assert set(json.loads(out.read_text())["thresholds"]) == {"segmentation", "objects"}


@pytest.mark.parametrize(
    "words",
    [
        ("--methods", "single,magic"),
        ("--methods", ""),
        ("--egos", "5"),
        ("--budget-bytes", "0"),
        ("--disturb", "noise=1"),
        ("--sweep", "loss=0"),
        ("--sweep", "noise=1", "--json", "out.json"),
        ("--sweep", "loss=0", "--calibrate", "--json", "out.json"),
        ("--plot", "out.svg"),
        ("--model", "/nowhere"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(words: tuple[str, ...]) -> None:
    with pytest.raises(RsdfmError):
        command.run(_arguments(*words))


def test_scenes_are_found_by_seed_and_cut_to_length(dataset: Path) -> None:
    assert [s.number for s in open_scenes(dataset, 2)] == [SEED, SEED + 1]
    chosen = open_scenes(dataset, 1, first=SEED + 1, scenes=1, frames=7)
    assert [(s.number, s.frames) for s in chosen] == [(SEED + 1, 7)]
    assert len(chosen[0].load(0).views) == 1
    with pytest.raises(RsdfmError, match="--uavs"):
        open_scenes(dataset, 3)
    with pytest.raises(RsdfmError, match="7 frames"):
        open_scenes(dataset, 2, frames=6)


def test_simulated_scenes_are_made_once(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "CACHE", tmp_path)
    (tmp_path / f"eval-seed{SEED}-uavs2-frames7").symlink_to(dataset)
    calls: list[dict[str, object]] = []

    def simulate(config: SimConfig, out: Path, **asked: object) -> Simulated:
        calls.append(asked)
        return Simulated()

    monkeypatch.setattr(scenes, "simulate_dataset", simulate)
    folder = scenes.simulated(SEED, 2, 2, 7)
    assert folder.is_symlink() and not calls
    scenes.simulated(SEED, 3, 2, 7)
    assert [(c["scenes"], c["seed"], c["uavs"], c["frames"]) for c in calls] == [(3, SEED, 2, 7)]


def test_the_table_fits_80_columns_and_shows_a_dash_for_what_is_undefined() -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    row = {key: 0.5 for _, key, _ in COLUMNS} | {"bytes_per_frame": None}
    print_table([{"method": m, **row} for m in ("single", "late", "dense", "rsdfm")], console)
    text = console.export_text()
    assert "…" not in text and "0.500" in text and "–" in text


def test_the_live_table_shows_every_uav() -> None:
    facts = {
        "rate_hz": 2.0,
        "latency_median_ms": 5430.0,
        "processing_median_ms": 80.0,
        "peers": ["uav2"],
        "bytes_sent_frame": 17_900,
        "objects": 31,
    }
    facts |= {"bytes_received": 36_000, "frames_processed": 2, "iou_single": 0.5, "iou_collaborative": None}
    line = {"frame": 1, "stamp_s": 0.5, "agents": {"uav1": facts, "uav2": {"bytes_sent_frame": 0}}}
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(live_table(None, 60, 18_000, lockstep=True))
    console.print(live_table(line, 60, 18_000, lockstep=True))
    text = console.export_text()
    assert "frame 2 of 60" in text and "uav2" in text and "17.9" in text and "18.0" in text and "0.50" in text
    assert " 80 " in text and "5430" not in text and "latency" not in text and "lockstep" in text
    console.print(live_table(line, 60, 18_000, lockstep=False))
    text = console.export_text()
    assert " 80 " in text and "5430" in text and "latency" in text and "lockstep" not in text
    assert status_text(line, 60).startswith("frame 2/60  uav1 IoU 0.50 → –")
