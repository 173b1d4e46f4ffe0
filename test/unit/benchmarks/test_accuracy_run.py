"""The sections of the accuracy benchmark measure what they should, on painted scenes with an untrained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from benchmarks.accuracy import attacks, budget, disturbances, entropy, rates, standard
from benchmarks.accuracy.bench import Bench, Case, Sizes, settings_of
from benchmarks.accuracy.section import Section
from benchmarks.store import Store

from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.budget import Plan
from support.painted import AREAS, UAVS, PaintedScene, tiny_perception

PAIR = ("single", "rsdfm")


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


def small(perception: Perception, case: Case, egos: int) -> Settings:
    """As the benchmark's settings, with areas that fit the map of the tiny model."""
    return dataclasses.replace(settings_of(perception, case, egos), areas=AREAS)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> PaintedBench:
    """With fewer cases than on the page."""
    monkeypatch.setattr("benchmarks.accuracy.bench.settings_of", small)
    monkeypatch.setattr(standard, "MAIN", ("single", "late", "rsdfm"))
    monkeypatch.setattr(rates, "BUDGETS", (1_500, 6_000))
    monkeypatch.setattr(rates, "PASSES", (("none", "1500", "6000"),))
    monkeypatch.setattr(rates, "METHODS", ("rsdfm", "dhd"))
    monkeypatch.setattr(rates, "REFERENCES", ("single",))
    monkeypatch.setattr(disturbances, "AXES", {"loss": {"1": Case(PAIR, disturb="loss=1")}})
    monkeypatch.setattr(disturbances, "PASSES", (("loss",),))
    rows = {"single": {"iou_long": 0.5}, "rsdfm": {"iou_long": 0.6}}
    monkeypatch.setattr(disturbances, "_fleet", lambda *_: rows)  # these simulate scenes
    monkeypatch.setattr(disturbances, "_altitudes", lambda *_: {"30": rows})
    monkeypatch.setattr(attacks, "KINDS", ("saturated",))
    monkeypatch.setattr(attacks, "METHODS", ("single", "rsdfm-plain"))
    monkeypatch.setattr(budget, "BUDGETS", (1_500,))
    monkeypatch.setattr(entropy, "PLANS", {n: Plan(n) for n in (20, 60)})
    return PaintedBench()


@pytest.mark.parametrize(
    "section",
    [
        standard.SECTION,
        rates.SECTION,
        disturbances.SECTION,
        attacks.SECTION,
        entropy.SECTION,
        budget.SECTION,
    ],
    ids=lambda s: s.name,
)
def test_a_section_measures_what_it_shows(section: Section, bench: PaintedBench, tmp_path: Path) -> None:
    store = Store(tmp_path / "results.json", {"weights_sha256": "0"})
    section.run(bench, store)
    assert store.units and "|---" in section.tables(store.units)
    section.figures(store.units, tmp_path)
    if section is standard.SECTION:
        assert set(store.units[standard.UNIT]) == {"single", "late", "rsdfm"}
    if section is rates.SECTION:
        small, large = (store.units[b]["dhd"]["bytes_per_frame"] for b in ("1500", "6000"))
        assert 0 < small < large
    if section is disturbances.SECTION:  # nothing arrives: no collaboration, no harm
        assert disturbances.gain(store.units["loss"]["1"]) == 0.0
    if section is attacks.SECTION:
        assert set(store.units) == {"none", "saturated"} and set(store.units["saturated"]) == {"1", "2"}
        alone = [rows["single"]["iou_long"] for unit in store.units.values() for rows in unit.values()]
        assert len(set(alone)) == 1
    if section is budget.SECTION:
        sent = store.units["seed 7"]["rsdfm"]["1500"]
        assert [len(frames) for frames in sent] == [PaintedScene.frames] * UAVS
