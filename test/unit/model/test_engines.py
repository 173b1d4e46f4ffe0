"""Engines: OpenVINO gives what PyTorch gives, is converted once, and is chosen as asked."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.engine import openvino_runtime
from rsdfm_ros.model.engine.engines import make_runtime
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from support.tiny_model import CONFIG, K, view

CPU = torch.device("cpu")
TOLERANCE = {False: 1e-4, True: 0.03}
"""Largest error relative to the mean magnitude (root mean square), by whether the CPU multiplies bfloat16."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = RSDFM(CONFIG).train()
    for _ in range(3):  # statistics and weights of a network in use
        model.encoder(torch.randn(4, 3, CONFIG.image_height, CONFIG.image_width))
        shape = (2, CONFIG.channels, *CONFIG.window.shape)
        near, wide, memory = model.neck.look(
            torch.rand(shape), torch.ones(2, 1, *shape[2:], dtype=torch.bool)
        )
        model.neck.fine(model.neck.cells(near, wide, torch.cat([memory] * CONFIG.history, dim=1))[0])
    path = tmp_path_factory.mktemp("engines") / "model"
    return save_model(path, model.eval(), {"thresholds": {"detection": 0.005}})


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[Perception, Perception]:
    return Perception.load(folder, engine="torch"), Perception.load(folder, engine="openvino")


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.float(), b.float()
    return float((a - b).square().mean().sqrt() / b.square().mean().sqrt())


def test_every_part_agrees(both: tuple[Perception, Perception]) -> None:
    ours, theirs = (p.runtime for p in both)
    assert (ours.engine, theirs.engine) == ("torch", "openvino")
    tolerance = TOLERANCE[bool(ours.autocast["enabled"])]
    image = torch.from_numpy(view(1)[0])[None]
    with torch.inference_mode():
        for a, b in zip(theirs.encode(image), ours.encode(image), strict=True):
            assert a.shape == b.shape and error(a, b) < tolerance
        fused = torch.rand(1, CONFIG.channels, *CONFIG.window.shape)
        visible = torch.rand(1, 1, *CONFIG.window.shape) > 0.3
        look = ours.look(fused, visible)
        for a, b in zip(theirs.look(fused, visible), look, strict=True):
            assert error(a, b) < tolerance
        near, wide, memory = (x.float() for x in look)
        memories = torch.cat([memory] * CONFIG.history, dim=1)
        found = ours.cells(near, wide, memories)
        for a, b in zip(theirs.cells(near, wide, memories), found, strict=True):
            assert error(a, b) < tolerance
        cells = found[0]
        assert error(theirs.fine(cells.float()), ours.fine(cells.float())) < tolerance


@pytest.mark.parametrize("task", ["detect", "segment", "predict", "objectness"])
def test_every_head_agrees(both: tuple[Perception, Perception], task: str) -> None:
    answers = []
    for perception in both:
        maps = [perception.fuse(perception.perceive(image, K, T), [], []) for image, T in map(view, range(3))]
        found = getattr(perception, task)(maps)
        values = {
            "detect": lambda f: f.scores[:5],
            "segment": lambda f: f.probability,
            "predict": lambda f: f.positions.mean(axis=0) if len(f.positions) else np.zeros(1),
            "objectness": lambda f: f.numpy(),
        }[task](found)
        answers.append(values)
    assert answers[0].shape == answers[1].shape
    np.testing.assert_allclose(answers[1], answers[0], atol=0.02)


def test_agents_of_both_engines_fuse_each_others_features(both: tuple[Perception, Perception]) -> None:
    ours, theirs = both
    assert ours.fingerprint == theirs.fingerprint
    image, T = view(0)
    frame = theirs.compress(theirs.perceive(image, K, T), 50)
    mine = ours.perceive(image, K, T)
    fused = ours.fuse(mine, [ours.decompress(frame, T)], [0.0])
    assert fused.contributors == 2 and bool(fused.features.isfinite().all())
    assert error(theirs.perceive(image, K, T).features, mine.features) < 0.1


def test_regions_of_interest_agree(both: tuple[Perception, Perception]) -> None:
    region = Window(0, 0, 32, 16, 1.0)
    image, T = view(1)
    answers = []
    for perception in (p.at(region) for p in both):
        fused = perception.fuse(perception.perceive(image, K, T), [], [])
        answers.append(perception.segment([fused]).probability)
    assert answers[0].shape == (64, 32)
    np.testing.assert_allclose(answers[1], answers[0], atol=0.02)


def test_an_answer_is_kept_while_the_next_image_is_computed(both: tuple[Perception, Perception]) -> None:
    theirs = both[1]
    first = theirs.perceive(*_args(0)).features
    kept = first.clone()
    theirs.perceive(*_args(1))
    assert torch.equal(first, kept)


def _args(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, T = view(n)
    return image, K, T


def test_parts_are_converted_once_and_kept_beside_the_model(
    folder: Path, both: tuple[Perception, Perception], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = sorted(p.suffix for p in (folder / openvino_runtime.CACHE).iterdir())
    assert kept == [".bin"] * 4 + [".xml"] * 4
    monkeypatch.setattr(openvino_runtime, "_convert", None)  # calling it would fail
    again = Perception.load(folder, engine="openvino")
    image, T = view(2)
    assert torch.equal(again.perceive(image, K, T).features, both[1].perceive(image, K, T).features)


def test_a_model_folder_that_cannot_be_written_is_no_obstacle(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(openvino_runtime, "CACHE", f"weights.safetensors/{openvino_runtime.CACHE}")  # a file
    (tmp_path / "read_only").symlink_to(folder)
    assert Perception.load(tmp_path / "read_only", engine="openvino").runtime.engine == "openvino"
    assert len(list((tmp_path / "cache/rsdfm_ros/openvino").iterdir())) == 8


def test_a_damaged_part_is_converted_again(folder: Path, tmp_path: Path) -> None:
    model = Perception.load(folder, engine="torch").model
    own = tmp_path / "damaged"
    save_model(own, model, {})
    Perception.load(own, engine="openvino")
    for part in (own / openvino_runtime.CACHE).glob("*.xml"):
        part.write_text("<net")
    assert Perception.load(own, engine="openvino").runtime.engine == "openvino"


def test_nothing_is_reported_to_anybody(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openvino.convert_model tells its makers of every conversion, unless the user has forbidden it."""
    reports = []
    monkeypatch.setattr("openvino_telemetry.Telemetry", lambda *args, **more: reports.append(more))
    monkeypatch.setattr(
        "openvino_telemetry.main.Telemetry.__init__", lambda *args, **more: reports.append(more)
    )
    own = save_model(tmp_path / "own", Perception.load(folder, engine="torch").model, {})
    Perception.load(own, engine="openvino")
    assert (own / openvino_runtime.CACHE).is_dir() and reports == []


def test_openvino_is_taken_only_when_asked_for_and_says_what_to_do_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = RSDFM(CONFIG).eval()
    assert make_runtime(model, CPU, "auto").engine == "torch"
    monkeypatch.delitem(sys.modules, "rsdfm_ros.model.engine.openvino_runtime", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RsdfmError, match="pip install openvino"):
        make_runtime(model, CPU, "openvino")


def test_engines_that_cannot_be_are_refused() -> None:
    model = RSDFM(CONFIG).eval()
    with pytest.raises(RsdfmError, match="expected auto, torch, openvino"):
        make_runtime(model, CPU, "tensorrt")
    with pytest.raises(RsdfmError, match="runs on the CPU"):
        make_runtime(model, torch.device("cuda"), "openvino")
    assert make_runtime(model, torch.device("cuda"), "auto").engine == "torch"
