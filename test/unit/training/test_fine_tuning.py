"""Fine-tuning: from the weights of a model, with the encoder as it is or trained along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.manifest import WEIGHTS
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.store import read_manifest, save_model
from rsdfm_ros.training import command
from rsdfm_ros.training.request import check_options, settings_of
from support.training_data import FlatWorld
from support.training_runs import SETTINGS, arguments


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture
def donor(config: Path, tmp_path: Path) -> Path:
    return save_model(tmp_path / "donor", Perception.random(load_model_config(config)).model, {})


def changed(donor: Path, out: Path) -> set[str]:
    """The parts of the model that have other weights than those it started from."""
    before, after = load_file(donor / WEIGHTS), load_file(out / "model" / WEIGHTS)
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_stays_to_the_last_bit(
    frozen: bool, config: Path, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    out = tmp_path / "out"
    assert command.run(arguments(config, out, init=donor, freeze_encoder=frozen, steps=2)) == 0
    parts = changed(donor, out)
    assert ("encoder" in parts) is not frozen
    assert {"embed", "interaction", "neck", "heads"} <= parts
    assert read_manifest(out / "model")["training"]["frozen_encoder"] is frozen
    assert json.loads((out / "run.json").read_text())["--freeze-encoder"] is (frozen or None)


def test_a_run_is_not_continued_with_another_choice(
    config: Path, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    out = tmp_path / "out"
    command.run(arguments(config, out, init=donor, freeze_encoder=True, steps=1))
    with pytest.raises(RsdfmError, match="--freeze-encoder True there, none asked"):
        command.run(arguments(config, out, init=donor, steps=1))


def test_the_learning_rate_is_that_of_the_option(config: Path, tmp_path: Path) -> None:
    args = arguments(config, tmp_path / "out", learning_rate=1e-4, steps=3)
    _, planned, changed_settings = settings_of(args)
    assert planned.learning_rate == changed_settings.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"freeze_encoder": True}, "keeps the encoder of --init MODEL"),
        (
            {"freeze_encoder": True, "init": "donor", "stages": ["codec"]},
            "while the trunk stage trains the rest",
        ),
        ({"freeze_encoder": True, "init": "donor", "teacher": "donor"}, "leave one of them out"),
        ({"freeze_encoder": True, "init": "donor", "head": "layout"}, "leave --freeze-encoder out"),
        ({"learning_rate": 0.0}, "expected a rate above 0"),
        ({"learning_rate": float("nan")}, "expected a rate above 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    options: dict[str, object], words: str, config: Path, donor: Path, tmp_path: Path
) -> None:
    found = {name: donor if value == "donor" else value for name, value in options.items()}
    with pytest.raises(RsdfmError, match=words):
        check_options(arguments(config, tmp_path / "out", **found))


def test_the_whole_trunk_is_trained_after_the_distil_stage(
    config: Path, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    config.write_text(yaml.safe_dump({**SETTINGS, "training": {**SETTINGS["training"], "distil_steps": 1}}))
    out = tmp_path / "out"
    options = {"init": donor, "teacher": donor, "stages": ["distil", "trunk"], "steps": 2}
    assert command.run(arguments(config, out, **options)) == 0
    assert {"encoder", "embed", "interaction", "neck", "heads"} <= changed(donor, out)
