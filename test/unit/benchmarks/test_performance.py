"""The speed benchmark: the search for a rate, what is kept, and what it writes into the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks import replay_rate
from benchmarks.commands import json_of, output_of, python
from benchmarks.errors import BenchError
from benchmarks.page import places
from benchmarks.performance import __main__ as performance
from benchmarks.performance import frame, missions, node, replay
from benchmarks.performance.section import Plan, Section, origin
from benchmarks.replay_rate import Try, highest
from benchmarks.store import Store

from support.places import TINY

MACHINE = {"cpu": "A chip", "cores": 2, "memory_gb": 8.0, "instruction_sets": ["AVX2"], "os": "An OS"}
COMMON = {
    "model": "models/nano",
    "weights_sha256": "0123456789abcdef",
    "version": "0.1.0",
    "commit": "fedcba9876543210",
    "machine": MACHINE,
    "quick": False,
}
BENCH = {
    "engine": "PyTorch 2 on cpu",
    "conclusion": "It is quick.",
    "threads": 1,
    "fleet_threads": 2,
    "uav_frame_ms": 64.6,
    "uav_frame_single_ms": 100.0,
    "fleet_frame_ms": 154.0,
    "stages_ms": {"compress": 4.0},
    "peers_ms": {"1": 50.0, "16": 125.0},
    "per_peer_ms": 5.0,
    "region_quarter_share": 0.39,
    "failed": {},
}
NODE = {
    "peers": 3,
    "rate_hz": 2.0,
    "model_ms": 60.0,
    "codec_ms": 10.0,
    "node_ms": 12.3,
    "node_share": 0.15,
    "idle_share": 0.008,
    "rss_mb": 430.0,
    "peak_mb": 440.0,
    "first_answer_s": 5.5,
}
FAST, SLOW = Try(4.0, 4.0, 100, 100, 4.0, 80.0, 120.0), Try(8.0, 8.0, 100, 60, 4.8, 150.0, 200.0)
REPLAY = {"4": vars(FAST), "8": vars(SLOW), "highest": {"rate_hz": 4.0}}
UAV = {
    "images": 60,
    "images_answered": 58,
    "frames_dropped": 2,
    "rate_images_hz": 2.0,
    "rate_answered_hz": 1.93,
    "stamp_to_output_p50_ms": 200.0,
    "stamp_to_output_p95_ms": 300.0,
    "processing_median_ms": 150.0,
    "peers_fused_min": 1,
}
FLEET = {
    "fleet": {
        "agents": {"uav1": UAV, "uav2": {**UAV, "stamp_to_output_p95_ms": 510.0}},
        "frames_answered": 57,
    }
}
UNITS: dict[str, dict[str, Any]] = {
    "frame": {"bench": BENCH},
    "node": {"node": NODE},
    "replay": REPLAY,
    "fleet": FLEET,
    "demo": {"demo": {"seconds": 99.0}},
}


@pytest.mark.parametrize("limit_hz", [0.3, 1.37, 2.0, 7.9, 31.0])
def test_the_highest_rate_that_holds_is_found_by_bisection(limit_hz: float) -> None:
    asked: list[float] = []

    def attempt(rate_hz: float) -> Try:
        asked.append(rate_hz)
        return FAST if rate_hz <= limit_hz else SLOW

    found = highest(attempt, 1.1)
    assert found is not None and found <= limit_hz < found * 1.1
    assert len(asked) == len(set(asked)) <= 12


def test_a_machine_that_holds_no_rate_has_none_and_one_that_holds_all_has_the_most() -> None:
    assert highest(lambda rate_hz: SLOW, 1.1) is None
    assert highest(lambda rate_hz: FAST, 1.1) == replay_rate.MOST_HZ


def test_99_of_100_images_are_enough() -> None:
    assert Try(4.0, 4.0, 100, 99, 4.0, 1.0, 1.0).holds and not Try(4.0, 4.0, 100, 98, 4.0, 1.0, 1.0).holds
    assert not Try(4.0, None, 0, 0, None, None, None).holds
    figures = {**UAV, "images": 50, "images_answered": 49}
    assert Try.of(2.1, figures) == Try(2.1, 2.0, 50, 49, 1.93, 200.0, 300.0)


def test_a_rate_that_the_replay_itself_does_not_reach_does_not_hold() -> None:
    assert Try(4.0, 3.85, 100, 100, 3.85, 1.0, 1.0).holds
    assert not Try(4.0, 3.5, 100, 100, 3.5, 1.0, 1.0).holds


def test_a_replay_is_the_command_that_a_person_types(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []

    def run(command: list[str]) -> dict[str, Any]:
        typed.append(command)
        return {"agents": {"uav1": UAV}}

    monkeypatch.setattr(replay_rate, "json_of", run)
    assert replay_rate.replay(Path("bag"), "uav1", 8.0, "models/nano", 2).answered == 58
    (words,) = typed
    assert (
        words[3:6] == ["replay", "bag", "--uav"] and words[words.index("--rate") + 1] == "4"
    )  # of a 2 Hz bag
    assert "uav.threads=2" in words and "--json" in words


def test_the_page_has_a_place_for_every_section_and_shows_where_its_figures_come_from(
    root: Path, tmp_path: Path
) -> None:
    template = root / performance.PAGE
    assert set(places(template.read_text())) == {s.name for s in performance.SECTIONS} == set(UNITS)
    page = tmp_path / "performance.md"
    results = {name: {"common": COMMON, "units": units} for name, units in UNITS.items()}
    performance.write_page(page, template, results)
    text = page.read_text()
    assert "Not measured yet" not in text
    for section in performance.SECTIONS:
        assert f"`make bench ONLY={section.name}` · models/nano, weights 01234567…" in text
    assert text.count("A chip · 2 cores · 8 GB · AVX2 · An OS") == len(UNITS)
    for name in (frame.PEERS_SVG, replay.LOAD_SVG):
        assert f"images/{name}" in text and (tmp_path / "images" / name).stat().st_size > 1000


def test_sections_that_were_not_measured_keep_their_text(root: Path, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    other = {**COMMON, "machine": {**MACHINE, "cpu": "Another chip"}}
    performance.write_page(
        page, root / performance.PAGE, {"demo": {"common": COMMON, "units": UNITS["demo"]}}
    )
    performance.write_page(page, page, {"node": {"common": other, "units": UNITS["node"]}})
    text = page.read_text()
    assert "flown in 99 s" in text and "12.3" in text and text.index("Another chip") < text.index("A chip")


def test_a_page_without_the_places_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:frame -->\n<!-- /bench:frame -->")
    with pytest.raises(BenchError, match="differ in demo"):
        performance.write_page(page, page, {})


def test_bars_are_judged_from_the_results() -> None:
    def met(section: Section) -> list[bool | None]:
        return [bar.met for bar in section.bars(UNITS[section.name])]

    assert met(frame.SECTION) == [True, True, True, True]
    assert met(node.SECTION) == [True] * 5
    assert met(replay.SECTION) == [False]
    assert met(missions.FLEET) == [True, True, False]  # 2 Hz; 57 of 60; 510 ms of the slower UAV
    assert met(missions.DEMO) == [True]
    fleet, ratio = frame.SECTION.bars({"bench": {**BENCH, "fleet_frame_ms": 231.0}})[:2]
    assert ratio.measured == pytest.approx(2310.0 / 231.0) and fleet.asked == pytest.approx(775.0 / 6)


def test_what_failed_is_named_and_has_no_bar() -> None:
    lacking = {k: v for k, v in BENCH.items() if k not in ("region_quarter_share", "peers_ms", "per_peer_ms")}
    content = {"bench": {**lacking, "failed": {"region_quarter_share": "no quarter here"}}}
    assert "Not measured: region_quarter_share: no quarter here" in frame.tables(content)
    assert [bar.met for bar in frame.bars(content)] == [True, True, None, None]
    assert frame.figures(content, Path("unused")) == {}


def test_figures_of_changed_files_and_untrained_models_say_so() -> None:
    said = origin(missions.DEMO, {**COMMON, "commit": "fedcba9876543210-dirty", "weights_sha256": None})
    assert "commit fedcba98-dirty" in said and "untrained" in said


def test_the_stages_are_printed_and_written_with_the_whole_frame(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "stages.json"
    words = ("--quick", "--model", f"random:{TINY}", "--threads", "1", "--json", str(out))
    said = output_of(python("benchmarks", *words))
    assert "one UAV-frame" in said and "index_add / lift" in said
    found = json.loads(out.read_text())
    assert found["threads"] == 1 and found["failed"] == {} and found["uav_frame_ms"] > 0
    assert {"stages_ms", "peers_ms", "per_peer_ms", "region_quarter_share", "fleet_frame_ms", "lift"} < set(
        found
    )


def stub(monkeypatch: pytest.MonkeyPatch, *sections: Section) -> None:
    monkeypatch.setattr(performance, "SECTIONS", sections)
    text = "".join(f"<!-- bench:{s.name} -->\nearlier\n<!-- /bench:{s.name} -->\n" for s in sections)
    monkeypatch.setattr(
        Path, "read_text", lambda self, **kw: text if self == performance.PAGE else _read(self)
    )


_read = Path.read_text


def section(name: str, *units: str, fails: str = "") -> tuple[Section, list[str]]:
    """A section of these units, and what it has computed."""
    done: list[str] = []

    def run(plan: Plan, store: Store) -> None:
        for unit in units:
            if unit == fails:
                raise BenchError("it does not work here")
            store.unit(unit, lambda u=unit: done.append(u) or {"value": u})

    return Section(name, name, run, lambda content: " ".join(content), lambda content: []), done


def test_an_interrupted_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made, done = section("first", "a", "b")
    stub(monkeypatch, made)
    args = ["--out", str(tmp_path), "--page", str(tmp_path / "page.md")]
    about = performance.common(performance.parse(args))
    Store(tmp_path / "first.json", about).unit("a", lambda: {"value": "kept"})
    assert performance.main(args) == 0 and done == ["b"]
    assert performance.main(args) == 0 and done == ["b"]
    assert performance.main([*args, "--again"]) == 0 and done == ["b", "a", "b"]
    content = json.loads(_read(tmp_path / "first.json"))
    content["common"]["machine"]["cpu"] = "Another chip"
    (tmp_path / "first.json").write_text(json.dumps(content))
    assert performance.main(args) == 0 and done[3:] == ["a", "b"]  # never mixed with another machine's


def test_a_section_that_fails_stops_no_other_and_keeps_its_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, _ = section("broken", "a", fails="a")
    good, done = section("good", "a")
    stub(monkeypatch, broken, good)
    page = tmp_path / "page.md"
    assert performance.main(["--out", str(tmp_path), "--page", str(page)]) == 2
    assert done == ["a"] and "error: broken: it does not work here" in capsys.readouterr().err
    text = _read(page)
    assert "<!-- bench:broken -->\nearlier" in text and "`make bench ONLY=good`" in text


def test_commands_that_fail_or_print_no_json_are_errors() -> None:
    assert json_of([sys.executable, "-c", "print('{\"a\": 1}')"]) == {"a": 1}
    with pytest.raises(BenchError, match="status 3"):
        output_of([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(BenchError, match="no JSON object"):
        json_of([sys.executable, "-c", "print('[1]')"])
    with pytest.raises(BenchError, match=r"benchmarks\.no_such"):
        output_of(python("benchmarks.no_such"))
