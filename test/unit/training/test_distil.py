"""A narrower encoder learns from a wider one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig, model_config_from_dict
from rsdfm_ros.model.encoder import Encoder
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from rsdfm_ros.training import command
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.distil import DistilObjective, load_teacher, start_from_teacher
from rsdfm_ros.training.narrow import narrow_encoder
from rsdfm_ros.training.objective import collate
from rsdfm_ros.training.samples import TrunkSampler
from support.training_data import FlatWorld
from support.training_runs import SETTINGS, arguments

STUDENT = model_config_from_dict(SETTINGS["model"])
TEACHER = dataclasses.replace(STUDENT, encoder_widths=(12, 16, 24, 24), pyramid_channels=24)


def encoders(wide: ModelConfig, narrow: ModelConfig) -> tuple[Encoder, Encoder]:
    torch.manual_seed(0)
    return Encoder(wide).eval(), Encoder(narrow).eval()


def test_as_many_channels_give_the_same_encoder() -> None:
    wide, narrow = encoders(TEACHER, TEACHER)
    images = torch.randn(1, 3, TEACHER.image_height, TEACHER.image_width)
    with torch.inference_mode():
        assert not torch.allclose(wide(images)[0], narrow(images)[0])
        narrow_encoder(wide, narrow)
        for a, b in zip(wide(images), narrow(images), strict=True):
            assert torch.equal(a, b)


def test_channels_that_do_nothing_are_left_out() -> None:
    """A wide encoder, of which all channels beyond the narrow one's are dead, is reproduced exactly."""
    wide, narrow = encoders(TEACHER, STUDENT)
    for name, module in wide.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            width = dict(narrow.named_modules())[name].num_features
            dead = torch.randperm(module.num_features)[width:]
            if (
                name.startswith(("level4.second", "stem.1")) or "second" in name or "shortcut" in name
            ):  # one stream of channels
                dead = torch.arange(width, module.num_features)
            with torch.no_grad():
                module.weight[dead] = 0.0
                module.bias[dead] = 0.0
    width = STUDENT.pyramid_channels
    with torch.no_grad():
        for stride in (4, 8, 16):
            lateral = getattr(wide, f"lateral{stride}")
            lateral.weight[width:], lateral.bias[width:] = 0.0, 0.0
        wide.smooth[1].weight[:width], wide.smooth[1].bias[:width] = 1.0, 0.1
        wide.smooth[1].weight[width:], wide.smooth[1].bias[width:] = 0.0, 0.0
    narrow_encoder(wide, narrow)
    images = torch.randn(1, 3, STUDENT.image_height, STUDENT.image_width)
    with torch.inference_mode():
        for a, b in zip(wide(images), narrow(images), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_encoders_of_another_structure_are_refused() -> None:
    wide, narrow = encoders(TEACHER, dataclasses.replace(STUDENT, pyramid_convolutions=2))
    with pytest.raises(ValueError, match="same structure"):
        narrow_encoder(wide, narrow)


def test_the_encoder_comes_closer_to_the_teacher_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    teacher, model = RSDFM(TEACHER), RSDFM(STUDENT)
    start_from_teacher(model, teacher)
    others = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("encoder")}
    assert torch.equal(model.interaction.other.weight, teacher.interaction.other.weight)
    objective = DistilObjective(model, teacher).train()
    sampler = TrunkSampler(FlatWorld(), model.config, TrainingConfig(agents_weights=(0.0, 0.0, 1.0)))  # type: ignore[arg-type]
    batch = collate([sampler[0]], model, [])
    optimiser = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 3e-3)
    history = []
    for _ in range(30):
        optimiser.zero_grad()
        total, parts = objective(batch)
        total.backward()
        optimiser.step()
        history.append({k: float(v) for k, v in parts.items()})
    for name in ("features", "bins", "maps"):
        assert history[-1][name] < 0.7 * history[0][name], name
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in others.items())
    assert not any(k.startswith("_teacher") for k in objective.state_dict())


def test_a_teacher_of_other_features_is_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "teacher", RSDFM(dataclasses.replace(TEACHER, heights_m=(0.0, 2.0))), {})
    with pytest.raises(RsdfmError, match="same heights_m"):
        load_teacher(folder, RSDFM(STUDENT))


def test_a_run_with_a_teacher_begins_with_the_distil_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    path = tmp_path / "tiny.yaml"
    settings = {**SETTINGS, "training": {**SETTINGS["training"], "distil_steps": 3}}
    path.write_text(yaml.safe_dump(settings))
    teacher = save_model(tmp_path / "teacher", RSDFM(TEACHER), {})
    with pytest.raises(RsdfmError, match="add --teacher"):
        command.run(arguments(path, tmp_path / "none", stages=["distil"]))
    assert command.run(arguments(path, tmp_path / "run", teacher=teacher)) == 0
    stages = Perception.load(tmp_path / "run" / "model", engine="torch").manifest["training"]["stages"]
    assert list(stages) == ["distil", "trunk", "temporal", "codec"] and stages["distil"]["steps"] == 3
    with pytest.raises(RsdfmError, match="--teacher is for the distil stage"):
        command.run(arguments(path, tmp_path / "other", stages=["codec"], init=teacher, teacher=teacher))
