"""The sections of the accuracy benchmark measure what they should, on painted scenes with an untrained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from benchmarks.accuracy import budget, entropy
from benchmarks.accuracy.bench import Bench, Case, Sizes
from benchmarks.accuracy.section import Section, Store
from painted import AREAS, UAVS, PaintedScene, tiny_perception

from rsdfm_ros.evaluation.runner import Settings
from rsdfm_ros.wire.budget import Plan


class Scene(PaintedScene):
    """A painted scene that can be closed."""

    uavs = UAVS

    def close(self) -> None:
        """Nothing to free."""


class PaintedBench(Bench):
    """The benchmark on a painted scene."""

    def __init__(self) -> None:
        self.model, self.sizes = Path("tiny"), Sizes(1, 8, 1, 8, 2, 1, 8, mission_scenes=1)
        self.perception = tiny_perception()

    def standard_scenes(self) -> list[Scene]:  # type: ignore[override]
        return [Scene()]

    part_scenes = missions = standard_scenes  # type: ignore[assignment]

    def settings(self, case: Case, egos: int) -> Settings:
        return dataclasses.replace(super().settings(case, egos), areas=AREAS)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> PaintedBench:
    """With fewer cases than on the page."""
    monkeypatch.setattr(budget, "BUDGETS", (1_500,))
    monkeypatch.setattr(entropy, "PLANS", {n: Plan(n) for n in (20, 60)})
    return PaintedBench()


@pytest.mark.parametrize(
    "section",
    [entropy.SECTION, budget.SECTION],
    ids=lambda s: s.name,
)
def test_a_section_measures_what_it_shows(section: Section, bench: PaintedBench, tmp_path: Path) -> None:
    store = Store(tmp_path / "results.json", {"weights_sha256": "0"})
    section.run(bench, store)
    assert store.units and "|---" in section.tables(store.units)
    section.figures(store.units, tmp_path)
    if section is budget.SECTION:
        sent = store.units["seed 7"]["rsdfm"]["1500"]
        assert [len(frames) for frames in sent] == [PaintedScene.frames] * UAVS
