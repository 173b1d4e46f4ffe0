"""One more task on a frozen trunk: nothing else changes, and its loss goes down."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.data.layout_map import LAYOUT_CLASSES, LayoutError, LayoutMap, layout_of_rectangles
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.heads.layout import LayoutAnswer
from rsdfm_ros.model.heads.registry import Truth
from rsdfm_ros.model.neck import TaskFeatures
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, save_model
from rsdfm_ros.training import command
from rsdfm_ros.training.augmentation.geometric import WorldMotion
from support.training_data import LAYOUT, FlatWorld
from support.training_runs import SETTINGS

HEAD = {"head_samples": 6, "head_steps": 8, "head_batch": 2}


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, "training": {**SETTINGS["training"], **HEAD}}))  # type: ignore[dict-item]
    return path


@pytest.fixture
def donor(config_path: Path, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    about = {"training": {"data": {"seeds": [77]}}, "thresholds": {"segmentation": 0.6}}
    return save_model(tmp_path / "donor", RSDFM(load_model_config(config_path)), about)


def train(config: Path, out: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    common = ["--data", "flat", "--config", str(config), "--out", str(out), "--threads", "1"]
    return command.run(parser.parse_args([*common, *words]))


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())


@pytest.mark.usefixtures("flat")
def test_a_head_is_added_and_every_other_weight_stays_to_the_bit(
    config_path: Path, donor: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert train(config_path, out, "--head", "layout", "--freeze-trunk", "--init", str(donor)) == 0
    before, old, fingerprint = load_model(donor)
    after, manifest, same = load_model(out / "model")
    assert after.config.heads == (*before.config.heads, "layout")
    for key, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[key], value), key
    assert fingerprint == same  # its features are understood by UAVs that have no such head
    assert manifest["thresholds"] == old["thresholds"] and manifest["training"] == old["training"]
    added = manifest["added_heads"]["layout"]
    assert (
        added["steps"] == 8 and added["data"]["seeds"] == [0, 1] and added["trunk"] == old["weights_sha256"]
    )
    with pytest.raises(RsdfmError, match="has a layout head already"):
        train(config_path, tmp_path / "b", "--head", "layout", "--freeze-trunk", "--init", str(out / "model"))


@pytest.mark.usefixtures("flat")
def test_the_same_seed_gives_the_same_head_and_another_seed_another(
    config_path: Path, donor: Path, tmp_path: Path
) -> None:
    def weights(name: str, *words: str) -> dict[str, torch.Tensor]:
        out = tmp_path / name
        train(config_path, out, "--head", "layout", "--freeze-trunk", "--init", str(donor), *words)
        state = load_model(out / "model")[0].state_dict()
        return {k: v for k, v in state.items() if k.startswith("heads.layout")}

    one, two, other = weights("one"), weights("two"), weights("other", "--seed", "5")
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)
    short = weights("short", "--steps", "2")
    assert not all(torch.equal(one[k], short[k]) for k in one)


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--head", "layout"], "--freeze-trunk"),
        (["--head", "layout", "--freeze-trunk"], "--init MODEL"),
        (["--head", "rivers", "--freeze-trunk", "--init", "x"], "registered are .*layout"),
        (["--head", "detection", "--freeze-trunk", "--init", "x"], "plug-in such as layout"),
        (["--plugin", "no_such_module"], "cannot import no_such_module"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_cure(
    config_path: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(RsdfmError, match=message):
        train(config_path, tmp_path / "out", *words)


@pytest.mark.usefixtures("flat")
def test_a_head_is_not_trained_by_several_processes(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RsdfmError, match="without torchrun"):
        train(config_path, tmp_path / "out", "--head", "layout", "--freeze-trunk", "--init", "x")


def test_a_data_set_without_layouts_is_named(
    config_path: Path, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlatWorld, "layout", lambda self, scene: None)
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    with pytest.raises(RsdfmError, match=r"2 of 2 scenes in flat .*flat-0.*rsdfm data layout flat"):
        train(config_path, tmp_path / "out", "--head", "layout", "--freeze-trunk", "--init", str(donor))
    model = Perception.load(donor).config
    truth = Truth((FlatWorld().objects(0, 0),), np.ones(1, bool))
    from rsdfm_ros.model.heads.lookup import build_head

    with pytest.raises(LayoutError, match="rsdfm data layout"):
        build_head("layout", model).targets(truth)


@pytest.mark.usefixtures("flat")
def test_a_model_of_plug_ins_alone_is_trained_with_its_trunk(config_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(config_path.read_text())
    values["model"]["heads"] = ["layout"]
    path = tmp_path / "layout.yaml"
    path.write_text(yaml.safe_dump(values))
    assert train(path, tmp_path / "out", "--steps", "3") == 0
    model, manifest, _ = load_model(tmp_path / "out/model")
    assert list(model.heads) == ["layout"] and manifest["training"]["stages"]["trunk"]["steps"] == 3
    assert manifest["training"]["cameras"]["altitude_m"] == [40.0, 50.0]


def test_the_loss_of_the_layout_falls_and_the_answer_nears_the_truth(config_path: Path) -> None:
    torch.manual_seed(0)
    config = load_model_config(config_path)
    from rsdfm_ros.model.heads.lookup import build_head

    head = build_head("layout", config)
    window = config.window
    truth = Truth((FlatWorld().objects(0, 0),), np.ones(1, bool), LAYOUT)
    targets = {k: torch.from_numpy(v)[None] for k, v in head.targets(truth).items()}
    assert targets["cells"].shape == (1, 2, *config.output_window.shape)
    # Features that tell what is where: the head must only unfold them.
    shown = torch.nn.functional.pixel_unshuffle(targets["cells"].float(), 2)
    fused = torch.zeros(1, config.channels, *window.shape)
    fused[:, :8] = shown
    seen = torch.ones(1, 1, *window.shape, dtype=torch.bool)
    features = TaskFeatures(fused, fused, fused, seen, lambda cells: cells)
    optimiser = torch.optim.AdamW(head.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        parts = head.losses(head(features), targets)
        assert set(parts) == set(head.loss_names)
        total = torch.stack(list(parts.values())).sum()
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.3 * losses[0]
    with torch.inference_mode():
        answer = head.eval().answer(head(features), np.ones(window.shape, bool), window, window)
    figures = answer.figures(truth, square_window(16.0, 0.5))
    assert figures["road_iou"][0] / figures["road_iou"][1] > 0.8


def test_figures_of_a_layout_by_hand() -> None:
    window = square_window(2.0, 0.5)
    layout = layout_of_rectangles({"road": [(-2.0, -2.0, 0.0, 2.0)], "building": []}, 1.0)
    probability = np.zeros((2, 8, 8), np.float32)
    probability[0, 2:4, 2:4] = 0.9  # 4 of the 8 known road cells (x from −1 to 0)
    probability[0, 4, 2] = 0.9  # and one beside it
    visible = np.zeros((8, 8), bool)
    visible[:, :4] = True
    answer = LayoutAnswer(window, probability, visible)
    figures = answer.figures(Truth((), np.zeros(0, bool), layout), window)
    assert figures["road_iou"] == (4.0, 9.0)
    assert figures["road_iou_visible"] == (4.0, 5.0)
    assert figures["building_iou"] == (0.0, 0.0)
    assert answer.figures(Truth((), np.zeros(0, bool)), window) == {}


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-20, 20), st.floats(-20, 20), st.booleans())
def test_a_layout_moves_with_the_world(yaw: float, x: float, y: float, mirror: bool) -> None:
    motion = WorldMotion(yaw, (x, y), mirror)
    points = np.random.default_rng(0).uniform(-50, 50, (200, 2))
    there = points @ motion.matrix[:2, :2].T + motion.matrix[:2, 3]
    for one, two in zip(
        LAYOUT.at(points, LAYOUT_CLASSES), LAYOUT.moved(motion.matrix).at(there, LAYOUT_CLASSES), strict=True
    ):
        assert (one == two).mean() > 0.99  # points on an edge may fall to either side


def test_what_a_layout_does_not_know_is_said() -> None:
    layout = LayoutMap(("road",), np.ones((4, 4), np.uint8), (10.0, 20.0), 0.5)
    found, known = layout.at(np.array([[11.0, 21.0], [9.9, 21.0], [12.0, 22.1]]), ("road",))
    assert found[0].tolist() == [True, False, False] and known.tolist() == [True, False, False]
    with pytest.raises(LayoutError, match="building"):
        layout.at(np.zeros((1, 2)), LAYOUT_CLASSES)
