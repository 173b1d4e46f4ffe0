"""Training and evaluation run on data sets with several cameras per UAV, missing images and no depth."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.commands import evaluate as evaluate_command
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame, OwnHistories
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from rsdfm_ros.training import command as train_command
from rsdfm_ros.training.box_heights import box_heights
from rsdfm_ros.training.config import TrainingConfig, load_training_config
from rsdfm_ros.training.objective import TrunkObjective, collate
from rsdfm_ros.training.samples import TrunkSampler, pixel_heights
from support import public_sets as sets
from support.training_data import FlatWorld
from support.training_runs import SETTINGS


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    wide = {name: value for name, value in SETTINGS["model"].items() if name != "window_tiles"}
    (folder / "wide.yaml").write_text(yaml.safe_dump({"model": wide}))
    perception = Perception.random(load_model_config(folder / "wide.yaml"))
    about = {"thresholds": {"segmentation": 0.5, "trajectory": 0.5, "detection": 0.05}}
    return save_model(tmp_path_factory.mktemp("model") / "tiny", perception.model, about)


@pytest.fixture(scope="module")
def uav3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames; in the fourth UAV 3 has no image at all, and one camera of UAV 1 is missing throughout."""
    root = sets.write_uav3d(tmp_path_factory.mktemp("uav3d"), frames=8, scenes=("scene_0000",))
    path = root / "v1.0-trainval" / "sample_data.json"

    def lost(row: dict[str, Any]) -> bool:
        blind = row["sample_token"] == "scene_0000-s3" and row["token"].endswith("_id_2")
        return blind or row["token"].endswith("CAMERA_LEFT_id_0")

    path.write_text(json.dumps([row for row in json.loads(path.read_text()) if not lost(row)]))
    return root


