"""Recorded missions become records, and the report holds its data."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.view.web import report
from rsdfm_ros.view.web.backfill import read_lines
from rsdfm_ros.view.web.feeding import Feeder, feed, record_of
from rsdfm_ros.view.web.report import make_report, mission_data, mission_section
from support import view_flight as flight


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flight.write_run(tmp_path_factory.mktemp("report") / "run")


def inside(page: str) -> dict[str, Any]:
    """The data inside a page."""
    match = re.search(r'<script type="application/json" id="mission-data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return dict(json.loads(match[1]))


def test_the_report_holds_every_instant_and_its_images(run: Path, tmp_path: Path) -> None:
    (page,) = make_report(RunReader(run), tmp_path, video=False)
    data = inside(page.read_text())
    assert [i["content"]["t"] for i in data["instants"]] == [10.0, 10.5, 11.0]
    assert [a["name"] for a in data["about"]["agents"]] == ["uav1", "uav2"] and not data["about"]["live"]
    assert [[agent, camera] for agent, camera, _ in data["instants"][0]["images"]] == [
        ["uav1", "camera"],
        ["uav2", "camera"],
    ]
    assert "uav2" not in data["instants"][2]["content"]["uavs"] and len(data["rows"]) == 3
    assert page.read_text().count('<script type="importmap">') == 1


def test_a_long_mission_is_thinned_to_what_a_page_may_hold(run: Path) -> None:
    whole = len(mission_data(RunReader(run)))
    less = json.loads(mission_data(RunReader(run), limit=whole // 2))
    assert [i["content"]["number"] for i in less["instants"]] == [row[0] for row in less["rows"]] == [0, 2]


def test_a_run_without_frames_has_no_such_section(run: Path, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes((run / "result.json").read_bytes())
    assert mission_section(RunReader(tmp_path)) is None
    (page,) = report.make_report(RunReader(tmp_path), tmp_path, video=False)
    assert "mission-data" not in page.read_text()


def test_a_bag_and_its_run_come_to_the_same_boxes_and_maps(run: Path, tmp_path: Path) -> None:
    bag = flight.write_bag(tmp_path / "bag")
    records = [record_of(path) for path in (run, bag)]
    for record, path in zip(records, (run, bag), strict=True):
        assert feed(record, path, default_map(), lambda done, total: None) == []
    one, other = ([i.content["uavs"]["uav1"] for i in r.instants.all()] for r in records)
    for a, b in zip(one, other, strict=True):
        for variant in ("single", "collaborative"):
            assert [row[:8] for row in a[variant]["boxes"]] == [row[:8] for row in b[variant]["boxes"]]
            assert a[variant]["cells"] == b[variant]["cells"]
        assert a["facts"]["iou_collaborative"] == b["facts"]["iou_collaborative"] == 1.0
        assert a["cameras"]["camera"]["T"] == b["cameras"]["camera"]["T"]
    assert "contributors" in other[0] and other[0]["facts"]["peers"] == ["uav2"]


def test_who_contributed_to_a_run_comes_from_its_bag(tmp_path: Path) -> None:
    run = flight.write_run(tmp_path / "run")
    flight.write_bag(run / "bag")
    record = record_of(run)
    assert feed(record, run, default_map(), lambda done, total: None) == []
    told = [i.content["uavs"].get("uav1", {}) for i in record.instants.all()]
    assert len(told) == len(flight.STAMPS) and all("contributors" in entry for entry in told)
    for file in (run / "bag").glob("*.mcap"):
        file.write_bytes(b"no bag")
    record = record_of(run)
    assert feed(record, run, default_map(), lambda done, total: None) == []
    assert len(record.instants) == len(flight.STAMPS)


def test_what_cannot_be_read_is_said_on_the_page_and_on_the_screen(tmp_path: Path) -> None:
    bag = flight.write_bag(tmp_path / "bag")
    for file in bag.glob("*.mcap"):
        file.write_bytes(b"no bag")
    record, said = record_of(bag), list[str]()
    feeder = Feeder(record, bag, default_map(), said.extend)
    feeder.start()
    deadline = time.monotonic() + 30
    while not said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    feeder.start()  # once is enough
    feeder.stop()
    assert record.about()["ended"].startswith("this cannot be shown: ") and len(said) == 1


def test_damaged_lines_of_a_status_are_left_out(tmp_path: Path) -> None:
    good = {"frame": 1, "stamp_s": 2.5, "agents": {"uav1": {}}}
    bad = [
        "x",
        "[]",
        "{}",
        '{"frame": "a"}',
        '{"frame": 1, "stamp_s": null, "agents": {}}',
        '{"frame": 2, "stamp',
    ]
    (tmp_path / "status.jsonl").write_text("\n".join([json.dumps(good), *bad]))
    assert read_lines(tmp_path / "status.jsonl", lambda: False) == {
        1: {"stamp_s": 2.5, "agents": {"uav1": {}}}
    }
    assert read_lines(tmp_path / "missing.jsonl", lambda: False) == {}
