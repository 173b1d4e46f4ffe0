"""Recorded runs: reading, images, page and video."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdfm_ros.cli import main
from rsdfm_ros.evaluation.report import images as pic
from rsdfm_ros.evaluation.report import make, video
from rsdfm_ros.evaluation.report.make import make_report
from rsdfm_ros.evaluation.report.maps import key_frames
from rsdfm_ros.evaluation.report.recording import RunError, RunReader, Surroundings
from rsdfm_ros.geometry.lattice import Window

AGENTS = ["uav1", "uav2"]

PROVENANCE = {
    "command": "rsdfm demo --out 'a <b> folder'",
    "date": "2026-01-02T03:04:05+00:00",
    "version": "1.2.3",
    "commit": "c0ffee",
    "seed": 9000,
    "model": {"folder": "models/nano", "weights_sha256": "abcdef0123456789" * 4, "fingerprint": "00f00d"},
    "machine": {
        "cpu": "A Processor",
        "cores": 2,
        "memory_gb": 8.0,
        "instruction_sets": ["AVX2"],
        "os": "Linux",
    },
}


def _line(k: int) -> dict:
    facts = {
        "rate_hz": 2.0,
        "latency_median_ms": 5430.0,
        "processing_median_ms": 200.0,
        "bytes_sent_frame": 15_000 + k,
        "bytes_received": 30_000 * (k + 1),
        "peers": ["uav2"],
        "iou_single": 0.4,
        "iou_collaborative": 0.5 + 0.1 * (k == 3),
    }
    return {"frame": k, "stamp_s": 0.5 * k, "agents": {"uav1": facts, "uav2": {**facts, "iou_single": None}}}


@pytest.fixture
def run(tmp_path: Path) -> RunReader:
    """Four recorded frames: uav1 finds the lower half of a box alone and all of it with its peer."""
    folder = tmp_path / "run"
    (folder / "frames").mkdir(parents=True)
    true = np.zeros((256, 256), np.int32)
    true[128:148, 160:170] = 7
    for k in range(4):
        arrays = {"frame": k, "stamp_ns": k * 500_000_000, "agents": np.array(AGENTS), "true_ids": true}
        for n, agent in enumerate(AGENTS):
            pose = np.eye(4)
            pose[:3, :3] = np.diag([1.0, -1.0, -1.0])
            pose[:3, 3] = [10.0 * n, 0.0, 50.0]
            arrays[f"{agent}/pose"] = pose
            arrays[f"{agent}/image"] = cv2.imencode(".jpg", np.full((54, 96, 3), 90, np.uint8))[1].ravel()
            for variant, part in (("single", 10), ("collaborative", 20)):
                found = np.zeros_like(true)
                found[128 : 128 + part, 160:170] = 1
                arrays[f"{agent}/{variant}/ids"] = found.astype(np.uint16)
                arrays[f"{agent}/{variant}/percent"] = (found * 80).astype(np.uint8)
                arrays[f"{agent}/{variant}/boxes"] = np.array([[0, 0.9, 5, 18, 1, 10, 5, 2, 0, 1, 0]], float)
                arrays[f"{agent}/{variant}/tracks"] = np.zeros((1, 5, 2)) + np.arange(5)[None, :, None]
        np.savez_compressed(folder / "frames" / f"{k:06d}.npz", **arrays)
    row = {"iou_long": 0.5, "vpq_long": 0.4, "map": None, "ap": 0.6, "ade": 1.0}
    result = {
        "protocol": {
            "agents": AGENTS,
            "frames": 4,
            "note": "<b>&",
            "world": "simulation",
            "lockstep": True,
            "budget_bytes": 5000,
        },
        "provenance": PROVENANCE,
        "results": [
            {"method": "single", **row},
            {
                "method": "rsdfm",
                **row,
                "iou_long": 0.75,
                "ade": 0.8,
                "bytes_per_frame": 15000.0,
                "mbit_per_s": 0.24,
            },
        ],
        "agents": {
            a: {
                "single": {"iou": 0.5},
                "collaborative": {"iou": 0.75, "ap": 0.6},
                "latency_median_ms": 5430.0,
                "latency_p95_ms": 6543.0,
                "processing_median_ms": 211.0,
                "processing_p95_ms": 322.0,
            }
            for a in AGENTS
        },
        "frames": [_line(k) for k in range(4)],
    }
    (folder / "result.json").write_text(json.dumps(result))
    square = [(-20.0, -20.0), (20.0, -20.0), (20.0, 20.0), (-20.0, 20.0)]
    K = np.array([[60.0, 0.0, 48.0], [0.0, 60.0, 27.0], [0.0, 0.0, 1.0]])
    Surroundings([square], [], K).write(folder)
    return RunReader(folder)


def test_a_run_reads_back(run: RunReader) -> None:
    assert run.frames == [0, 1, 2, 3]
    frame = run.load(2)
    assert (frame.frame, frame.stamp_s) == (2, 1.0)
    answer = frame.answers["uav2", "collaborative"]
    assert answer.ids is not None and answer.ids.sum() == 200
    assert answer.boxes is not None and answer.boxes.scores[0] == 0.9 and answer.boxes.sizes[0, 0] == 10.0
    assert answer.tracks.shape == (1, 5, 2)
    assert frame.images["uav1"].shape == (54, 96, 3)
    assert run.surroundings.K is not None and run.surroundings.K[0, 2] == 48.0


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"result\.json"):
        RunReader(tmp_path)


def test_a_damaged_frame_is_refused(run: RunReader) -> None:
    (run.folder / "frames" / "000001.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(RunError, match="000001"):
        run.load(1)


def test_found_and_missed_cells_have_their_colours_north_up(run: RunReader) -> None:
    canvas = pic.Canvas(50.0, 400)
    frame = run.load(3)
    alone = np.asarray(pic.answer_map(canvas, frame, Surroundings(), "uav1", "single"))
    # The box covers x 0 to 10 m, y 16 to 21 m: right of the middle, in the upper half.
    assert tuple(alone[200 - 4 * 17, 200 + 4 * 3]) == pic.FOUND
    assert tuple(alone[200 - 4 * 17, 200 + 4 * 7]) == pic.MISSED
    together = np.asarray(pic.answer_map(canvas, frame, Surroundings(), "uav1", "collaborative"))
    assert tuple(together[200 - 4 * 17, 200 + 4 * 7]) == pic.FOUND
    truth = np.asarray(pic.truth_map(canvas, frame, Surroundings()))
    assert tuple(truth[200 - 4 * 17, 200 + 4 * 7]) == pic.TRUE


def test_a_map_wider_than_the_window_of_the_answers_is_empty_outside_it() -> None:
    canvas, window = pic.Canvas(4.0, 16), Window(-2, -4, 4, 16, 1.0)
    shown = canvas.cells(np.ones((4, 16), bool), window)
    assert shown.shape == (8, 8) and shown[:, 2:6].all() and shown.sum() == 32


def test_a_camera_looking_down_sees_a_rectangle_below_it() -> None:
    K = np.array([[50.0, 0.0, 50.0], [0.0, 50.0, 25.0], [0.0, 0.0, 1.0]])
    T = np.eye(4)
    T[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T[:3, 3] = [5.0, 6.0, 20.0]
    outline = pic.footprint(K, T)
    np.testing.assert_allclose([outline.min(0), outline.max(0)], [[-15.0, -4.0], [25.0, 16.0]], atol=1e-9)


def test_maps_show_no_more_than_the_model_answers_on(run: RunReader) -> None:
    frame = run.load(0)
    assert pic.half_extent_m(frame) == 50.0
    small = dataclasses.replace(frame, true_ids=frame.true_ids[64:192, 64:192], answers={})
    assert pic.half_extent_m(small) == 32.0
    assert pic.truth_map(pic.Canvas(32.0, 200), small, Surroundings()).size == (200, 200)


def test_a_missing_answer_is_drawn_as_such(run: RunReader) -> None:
    image = pic.answer_map(pic.Canvas(50.0, 200), run.load(0), Surroundings(), "uav9", "single")
    assert image.size == (200, 200)


def test_the_frame_with_the_greatest_gain_is_shown_first(run: RunReader) -> None:
    assert key_frames(run)[0] == 3


class _Page(HTMLParser):
    void = ("meta", "img", "br", "link", "use", "path")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_self_contained_and_shows_the_figures(run: RunReader) -> None:
    page, movie = make_report(run, run.folder)
    text = page.read_text()
    parser = _Page()
    parser.feed(text)
    assert parser.open == []
    assert all(link.startswith(("data:", "#")) for link in parser.links)
    moments, uavs = len(key_frames(run)), len(AGENTS)
    assert text.count("data:image/jpeg") == moments * uavs  # every UAV's camera
    for agent in AGENTS:
        assert text.count(f'alt="map of {agent} alone"') == moments
        assert text.count(f'alt="map of {agent} with 1 peer"') == moments
    assert "0.75" in text and "+0.250" in text and "15.0 kB" in text and "data:video/mp4" in text
    assert "a <b> folder" not in text and "1 peers" not in text
    assert "<b>&" not in text  # what comes from files is escaped
    assert "nan" not in text.lower().replace("nano", "").replace("nanosec", "").split("base64")[0]
    assert movie.stat().st_size > 1000


@pytest.mark.parametrize("with_ffmpeg", [True, False])
def test_the_video_has_every_frame(
    run: RunReader, monkeypatch: pytest.MonkeyPatch, with_ffmpeg: bool
) -> None:
    if not with_ffmpeg:
        monkeypatch.setattr(video, "find_encoder", lambda: None)
    elif video.find_encoder() is None:
        pytest.skip("no ffmpeg with libx264 here")
    path = run.folder / "bev.mp4"
    codec = video.write_video(run, path, "uav1")
    assert codec == ("H.264" if with_ffmpeg else "VP9")
    capture = cv2.VideoCapture(str(path))
    count = 0
    while True:
        good, image = capture.read()
        if not good:
            break
        count += 1
        assert image.shape == (video.HEIGHT, video.WIDTH, 3)
    assert count == 4


def test_the_page_says_where_its_figures_come_from(run: RunReader) -> None:
    (page,) = make_report(run, run.folder, video=False)
    text = page.read_text()
    for told in ("rsdfm demo --out", "2026-01-02", "1.2.3", "c0ffee", "9000", "models/nano", "00f00d"):
        assert told in text
    assert PROVENANCE["model"]["weights_sha256"] in text and "A Processor" in text and "2 cores" in text
    assert "5 kB per UAV and frame" in text


def test_in_lockstep_the_page_shows_processing_times_and_says_why(run: RunReader) -> None:
    (page,) = make_report(run, run.folder, video=False)
    text = page.read_text()
    assert "211" in text and "322" in text and "5 430" not in text and "6 543" not in text
    assert "says nothing about real time" in text and "processing (ms)" in text and "latency" not in text


def test_in_real_time_the_page_shows_latency_too(run: RunReader) -> None:
    run.result["protocol"]["lockstep"] = False
    (page,) = make_report(run, run.folder, video=False)
    text = page.read_text()
    assert "211" in text and "5 430" in text and "6 543" in text and "latency (ms)" in text
    assert "says nothing about real time" not in text


def test_a_run_of_an_older_version_has_a_page_too(run: RunReader) -> None:
    for key in ("world", "lockstep", "budget_bytes"):
        del run.result["protocol"][key]
    del run.result["provenance"]
    (page,) = make_report(run, run.folder, video=False)
    text = page.read_text()
    assert "2 UAVs flew for" in text and "None" not in text


def test_the_page_ends_with_commands_for_what_is_there(run: RunReader) -> None:
    (page,) = make_report(run, run.folder, video=False)
    text = page.read_text()
    assert f"./rsdfm view {run.folder}" in text and "bag evaluate" not in text
    (run.folder / "bag").mkdir()
    (page,) = make_report(run, run.folder, video=False)
    steps = page.read_text().partition("What to try next")[2]
    assert f"./rsdfm bag evaluate {run.folder}/bag" in steps
    assert f"./rsdfm demo --seed 9001 --out {run.folder}-9001" in steps


def test_a_page_in_another_folder_says_where_the_figures_are(run: RunReader, tmp_path: Path) -> None:
    (page,) = make_report(run, run.folder, video=False)
    assert "<code>result.json</code> beside this page" in page.read_text()
    (page,) = make_report(run, tmp_path / "pages", video=False)
    assert "beside this page" not in page.read_text() and str(run.folder / "result.json") in page.read_text()


def test_a_report_that_was_stopped_leaves_no_video_that_blocks_the_next(
    run: RunReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*words: object) -> None:
        raise KeyboardInterrupt

    words = ["report", str(run.folder), "--out", str(tmp_path / "page")]
    with monkeypatch.context() as patch:
        patch.setattr(make, "write_report", stopped)
        assert main(words) == 130
    assert list((tmp_path / "page").iterdir()) == []
    assert main(words) == 0


def test_nothing_but_background_lies_where_players_have_their_controls(run: RunReader) -> None:
    image = video.compose(run, run.load(3), "uav1", run.lines[3])
    assert (image[-60:] == pic.PAPER).all()


def test_an_unknown_agent_is_refused(run: RunReader) -> None:
    with pytest.raises(Exception, match="uav1, uav2"):
        make_report(run, run.folder, agent="uav7")
