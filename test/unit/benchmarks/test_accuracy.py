"""The accuracy benchmark: what is kept, what is asked for, and what it writes into the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks import drawing, generalisation
from benchmarks.accuracy import (
    altitudes,
    attacks,
    budget,
    carrying,
    disturbances,
    entropy,
    methods,
    rates,
    standard,
    styles,
    tasks,
    terrain,
)
from benchmarks.accuracy.__main__ import write_page
from benchmarks.accuracy.bench import QUICK, Sizes
from benchmarks.accuracy.page import BARS, provenance
from benchmarks.accuracy.section import Section
from benchmarks.accuracy.sections import SECTIONS
from benchmarks.errors import BenchError
from benchmarks.page import Bar, bars_table, between, number, places, table
from benchmarks.store import Store

from rsdfm_ros.evaluation.attacks.kinds import KINDS
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim.dataset import render
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.wire.encode import encode_frame
from support.wire_frames import feature_frame

COMMON = {
    "model": "models/nano",
    "weights_sha256": "0123456789abcdef",
    "first_seed": 9000,
    "scenes": 8,
    "frames": 40,
    "part_scenes": 2,
    "part_frames": 16,
    "part_egos": 2,
    "world_scenes": 1,
    "world_frames": 12,
    "world_egos": 1,
    "study_scenes": 2,
    "study_frames": 9,
    "study_egos": 2,
    "mission_scenes": 2,
}


def row(iou: float | None, size: float | None = 18_000.0, **more: float) -> dict[str, Any]:
    keys = {key: iou for _, key, _ in standard.FIGURES}
    rate = None if size is None else size * 1.6e-5
    return {**keys, "bytes_per_frame": size, "mbit_per_s": rate, **more}


def fill(name: str) -> dict[str, Any]:
    """Made-up results of a section."""
    if name in ("standard", "tasks"):
        return {"all": {m: row(0.5 + 0.01 * i) for i, m in enumerate(standard.MAIN)}}
    if name == "methods":
        return {"all": {m: row(0.5 + 0.01 * i) for i, m in enumerate(methods.NAMES)}}
    if name == "attacks":
        rows = {m: row(0.5 if m == "single" else 0.7) for m in attacks.METHODS}
        units = {kind: {str(n): rows for n in attacks.numbers_of(kind)} for kind in KINDS}
        return {attacks.NONE: {"0": rows}, **units}
    if name == "styles":
        return {world: {m: row(0.6) for m in styles.METHODS} for world in styles.WORLDS}
    if name == "terrain":
        rows = {"rows": {m: row(0.6) for m in terrain.METHODS}, "mapping": {"position_error_m": 0.8}}
        return {"flat": {terrain.DEM: rows}, "slope": {terrain.DEM: rows, terrain.PLANE: rows}}
    if name == "layout":
        shown = {m: row(0.6) | {"layout_road_iou": 0.7} for m in ("single", "dense", "rsdfm")}
        return {"01234567": {"model": "nano", "how": "head on a frozen trunk", "rows": shown}}
    if name == "carrying":
        figures = {key: 0.5 for _, key, _ in generalisation.FIGURES}
        return {
            f"{prefix} {axis} {value}".strip(): {
                f"{prefix or 'true'} height": figures,
                "fixed height": figures,
            }
            for prefix in ("", carrying.LIFTS)
            for axis, values in carrying.POINTS.items()
            for value in values
        }
    if name == "rates":
        none = {"single": row(0.5, None), "late": row(0.7, 1_100.0), "dense": row(0.8, 500_000.0)}
        return {
            "none": none,
            **{str(b): {m: row(0.8 - 100 / b, float(b)) for m in rates.METHODS} for b in rates.BUDGETS},
        }
    if name == "entropy":
        return {str(c): {"packets": 4.0, **entropy.measure(feature_frame(cells=c))} for c in (20, 200)}
    if name == "budget":
        return {
            "seed 9000": {
                m: {str(b): [[b] * 12, [b, round(1.1 * b)] * 6] for b in budget.BUDGETS}
                for m in budget.METHOD_NAMES
            }
        }
    point = {m: row(0.5 if m == "single" else 0.7) for m in disturbances.METHODS}
    return {
        "none": {"none": point},
        **{
            axis: {p: {m: point[m] for m in case.methods} for p, case in cases.items()}
            for axis, cases in disturbances.AXES.items()
        },
        "uavs": {"1": point, "2": point},
        "altitude": {"30": point, "80": point},
    }


def test_a_unit_is_computed_once_and_kept_at_once(tmp_path: Path) -> None:
    path, calls = tmp_path / "deep" / "a.json", []

    def compute() -> dict[str, int]:
        calls.append(1)
        return {"value": len(calls)}

    assert Store(path, COMMON).unit("one", compute) == {"value": 1}
    again = Store(path, COMMON)
    assert again.unit("one", compute) == {"value": 1} and len(calls) == 1
    with pytest.raises(KeyboardInterrupt):
        again.unit("two", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert json.loads(path.read_text())["units"] == {"one": {"value": 1}}


def test_results_of_something_else_are_not_mixed_with(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Store(path, COMMON).write()
    with pytest.raises(BenchError, match="something else"):
        Store(path, COMMON | {"weights_sha256": "other"})
    for text in ("{", "[]", '{"units": {}}'):
        path.write_text(text)
        with pytest.raises(BenchError):
            Store(path, COMMON)


def test_text_goes_between_its_markers_and_nowhere_else() -> None:
    page = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n"
    new = between(page, "x", "new\n")
    assert new == page.replace("old", "new") and between(new, "x", "new") == new
    assert places(page) == ["x", "y"]
    for wrong in ("", page + page, page.replace("/bench:x", "/bench:z")):
        with pytest.raises(BenchError, match="place for x"):
            between(wrong, "x", "new")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.name)
def test_every_section_renders_what_it_measured_and_says_so_when_it_did_not(
    section: Section, tmp_path: Path
) -> None:
    units = fill(section.name)
    text = section.tables(units)
    assert text.count("|") > 10 and "None" not in text and not re.search(r"\bnan\b", text)
    for name in section.figures(units, tmp_path):
        first = (tmp_path / name).read_bytes()
        assert b"<svg" in first and len(first) < 150_000
        section.figures(units, tmp_path)
        assert (tmp_path / name).read_bytes() == first
    assert all(bar.measured is not None for bar in section.bars(units))
    assert all(bar.measured is None and bar.met is None for bar in section.bars({}))


def contents(page: str) -> dict[str, str]:
    """The text of every place of a page."""
    return {n: page.split(f"<!-- bench:{n} -->")[1].split(f"<!-- /bench:{n} -->")[0] for n in places(page)}


def test_the_page_has_a_place_for_every_section_and_shows_its_results(root: Path, tmp_path: Path) -> None:
    page, template = tmp_path / "page.md", root / "docs" / "benchmarks.md"
    (tmp_path / "out").mkdir()
    for section in (standard.SECTION, rates.SECTION):
        store = Store(tmp_path / "out" / f"{section.name}.json", COMMON)
        store.units = fill(section.name)
        store.write()
    write_page(page, template, SECTIONS, tmp_path / "out")
    text = page.read_text()
    assert "weights 01234567…" in text and "images/bench_rates.svg" in text
    before, after = contents(template.read_text()), contents(text)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"standard", "tasks", "rates", BARS}, "sections without results keep their text"
    assert "Ids over time" in text
    assert "| `rsdfm`, IoU ±50 m (standard) | ≥ 0.820 | 0.530 | **missed** |" in text
    assert (tmp_path / "images" / "bench_rates.svg").is_file()
    write_page(page, page, SECTIONS, tmp_path / "out")
    assert page.read_text() == text
    with pytest.raises(BenchError, match="no section"):
        write_page(page, template, SECTIONS[:-1], tmp_path / "out")


def test_bars_are_judged_from_the_results() -> None:
    assert Bar("a", 0.5, 0.5).met and not Bar("a", 0.49, 0.5).met
    assert Bar("a", 0.02, 0.02, at_least=False).met and not Bar("a", 0.021, 0.02, at_least=False).met
    lines = bars_table([("x", Bar("a", None, 0.5)), ("y", Bar("b", 0.1, 0.2, False, 1))]).splitlines()
    assert lines[2] == "| a (x) | ≥ 0.500 | – | not measured |"
    assert lines[3] == "| b (y) | ≤ 0.2 | 0.1 | met |"


def test_bars_of_the_rates_compare_with_dense_and_late() -> None:
    units = fill("rates")
    units["10000"]["rsdfm"]["vpq_long"] = 0.75
    units["2500"]["rsdfm"]["iou_long"] = 0.71
    bars = {bar.what: bar for bar in rates.bars(units)}
    assert bars["`rsdfm` at 10 kB: IoU less than `dense`"].measured == pytest.approx(0.01)
    assert not bars["`rsdfm` at 10 kB: VPQ less than `dense`"].met
    assert bars["`rsdfm` at 2.5 kB: IoU less than `late`"].met


def test_harm_is_found_wherever_it_is_and_printed_bold() -> None:
    units = fill("disturbances")
    assert all(bar.met for bar in disturbances.bars(units) if "less" not in bar.what)
    units["attackers"]["2"] = {m: row(0.5 if m == "single" else 0.494) for m in disturbances.METHODS}
    worst = next(bar for bar in disturbances.bars(units) if "smallest gain" in bar.what)
    assert worst.measured == pytest.approx(-0.006) and not worst.met
    assert "**−0.006**" in disturbances.tables(units)


def test_attacks_are_judged_by_the_worst_and_shown_on_their_own_page(root: Path, tmp_path: Path) -> None:
    units = fill("attacks")
    units["erased"] = {"1": units["none"]["0"], "2": units["none"]["0"] | {"rsdfm": row(0.44)}}
    bars = {bar.asked: bar for bar in attacks.bars(units)}
    assert bars[0.15].measured == pytest.approx(0.2) and bars[0.15].met
    assert bars[0.08].measured == pytest.approx(-0.06) and not bars[0.08].met
    store = Store(tmp_path / "attacks.json", COMMON)
    store.units = units
    store.write()
    page = tmp_path / "reliability.md"
    write_page(page, root / "docs" / page.name, SECTIONS, tmp_path, page.name)
    text = page.read_text()
    assert "`make bench-accuracy ONLY=attacks`" in contents(text)["attacks"]
    assert "| `erased` | +0.200 | +0.200 | +0.200 | +0.200 | +0.200 | **−0.060** |" in text
    assert "| `colluding` | – | – | – | +0.200 |" in text
    whole = tmp_path / "benchmarks.md"
    write_page(whole, root / "docs" / whole.name, SECTIONS, tmp_path)
    assert "under any attack by 2 of 3 peers (attacks) | ≥ 0.080 | −0.060 | **missed** |" in whole.read_text()


def test_axes_that_are_not_measured_yet_are_left_out() -> None:
    units = {name: unit for name, unit in fill("disturbances").items() if name in ("none", "loss")}
    assert disturbances.points(units, "altitude") == {} and disturbances.points(units, "pose") == {}
    assert list(disturbances.points(units, "loss")) == ["0", *disturbances.AXES["loss"]]
    assert disturbances.tables(units).count("`single`") == 2


def test_shares_of_the_gain_are_those_of_the_undisturbed_one() -> None:
    units = fill("disturbances")
    noisy = {"single": row(0.3), "rsdfm": row(0.45)}
    units["pose"]["0.5/0.5"] = {m: noisy.get(m, row(0.4)) for m in disturbances.METHODS}
    units["uavs"]["2"] = {m: row(0.69) for m in disturbances.METHODS}
    bars = {bar.what: bar.measured for bar in disturbances.bars(units)}
    shares = [v for k, v in bars.items() if "0.5 m and 0.5°" in k]
    assert shares == [pytest.approx(0.75), pytest.approx(-0.25)]
    assert next(v for k, v in bars.items() if "smallest step" in k) == pytest.approx(-0.01)


def test_every_method_is_somewhere_on_the_page() -> None:
    assert set(methods.NAMES) | set(disturbances.METHODS) == set(METHODS)
    assert set(standard.MAIN) <= set(methods.NAMES)


def test_passes_hold_every_case_once() -> None:
    assert sorted(a for names in disturbances.PASSES for a in names) == sorted(disturbances.AXES)
    assert sorted(n for names in rates.PASSES for n in names) == sorted(["none", *map(str, rates.BUDGETS)])
    for axis, values in carrying.POINTS.items():
        assert set(values) <= dict(generalisation.AXES[axis].points).keys()


def test_units_of_one_pass_are_kept_together(tmp_path: Path) -> None:
    store, calls = Store(tmp_path / "a.json", COMMON), []

    def compute() -> dict[str, int]:
        calls.append(1)
        return {"a": 1, "b": 2}

    store.units_of(("a", "b"), compute)
    again = Store(tmp_path / "a.json", COMMON)
    again.units_of(("a", "b"), compute)
    assert again.units == {"a": 1, "b": 2} and len(calls) == 1


def test_other_lifts_are_not_mixed_with(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.json", COMMON)
    carrying._same(store, {"relative": SimpleNamespace(fingerprint=1)})
    carrying._same(store, {"relative": SimpleNamespace(fingerprint=1)})
    with pytest.raises(BenchError, match="other --lift-models"):
        carrying._same(store, {"relative": SimpleNamespace(fingerprint=2)})


def test_the_plane_that_is_believed_lies_at_the_mean_height_of_the_middle() -> None:
    axis = np.arange(-200.0, 201.0, 2.0)
    heights = np.broadcast_to(3.0 + 0.05 * axis[:, None], (len(axis), len(axis))).astype(np.float32)
    plane = terrain.level(HeightGrid(heights, -200.0, -200.0, 2.0))
    assert plane.normal == (0.0, 0.0, 1.0) and plane.offset == pytest.approx(3.0, abs=1e-4)
    assert terrain.level(None) == GroundPlane()


def test_sections_without_models_say_what_they_would_need() -> None:
    sentence = next(s for s in SECTIONS if s.name == "layout").tables({})
    assert "--layout-model" in sentence
    assert "--lift-models" in carrying.tables({})


def test_yaw_errors_are_shown_in_degrees() -> None:
    units = {"all": {"rsdfm": row(0.5) | {"yaw_error_rad": 0.1}}}
    assert "| 5.7 |" in tasks.tables(units)


def test_deviations_from_the_budget_are_those_of_the_worst_mission() -> None:
    sent = np.array([[1_000.0] * 20, [1_500.0] + [1_000.0] * 19])
    mean, running = budget.off_target(sent, 1_000)
    assert (mean, running) == (pytest.approx(0.025), pytest.approx(0.05))


def test_entropy_estimates_agree_with_what_is_known() -> None:
    even = np.tile(np.arange(16), 64)
    assert entropy.entropy_bytes(even) == pytest.approx(len(even) * 4 / 8)
    assert entropy.entropy_bytes(np.zeros(50)) == 0.0
    assert entropy.adaptive_bytes(np.array([3]), 16) == pytest.approx(0.5), "the first symbol costs 4 bits"
    many = np.random.default_rng(0).integers(0, 4, 4000)
    assert 1.0 < entropy.adaptive_bytes(many, 4) / entropy.entropy_bytes(many) < 1.02


@pytest.mark.parametrize("cells", [0, 30, 900])
def test_the_parts_of_packets_add_up_to_their_bytes(cells: int) -> None:
    packets = encode_frame(feature_frame(cells=cells), 4_000)
    found = entropy.parts(feature_frame(cells=cells), packets)
    assert sum(found.values()) == pytest.approx(sum(map(len, packets)))
    assert found[entropy.FIXED] == 32 * len(packets) and (found[entropy.HIGH] > 0) == (cells > 0)
    assert 0 < found[entropy.STATES] < 0.03 * sum(found.values()) + 4


def test_flights_at_one_altitude_look_at_the_same_places() -> None:
    for before, after in zip(make_flights(9000, 4), altitudes.flights_at(50.0, 9000, 4), strict=True):
        assert after.altitude_m == 50.0 and after.pitch_rad <= before.pitch_rad
        T = after.T_map_camera(0.0)
        assert abs(T[2, 3] - 50.0) < 2.0
        ground = T[:3, 3] - T[:3, 2] * T[2, 3] / T[2, 2]
        np.testing.assert_allclose(ground[:2], after.target, atol=4.0)


def test_worlds_at_an_altitude_have_all_that_a_data_set_is_written_from() -> None:
    needed = {name for name in vars(render.World) if not name.startswith("_")}
    assert "frame" in needed and needed <= set(dir(altitudes.WorldAt))


def test_sizes_that_leave_nothing_to_score_are_refused() -> None:
    small = Sizes().at_most(1)
    assert small.scenes == small.part_scenes == small.study_scenes == 1 and small.frames == Sizes().frames
    with pytest.raises(BenchError, match="part of the standard split"):
        Sizes(scenes=1)
    assert QUICK.frames < Sizes().frames
    assert Sizes().changed("part_egos=4,frames=30") == Sizes(part_egos=4, frames=30)
    for wrong in ("egos=2", "part_egos=two", "part_egos"):
        with pytest.raises(BenchError, match="expected NAME=N"):
            Sizes().changed(wrong)
    with pytest.raises(BenchError, match="7 frames"):
        Sizes(frames=6)


def test_small_things_of_the_page() -> None:
    assert (
        number(None) == "–"
        and number(-0.0123, 2, sign=True) == "−0.01"
        and number(0.5, 1, sign=True) == "+0.5"
    )
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---:|\n| 1 | 2 |"
    assert "seeds 9000 to 9001, 16 frames each, 2 UAVs of each as ego" in provenance(rates.SECTION, COMMON)
    assert provenance(standard.SECTION, COMMON).endswith("seeds 9000 to 9007, 40 frames each")
    assert provenance(budget.SECTION, COMMON).endswith("seeds 9000 to 9001, 40 frames each")
    assert provenance(terrain.SECTION, COMMON).endswith("seed 9000, 12 frames each, 1 UAV of each as ego")
    assert "ONLY=standard" in provenance(tasks.SECTION, COMMON)
    assert provenance(entropy.SECTION, COMMON).endswith("seeds 9000 to 9001, 16 frames each")
    assert number(-0.0001) == "0.000"


def test_a_panel_of_numbers_and_one_of_names_can_be_drawn(tmp_path: Path) -> None:
    lines = {"a": [(2.0, 0.1), (50.0, 0.3)]}
    panels = [
        drawing.Panel("x", "y", lines, {"b": 0.2}, log=True),
        drawing.Panel("x", "y", lines, ticks="abc", harm=True),
    ]
    drawing.write(panels, tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()
