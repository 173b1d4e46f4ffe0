"""The neck: once per history for all tasks, with what is kept of the maps before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.model.neck import Neck
from rsdfm_ros.model.perception import Perception
from support.tiny_model import CONFIG


def maps(count: int, seed: int = 0) -> list[FusedMap]:
    generator = torch.Generator().manual_seed(seed)
    shape = CONFIG.window.shape
    return [
        FusedMap(
            torch.rand(CONFIG.channels, *shape, generator=generator),
            torch.rand(shape, generator=generator) > 0.3,
        )
        for _ in range(count)
    ]


@pytest.fixture
def perception(monkeypatch: pytest.MonkeyPatch) -> Perception:
    """An untrained model whose neck counts its calls in `calls`."""
    model = Perception.random(CONFIG, seed=3)
    model.calls = []  # type: ignore[attr-defined]
    for name in ("look", "cells", "fine"):
        original = getattr(model.runtime, name)

        def counted(*args: object, name: str = name, original: object = original) -> object:
            model.calls.append(name)  # type: ignore[attr-defined]
            return original(*args)  # type: ignore[operator]

        monkeypatch.setattr(model.runtime, name, counted)
    return model


def test_all_tasks_share_one_pass(perception: Perception) -> None:
    history = maps(3)
    perception.detect(history)
    assert perception.calls == ["look", "look", "look", "cells"]  # type: ignore[attr-defined]
    perception.predict(history, perception.segment(history))
    assert perception.calls[4:] == ["fine"]  # type: ignore[attr-defined]


def test_the_next_instant_uses_what_was_kept(perception: Perception) -> None:
    first, second, third, fourth = maps(4)
    perception.detect([first, second, third])
    perception.calls.clear()  # type: ignore[attr-defined]
    perception.detect([second, third, fourth])
    assert perception.calls == ["look", "cells"]  # type: ignore[attr-defined]
    assert "features" not in third.computed  # a flight does not pile up what is not used again


def test_another_history_is_computed_anew() -> None:
    perception = Perception.random(CONFIG, seed=3)
    first, second, third = maps(3)
    with_all = perception.task_features([first, second, third]).motion
    alone = perception.task_features([third]).motion
    other = perception.task_features([second, first, third]).motion
    assert not torch.equal(with_all, alone) and not torch.equal(with_all, other)
    fresh = [replace(m, computed={}) for m in (first, second, third)]
    assert torch.equal(perception.task_features(fresh).motion, with_all)


def test_a_history_that_begins_is_one_with_empty_memories() -> None:
    neck = Neck(CONFIG).eval()
    fused, visible = torch.rand(1, CONFIG.channels, 64, 64), torch.ones(1, 1, 64, 64) > 0
    missing = torch.zeros(1, neck.past_channels, 32, 32)
    with torch.inference_mode():
        near, wide, memory = neck.look(fused, visible)
        memories = torch.cat([missing, memory], dim=1)
        found = neck(fused, visible)
        for a, b in zip((found.cells, found.motion), neck.cells(near, wide, memories), strict=True):
            assert torch.equal(a, b)
        assert memory.shape == (1, CONFIG.memory_channels, 32, 32) and (memory >= 0).all()


def test_a_model_without_history_has_no_memory() -> None:
    perception = Perception.random(replace(CONFIG, history=1), seed=3)
    assert perception.model.neck.past_channels == 0
    assert perception.segment(maps(2)).probability.shape == CONFIG.output_window.shape


def test_an_added_agent_far_away_changes_only_its_surroundings() -> None:
    """The receptive field is bounded: 30 m further nothing changes, so that regions of a map can be answered alone."""
    config = replace(CONFIG, window_tiles=(-4, -4, 8, 8))
    neck = Neck(config).eval()
    torch.manual_seed(1)
    fused, visible = torch.rand(1, config.channels, 128, 128), torch.ones(1, 1, 128, 128) > 0
    other = fused.clone()
    other[..., :16, :16] += 1.0
    with torch.inference_mode():
        a, b = neck(fused, visible).cells, neck(other, visible).cells
    assert not torch.equal(a[..., :16, :16], b[..., :16, :16])
    assert torch.equal(a[..., 56:, 56:], b[..., 56:, 56:])
