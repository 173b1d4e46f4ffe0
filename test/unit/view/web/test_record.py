"""What a mission comes to on the page, and what is left out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.view.sink import COLLABORATIVE, SINGLE
from rsdfm_ros.view.web import encode
from rsdfm_ros.view.web.health import Health
from rsdfm_ros.view.web.record import MAX_CAMERAS, MissionRecord
from rsdfm_ros.view.web.thinning import AROUND_NS, HELD, PosesAround, Thinning

WINDOW = square_window(8.0, 0.5)
NS = 1_500_000_000


def boxes(*scores: float) -> Boxes:
    n = len(scores)
    centres = np.column_stack([np.arange(n), np.zeros(n), np.full(n, 0.75)])
    sizes = np.tile((4.0, 2.0, 1.5), (n, 1))
    return Boxes(np.zeros(n, np.int64), np.array(scores), centres, sizes, np.zeros(n), np.zeros((n, 2)))


def objects() -> Objects:
    return Objects(
        np.array([5]), np.array([3]), np.array([[1.0, 1.0, 1.5]]), np.array([[4.0, 2.0, 3.0]]), np.zeros(1),
        np.zeros((1, 2)), np.array([[0.25, 0.75]]),
    )  # fmt: skip


def test_tracks_are_rows_of_ids_and_places_also_where_there_are_none() -> None:
    tracks = np.arange(12.0).reshape(2, 3, 2)
    assert encode.track_rows(tracks, [7, 8]) == [[7, 0, 1, 2, 3, 4, 5], [8, 6, 7, 8, 9, 10, 11]]
    assert encode.track_rows(tracks, [7]) == [[0, 0, 1, 2, 3, 4, 5], [0, 6, 7, 8, 9, 10, 11]]
    assert encode.track_rows(tracks[:0], []) == []


def unrolled(lengths: list[int], shape: tuple[int, int]) -> np.ndarray:
    values = np.arange(len(lengths)) % 2
    return np.repeat(values, lengths).reshape(shape).astype(bool)


def content(record: MissionRecord, ns: int = NS) -> dict[str, Any]:
    return dict(json.loads(record.instants.text(record.instants.at(ns))))


def unrolled_values(runs: str | None, shape: tuple[int, int]) -> NDArray[np.uint8]:
    assert runs is not None
    data = base64.b64decode(runs)
    count = len(data) // 5
    values, lengths = np.frombuffer(data, np.uint8, count), np.frombuffer(data, "<u4", count, count)
    return np.repeat(values, lengths).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_come_back_as_the_map(seed: int) -> None:
    cells = np.random.default_rng(seed).random((16, 12)) < (0.1, 0.5, 0.0, 1.1)[seed]
    lengths = encode.runs(cells)
    assert lengths is not None and (unrolled(lengths, cells.shape) == cells).all()
    values = np.random.default_rng(seed).integers(0, 3, (8, 4)).astype(np.uint8)
    assert (unrolled_values(encode.value_runs(values), (8, 4)) == values).all()


def test_noise_is_not_kept() -> None:
    noise = (np.indices((300, 300)).sum(axis=0) % 2).astype(bool)
    assert encode.runs(noise) is None and encode.value_runs(noise.astype(np.uint8)) is None


def test_boxes_that_are_not_sure_or_too_many_are_left_out() -> None:
    rows = encode.box_rows(boxes(0.2, 0.9, 0.5))
    assert [row[1] for row in rows] == [0.9, 0.5] and rows[0][:5] == [0, 0.9, 1.0, 0.0, 0.75]
    assert len(encode.box_rows(boxes(*[0.9] * 2000))) == encode.MAX_ROWS


def test_an_answer_without_trajectories_has_none() -> None:
    assert encode.track_rows(np.zeros((0, 5, 2)), []) == []


def test_what_is_not_finite_cannot_become_json() -> None:
    bad = boxes(0.9, 0.8)
    bad.centres[0, 0] = np.nan
    assert len(encode.box_rows(bad)) == 1


def test_answers_are_compared_with_the_truth_in_whatever_order_they_come() -> None:
    record = MissionRecord("x")
    percent = np.zeros(WINDOW.shape, np.uint8)
    percent[4:8, 4:8] = 90
    record.occupancy("uav1", COLLABORATIVE, NS, percent, WINDOW)
    true = np.zeros(WINDOW.shape, bool)
    true[4:8, 4:6] = True
    record.true_cells(NS, true)
    record.occupancy("uav1", SINGLE, NS, percent * 0, WINDOW)
    record.status("uav1", NS, {"objects": 3, "latency_median_ms": float("nan"), "unknown": "x"})
    entry = content(record)["uavs"]["uav1"]
    assert entry["facts"]["iou_collaborative"] == 0.5 and entry["facts"]["iou_single"] == 0.0
    assert entry["facts"]["objects"] == 3 and "unknown" not in entry["facts"]
    assert entry["facts"]["latency_median_ms"] is None
    cells = unrolled(entry["collaborative"]["cells"], WINDOW.shape)
    assert (cells == (percent >= 50)).all()
    row = record.instants.at(NS).row()
    assert row == [0, 1.5, {"uav1": [None, None, 0.0, 0.5]}]


def test_the_truth_tells_who_sees_what() -> None:
    record = MissionRecord("x")
    record.show_window(WINDOW)
    record.truth(NS, objects(), ("uav1", "uav2"))
    truth = content(record)["truth"]
    assert truth["agents"] == ["uav1", "uav2"] and truth["boxes"][0][11:] == [5, 0.25, 0.75]
    assert unrolled(truth["cells"], WINDOW.shape).sum() == 8 * 4


def test_an_image_becomes_a_jpeg_with_its_camera_and_a_large_one_is_reduced() -> None:
    record, K = MissionRecord("x"), intrinsics_from_fov(2000, 1000, 1.2)
    view = CameraView("uav1", np.full((1000, 2000, 3), 99, np.uint8), K, np.eye(4))
    record.camera("uav1", NS, view)
    assert content(record)["uavs"]["uav1"]["cameras"]["camera"]["size"] == [1000, 2000]
    import cv2

    (data,) = record.instants.at(NS).images.values()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (encode.MAX_IMAGE_SIDE // 2, encode.MAX_IMAGE_SIDE, 3)


def test_uavs_and_cameras_are_bounded() -> None:
    record = MissionRecord("x")
    record.expect([f"a{n}" for n in range(200)])
    assert len(record.agents) == 64
    record.status("one_too_many", NS, {"objects": 1})
    assert "one_too_many" not in content(record)["uavs"]
    view = CameraView("a1", np.zeros((4, 4, 3), np.uint8), np.eye(3), np.eye(4))
    for n in range(50):
        record.camera("a1", NS, view, f"camera{n}")
    assert len(record.instants.at(NS).images) == MAX_CAMERAS


def test_another_region_of_interest_moves_the_window_and_another_cell_size_is_refused() -> None:
    record = MissionRecord("x")
    far = Window(1000, 0, 16, 16, 0.5)
    for window in (WINDOW, far):
        record.occupancy("uav1", COLLABORATIVE, NS, np.zeros(window.shape, np.uint8), window)
        assert record.window == window
    assert record.about()["window"] == [1000, 0, 16, 16, 0.5]
    with pytest.raises(ValueError, match="cells of"):
        record.occupancy("uav1", COLLABORATIVE, NS, np.zeros((16, 16), np.uint8), Window(0, 0, 16, 16, 1.0))


def test_packets_add_up_to_what_a_uav_sees_and_contributors_have_their_own_cells() -> None:
    record = MissionRecord("x")
    record.show_window(WINDOW)
    for half in (slice(0, 16), slice(16, 32)):
        seen = np.zeros(WINDOW.shape, bool)
        seen[half] = True
        record.sees("uav1", NS, seen)
    record.contributors("uav1", NS, np.ones((4, 4), np.uint8))
    entry = content(record)["uavs"]["uav1"]
    assert entry["seen"] == [0, 32 * 32] and entry["contributors"]["shape"] == [4, 4]
    assert (unrolled_values(entry["contributors"]["runs"], (4, 4)) == 1).all()


def test_about_changes_when_the_mission_ends_and_when_uavs_appear() -> None:
    record = MissionRecord("x", live=True)
    changes: list[Callable[[], None]] = [
        lambda: record.expect(["uav1"]),
        lambda: record.surroundings([[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]], []),
        lambda: record.end("over"),
    ]
    for change in changes:
        before = record.revision
        change()
        assert record.revision > before
    about = record.about()
    assert about["ended"] == "over" and about["live"] and len(about["roads"]) == 1
    assert about["agents"][0]["name"] == "uav1" and about["agents"][0]["colour"].startswith("#")


def test_a_static_scene_without_bounds_is_bounded() -> None:
    record = MissionRecord("x")
    record.surroundings([[(0.0, 0.0)] * 15_000] * 2, [[(0.0, 0.0)] * 100])
    assert len(record.about()["roads"]) == 1 and record.about()["buildings"] == []


def test_health_keeps_the_worst_and_the_links() -> None:
    health = Health()
    health.note("uav1", "lifecycle", 0, "active", {})
    assert health.now()["uavs"]["uav1"] == [0, "works"]
    health.note("uav1", "pipeline", 1, "late", {})
    health.note("uav1", "inputs", 2, "no camera", {})
    health.note("uav1", "features out", 3, "nothing sent", {})
    health.note("uav1", "peer uav2", 1, "lossy", {"loss": "0.25", "bytes_per_second": "nan"})
    now = health.now()
    assert now["uavs"]["uav1"] == [2, "no camera"]
    assert now["links"]["uav1"]["uav2"] == {
        "level": 1,
        "sentence": "lossy",
        "loss": 0.25,
        "bytes_per_s": None,
    }
    for n in range(500):
        health.note(f"a{n}", "x", 99, "y" * 10_000, {})
        health.note("uav1", f"concern {n}", 0, "", {})
        health.note("uav1", f"peer p{n}", 0, "", {})
    assert len(json.dumps(health.now())) < 100_000


def test_thinning_reads_whole_instants_at_the_rate_of_the_pages() -> None:
    now, rate = [0.0], [1.0]
    thinning = Thinning(lambda: rate[0], clock=lambda: now[0])
    wanted = []
    for step in range(40):  # eight per second, three messages each
        now[0] = step / 8
        decisions = {thinning.wants(step) for _ in range(3)}
        assert len(decisions) == 1
        wanted += [step] if decisions.pop() else []
    assert wanted == [0, 7, 14, 21, 28, 35]
    assert not thinning.wants(1) and thinning.wants(35)
    rate[0] = 0.0
    now[0] = 99.0
    assert not thinning.wants(1000)


S = 1_000_000_000


def test_poses_that_are_read_are_those_around_images() -> None:
    around: PosesAround[int] = PosesAround()
    read: list[int] = []
    for step in range(100):  # fifty per second
        ns = step * S // 50
        read += around.pose("/uav1/pose", ns, step)
        if step in (40, 80):  # the image of a while ago
            read += around.image(ns - S // 5 + 1)
    near = AROUND_NS * 50 // S
    assert read == [*range(31 - near, 31 + near), *range(71 - near, 71 + near)]


def test_poses_at_the_stamps_of_images_come_alone_and_others_with_a_neighbour_on_each_side() -> None:
    around: PosesAround[int] = PosesAround()
    assert [around.pose("/p", step * S, step) for step in range(3)] == [[], [], []]
    assert around.image(2 * S) == [2] and around.image(2 * S) == []
    assert around.pose("/p", 3 * S, 3) == []
    assert around.image(3 * S + S // 2) == [3]  # the one after it follows when it comes
    assert around.pose("/p", 4 * S, 4) == [4] and around.pose("/p", 5 * S, 5) == []
    assert around.pose("/q", 3 * S + S // 4, 7) == [7]  # another UAV, whose image may have the same stamp


def test_poses_are_bounded_and_a_restarted_source_begins_anew() -> None:
    around: PosesAround[int] = PosesAround()
    for step in range(3 * HELD):
        around.pose("/p", step * S, step)
    assert around.pose("/p", 10, 1) == []  # the clock has jumped back
    assert around.image(10) == [1]
    around = PosesAround()
    for step in range(3 * HELD):
        around.pose("/p", step * S, step)
    assert around.image(HELD * S) == []  # long gone