@pytest.fixture(scope="module")
def air(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_air_co_pred(tmp_path_factory.mktemp("air"), frames=8, scenes=("scene-0-9",))


def step_at(root: Path, perception: Perception, k: int) -> EvaluationFrame:
    frame = open_dataset(root).load(0, k)
    step = EvaluationFrame(perception, Thresholds.of(perception), frame, 0, Disturbance(), OwnHistories())
    for agent in range(len(frame.agents)):
        step.encode(agent)
    return step


def test_the_views_of_one_uav_become_one_map(uav3d: Path, model: Path) -> None:
    perception = Perception.load(model)
    step = step_at(uav3d, perception, 0)
    assert step.agents == tuple(f"uav{n}" for n in range(1, 6))
    views = open_dataset(uav3d).load(0, 0).views_of("uav2")
    maps = [perception.perceive(v.image, v.K, v.T_map_camera, v.covariance) for v in views]
    assert len(maps) == 5
    expected = torch.stack([m.visible for m in maps]).any(dim=0)
    assert torch.equal(step.bev(1).visible, expected)
    assert any(int(expected.sum()) > int(m.visible.sum()) for m in maps)
    torch.testing.assert_close(step.bev(1).features, perception.combine(maps).features)


def test_one_view_is_its_own_map(air: Path, model: Path) -> None:
    perception = Perception.load(model)
    step = step_at(air, perception, 0)
    view = open_dataset(air).load(0, 0).views[2]
    alone = perception.perceive(view.image, view.K, view.T_map_camera, view.covariance)
    assert torch.equal(step.bev(2).features, alone.features)


def test_a_uav_without_pictures_sees_nothing_and_sends_nothing(uav3d: Path, model: Path) -> None:
    step = step_at(uav3d, Perception.load(model), 3)
    assert [step.sees(a) for a in range(5)] == [True, True, False, True, True]
    assert not step.bev(2).visible.any()
    assert step.own(2).boxes is not None


def evaluate(data: Path, model: Path, uavs: int, out: Path) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    options = [
        "--data",
        str(data),
        "--model",
        str(model),
        "--uavs",
        str(uavs),
        "--egos",
        "2",
        "--json",
        str(out),
    ]
    assert evaluate_command.run(parser.parse_args([*options, "--methods", "single,late,dense,rsdfm"])) == 0
    return dict(json.loads(out.read_text()))


@pytest.mark.parametrize(("name", "uavs"), [("uav3d", 5), ("air", 4)])
def test_evaluate_runs_on_a_public_set(
    name: str, uavs: int, model: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    result = evaluate(request.getfixturevalue(name), model, uavs, tmp_path / "out.json")
    rows = {row["method"]: row for row in result["results"]}
    assert not rows["single"]["bytes_per_frame"]
    assert 0 < rows["rsdfm"]["bytes_per_frame"] < rows["dense"]["bytes_per_frame"]
    assert result["protocol"]["seeds"] == [None]
    assert all(row["frames"] > 0 for row in rows.values())


def test_samples_have_every_picture_of_the_agents_drawn(uav3d: Path, config_path: Path) -> None:
    dataset = open_dataset(uav3d)
    sampler = TrunkSampler(dataset, load_model_config(config_path), TrainingConfig(seed=1, delay_share=0.5))
    assert len(sampler) == 8
    counts = set()
    for index in range(12):
        sample = sampler[index]
        assert len(sample.images) == len(sample.K) == len(sample.ages_s) == len(sample.agents) > 0
        assert sample.agents[0] == 0 and (np.diff(sample.agents) >= 0).all()
        counts |= set(np.bincount(sample.agents).tolist())
    assert counts <= {4, 5}
    assert 5 in counts


def test_a_step_down_the_gradient_learns_heights_without_depth(uav3d: Path, config_path: Path) -> None:
    torch.manual_seed(0)
    settings = load_training_config(config_path)
    config = load_model_config(config_path)
    model = RSDFM(replace(config, window_tiles=settings.window_tiles))
    sampler = TrunkSampler(open_dataset(uav3d), config, settings)
    heads = ["detection", "segmentation"]
    batch = collate([sampler[0]], model, heads)
    assert int((batch.height_target.sum(dim=1) > 0).sum()) > 0
    objective = TrunkObjective(model, heads)
    optimiser = torch.optim.SGD(objective.parameters(), 1e-3)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        total, parts = objective(batch, cells=0, tile_drop=0.0)
        total.backward()
        optimiser.step()
        losses.append(float(parts["height"]))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_heights_of_boxes_agree_with_true_heights() -> None:
    """The flat world's depth knows ground only, so the boxes' own geometry is checked where ground is claimed."""
    world = FlatWorld()
    frame = world.load(0, 0, depth=True)
    known = 0
    for view in frame.views:
        guessed = box_heights(view, frame.objects, (32, 48))
        truth = pixel_heights(view, (32, 48))
        bare = guessed == 0.0
        known += int(bare.sum())
        np.testing.assert_allclose(truth[bare], 0.0, atol=1e-3)
        assert np.isnan(guessed).any()
    assert known > 50


def test_heights_of_a_box_from_straight_above_are_its_roof() -> None:
    view = FlatWorld().load(0, 0).views[0]
    objects = FlatWorld().objects(0, 0).select(np.array([0]))
    T = np.eye(4)
    T[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T[:3, 3] = [*objects.centres[0, :2], 60.0]
    heights = box_heights(replace(view, T_map_camera=T), objects, view.image.shape[:2])
    top = objects.centres[0, 2] + objects.sizes[0, 2] / 2
    middle = heights[heights.shape[0] // 2, heights.shape[1] // 2]
    assert np.isclose(middle, top, atol=1e-5)
    assert np.isnan(heights[0, 0])
    # the ring of bare ground around the box
    assert (heights == 0.0).any()
    assert not np.any((heights > 0) & (np.abs(heights - top) > 1e-4) & (heights > 0.76 * top))


def test_an_object_hides_what_is_behind_it() -> None:
    view = FlatWorld().load(0, 0).views[0]
    one = FlatWorld().objects(0, 0).select(np.array([0]))
    two = FlatWorld().objects(0, 0).select(np.array([0, 1]))
    two = replace(
        two, centres=np.stack([two.centres[0], two.centres[0] - [0, 0, 0.5]]), yaws=two.yaws[[0, 0]]
    )
    two = replace(two, sizes=two.sizes[[0, 0]])
    T = np.eye(4)
    T[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T[:3, 3] = [*one.centres[0, :2], 60.0]
    above = replace(view, T_map_camera=T)
    middle = (view.image.shape[0] // 2, view.image.shape[1] // 2)
    alone, both = (box_heights(above, o, view.image.shape[:2])[middle] for o in (one, two))
    assert np.isclose(alone, both)


@pytest.mark.parametrize("name", ["uav3d", "air"])
def test_train_runs_on_a_public_set(
    name: str,
    config_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    data = str(request.getfixturevalue(name))
    options = ["--data", data, "--out", str(tmp_path), "--config", str(config_path), "--device", "cpu"]
    assert train_command.run(parser.parse_args([*options, "--threads", "1"])) == 0
    assert Perception.load(tmp_path / "model").config.name == "tiny"
    assert "no depth" in capsys.readouterr().out


def test_a_bag_of_several_cameras_per_uav_is_refused_not_mixed_up(uav3d: Path, tmp_path: Path) -> None:
    frame = open_dataset(uav3d).load(0, 0)
    with BagWriter(tmp_path / "bag") as writer, pytest.raises(RsdfmError, match="several cameras per UAV"):
        write_frames(writer, [frame], frame.agents)
