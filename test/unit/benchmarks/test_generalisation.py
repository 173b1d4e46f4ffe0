"""The generalisation study: what it varies, that it goes on where it stopped, and that it refuses to mix studies."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pytest
from benchmarks import generalisation as study

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from support.tiny_model import CONFIG

ROW = {key: 0.5 for _, key, _ in study.FIGURES}


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    model = save_model(tmp_path / "model", RSDFM(CONFIG), {})
    return argparse.Namespace(
        models=[model],
        json=tmp_path / "study.json",
        plot=tmp_path / "study.svg",
        axes=["fov", "pitch"],
        seed=9100,
        scenes=1,
        frames=8,
        uavs=2,
        egos=1,
        fixed_height=50.0,
    )


def test_the_axes_cover_what_the_study_is_about() -> None:
    altitude = [c.flight.altitude_m for _, c in study.AXES["altitude"].points]
    pitch = [c.flight.pitch_deg for _, c in study.AXES["pitch"].points]
    fov = [math.degrees(c.horizontal_fov_rad) for _, c in study.AXES["fov"].points]
    assert altitude[0] == (20, 20) and altitude[-2:] == [(100, 100), (20, 100)]
    assert pitch[0] == (30, 30) and pitch[-1] == (70, 70)
    assert fov[0] == pytest.approx(50) and fov[-1] == pytest.approx(100)
    assert len({(c.width_px, c.height_px) for _, c in study.AXES["size"].points}) == 6


def test_a_stopped_study_goes_on_and_draws(options: argparse.Namespace, monkeypatch: Any) -> None:
    done: list[Any] = []

    def point(models: dict[str, Any], scenes: Any, egos: int) -> dict[str, Any]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(scenes[0].config)
        return dict.fromkeys(models, ROW)

    monkeypatch.setattr(study, "evaluate_point", point)
    with pytest.raises(KeyboardInterrupt):
        study.run(options)
    content = json.loads(options.json.read_text())
    assert list(content["axes"]["fov"]) == ["50", "62.5", "75"]
    assert list(content["axes"]["fov"]["50"]) == ["true height", "fixed height"]
    done[:] = [None] * 4
    study.run(options)
    assert len(done) - 4 == 2 + 5  # the rest of one axis, and the other
    assert "<svg" in options.plot.read_text()
    with pytest.raises(RsdfmError, match="something else"):
        study.run(argparse.Namespace(**{**vars(options), "uavs": 3}))


def test_models_that_were_trained_on_the_scenes_are_refused(
    options: argparse.Namespace, tmp_path: Path
) -> None:
    about = {"training": {"data": {"seeds": [9100]}}}
    options.models = [save_model(tmp_path / "leaky", RSDFM(CONFIG), about)]
    with pytest.raises(RsdfmError, match="trained on"):
        study.run(options)
