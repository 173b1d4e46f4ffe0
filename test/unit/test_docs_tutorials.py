"""The tutorials do what they say: their code runs, their commands exist."""

from __future__ import annotations

import argparse
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

from rsdfm_ros.cli import COMMANDS, build_parser
from rsdfm_ros.evaluation.session import evaluate_scene
from rsdfm_ros.model.config import model_config_from_dict
from rsdfm_ros.model.heads import registry
from rsdfm_ros.model.heads.lookup import ENTRY_POINTS
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from rsdfm_ros.training import command
from support.painted import PaintedScene, run_settings
from support.training_data import FlatWorld
from support.training_runs import SETTINGS

PAGES = ("docs/tutorials/add_your_own_task.md", "docs/training.md")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_have_the_options_that_it_gives_them(root: Path, page: str) -> None:
    text = (root / page).read_text().replace("$seed", "0").replace("\\\n", " ")
    lines = re.findall(r"(?:\./rsdfm|rsdfm_ros\.cli) ([^\n;`]*)", text)
    words = [shlex.split(line.partition("(")[0].partition(")")[0]) for line in lines]
    commands = [w for w in words if len(w) > 1 and w[1] != "\u2026"]
    assert len(commands) >= 5
    for argv in commands:
        parsed = build_parser(argv, COMMANDS).parse_args(argv)
        assert isinstance(parsed, argparse.Namespace)
        for option in ("config", "init"):
            path = getattr(parsed, option, None)
            if argv[0] == "train" and path is not None:
                assert (root / path).exists(), path


def test_the_task_of_the_tutorial_is_trained_evaluated_and_flown(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = blocks(root / PAGES[0], "python")
    assert len(code) == 1
    (tmp_path / "crowding.py").write_text(code[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_HEADS", dict(registry._HEADS))
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    torch.manual_seed(0)
    config = model_config_from_dict(SETTINGS["model"])  # type: ignore[arg-type]
    donor = save_model(tmp_path / "donor", RSDFM(config), {})
    settings = {"head_samples": 4, "head_steps": 3, "head_batch": 2, "window_tiles": [-1, -1, 2, 2]}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, "training": settings}))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "out"
    words = ["--plugin", "crowding", "--head", "crowding", "--freeze-trunk", "--init", str(donor)]
    common = ["--data", "flat", "--config", str(path), "--out", str(out), "--threads", "1"]
    assert command.run(parser.parse_args([*words, *common])) == 0
    perception = Perception.load(out / "model")
    assert perception.plug_ins == ("crowding",)
    with ThreadPoolExecutor(2) as pool:
        scores = evaluate_scene(perception, PaintedScene(), run_settings(methods=("single", "rsdfm")), pool)
    error = scores["rsdfm"].result()["crowding_error"]
    assert error is not None and error >= 0.0
    view = FlatWorld().load(0, 0).views[0]
    own = perception.perceive(view.image, view.K, view.T_map_camera)
    answer = perception.answer("crowding", [perception.fuse(own, [], [])])

    class Message:
        data: object = None

    message = Message()
    perception.model.head("crowding").fill("crowding", message, answer)
    assert len(message.data) == perception.window.ni * perception.window.nj // 64  # type: ignore[arg-type]


def test_the_entry_point_of_the_tutorial_is_in_the_group_that_is_looked_at(root: Path) -> None:
    (text,) = blocks(root / PAGES[0], "toml")
    assert f'[project.entry-points."{ENTRY_POINTS}"]' in text
