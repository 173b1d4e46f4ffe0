"""`rsdfm view` of bags and runs, checked by reading back what the viewer would show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the viewer is an extra: make setup-view")

from rsdfm_ros import cli
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.view import maps
from rsdfm_ros.view.messages import MessageError, Router, window_of_grid
from rsdfm_ros.view.scene import Scene
from rsdfm_ros.view.viewer import new_recording
from support import view_flight as flight
from support.rerun_file import RerunFile

STAMPS = list(flight.STAMPS)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flight.write_bag(tmp_path_factory.mktemp("flight") / "bag")


@pytest.fixture(scope="module")
def shown(bag: Path) -> RerunFile:
    out = bag.parent / "bag.rrd"
    assert cli.main(["view", str(bag), "--save", str(out)]) == 0
    return RerunFile(out)


def map_of(shown: RerunFile, entity: str, stamp: int) -> np.ndarray:
    """Classes (rows, columns), north up."""
    (form,) = shown.value(entity, stamp, "SegmentationImage:format")
    (data,) = shown.value(entity, stamp, "SegmentationImage:buffer")
    return np.frombuffer(bytes(data), np.uint8).reshape(form["height"], form["width"])


def test_every_uav_has_its_entities_at_every_stamp(shown: RerunFile) -> None:
    assert shown.recordings == 1 and shown.blueprints >= 1
    for agent in flight.AGENTS:
        for name in ("camera", "camera/image", "camera/boxes", "camera/truth", "boxes", "trajectories"):
            assert shown.stamps(f"/map/{agent}/{name}") == STAMPS, name
        for variant in ("single", "collaborative"):
            for name in ("cells", "trajectories"):
                assert shown.stamps(f"/bev/{agent}/{variant}/{name}") == STAMPS, name
        assert shown.stamps(f"/bev/{agent}/contributors") == STAMPS
        for plot in ("bytes", "latency_ms"):
            assert shown.stamps(f"/plots/{plot}/{agent}") == STAMPS
        assert shown.stamps(f"/map/{agent}/track/camera") == STAMPS[1:]
    assert shown.stamps("/map/truth") == STAMPS and shown.stamps("/bev/coverage") == STAMPS


def test_the_camera_is_where_it_was_and_boxes_are_projected_into_its_picture(shown: RerunFile) -> None:
    (place,) = shown.value("/map/uav2/camera", STAMPS[0], "Transform3D:translation")
    assert place == [5.0, 0.0, 40.0]
    (matrix,) = shown.value("/map/uav2/camera", STAMPS[0], "Pinhole:image_from_camera")
    np.testing.assert_allclose(np.array(matrix).reshape(3, 3).T, flight.K, rtol=1e-6)
    strips = np.array(shown.value("/map/uav1/camera/truth", STAMPS[0], "LineStrips2D:strips"))
    f, (u, v) = flight.K[0, 0], (40.0, 30.0)
    car = strips[:14]  # at x -6…-2, y 1…3, up to 1.5 m
    assert car[..., 0].min() == pytest.approx(u - 6 * f / 38.5, abs=1e-3)
    assert car[..., 1].min() == pytest.approx(v - 3 * f / 38.5, abs=1e-3)
    assert car[..., 1].max() == pytest.approx(v - 1 * f / 40, abs=1e-3)


def test_maps_tell_found_from_missed_and_the_bus_is_missed_alone(shown: RerunFile) -> None:
    alone = map_of(shown, "/bev/uav1/single/cells", STAMPS[1])
    together = map_of(shown, "/bev/uav1/collaborative/cells", STAMPS[1])
    truth = map_of(shown, "/bev/truth/cells", STAMPS[1])
    assert alone.shape == together.shape == truth.shape == (64, 64)
    car, bus = (
        (32 - 4, 32 - 4),
        (32 + 10, 32 + 12),
    )  # row and column of (-2, 2) and (6, -5): 2 cells per metre
    assert alone[car] == maps.FOUND and alone[bus] == maps.MISSED
    assert together[car] == together[bus] == maps.FOUND
    assert truth[car] == truth[bus] == maps.VEHICLE and truth[0, 0] == maps.GROUND
    (iou,) = shown.value("/plots/iou/uav1\\ collaborative", STAMPS[1], "Scalars:scalars")
    (less,) = shown.value("/plots/iou/uav1\\ single", STAMPS[1], "Scalars:scalars")
    assert iou == 1.0 and 0.2 < less < 0.5


def test_contributors_and_coverage_name_the_uavs(shown: RerunFile) -> None:
    one, two = maps.uav_class(0), maps.uav_class(1)
    first = map_of(shown, "/bev/uav1/contributors", STAMPS[2])
    second = map_of(shown, "/bev/uav2/contributors", STAMPS[2])
    assert first.shape == (64, 64)
    assert first[0, 0] == two and first[-1, 0] == one  # the north of uav1 comes from uav2
    assert second[0, 0] == one and second[-1, 0] == two
    seen = map_of(shown, "/bev/coverage", STAMPS[2])
    assert seen[-1, 0] == maps.SEVERAL and seen[0, -1] == two and seen[0, 0] == maps.GROUND
    context = shown.static["/bev"]["AnnotationContext:context"][0]
    names = {entry["class_id"]: entry["class_description"]["info"]["label"] for entry in context}
    assert names[one] == "uav1" and names[two] == "uav2"


def test_plots_carry_the_figures_of_the_status(shown: RerunFile) -> None:
    values = [shown.value("/plots/bytes/uav2", s, "Scalars:scalars") for s in STAMPS]
    assert values == [[2000.0], [2001.0], [2002.0]]
    assert shown.value("/plots/latency_ms/uav1", STAMPS[0], "Scalars:scalars") == [250.0]


def test_boxes_carry_class_score_and_heading(shown: RerunFile) -> None:
    entity = "/map/uav1/boxes"
    assert shown.value(entity, STAMPS[0], "Boxes3D:labels") == ["car 1.00", "bus 1.00"]
    half = shown.value(entity, STAMPS[0], "Boxes3D:half_sizes")
    assert half == [[2.0, 1.0, 0.75], [5.0, 1.25, 1.5]]
    turn = shown.value(entity, STAMPS[0], "Boxes3D:quaternions")[1]
    np.testing.assert_allclose(turn, [0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-6)
    assert shown.value("/map/truth", STAMPS[0], "Boxes3D:labels") == ["car #3", "bus #8"]


def test_a_bag_without_truth_and_answers_of_single_uavs_still_shows_the_rest(tmp_path: Path) -> None:
    less = flight.write_bag(
        tmp_path / "bag", without=("ground_truth", "contributors", "single/occupancy", "status")
    )
    assert cli.main(["view", str(less), "--save", str(tmp_path / "a.rrd")]) == 0
    shown = RerunFile(tmp_path / "a.rrd")
    assert not shown.stamps("/map/truth") and not shown.stamps("/bev/uav1/contributors")
    cells = map_of(shown, "/bev/uav1/collaborative/cells", STAMPS[0])
    assert set(np.unique(cells)) == {maps.GROUND, maps.VEHICLE}
    assert shown.stamps("/bev/coverage") == STAMPS


def test_foreign_topics_are_shown_through_a_topic_map(tmp_path: Path) -> None:
    from rclpy.serialization import serialize_message

    with BagWriter(tmp_path / "bag") as bag:
        for order, (topic, kind, ns, message) in enumerate(flight.messages()):
            if topic.startswith("/uav1/camera") or topic == "/uav1/pose":
                bag.write(
                    topic.replace("/uav1/", "/drones/heron/").replace("/camera/", "/front/"),
                    kind,
                    ns + order,
                    serialize_message(message),
                )
    save = ["--save", str(tmp_path / "a.rrd")]
    assert cli.main(["view", str(tmp_path / "bag"), *save]) == 2
    assert not (tmp_path / "a.rrd").exists()
    (tmp_path / "map.yaml").write_text(
        "name: there\nuavs: auto\nuav:\n  cameras:\n    camera:\n      image: /drones/{uav}/front/image_raw\n"
        "      info: /drones/{uav}/front/camera_info\n  pose: /drones/{uav}/pose\nframe_id: ''\n"
    )
    assert cli.main(["view", str(tmp_path / "bag"), "--map", str(tmp_path / "map.yaml"), *save]) == 0
    shown = RerunFile(tmp_path / "a.rrd")
    # Without a frame in the map, images before the first pose have nowhere to be.
    assert shown.stamps("/map/heron/camera/image") == STAMPS[1:]


def test_the_folder_of_a_run_is_shown(tmp_path: Path) -> None:
    run = flight.write_run(tmp_path / "run")
    assert cli.main(["view", str(run), "--save", str(tmp_path / "a.rrd")]) == 0
    shown = RerunFile(tmp_path / "a.rrd")
    assert shown.stamps("/map/uav1/camera/image") == shown.stamps("/bev/truth/cells") == STAMPS
    assert set(np.unique(map_of(shown, "/bev/uav1/collaborative/cells", STAMPS[0]))) == {
        maps.GROUND,
        maps.FOUND,
    }
    assert shown.value("/plots/bytes/uav1", STAMPS[2], "Scalars:scalars") == [702.0]
    assert len(shown.static["/map/roads"]["LineStrips3D:strips"]) == 1


@pytest.mark.parametrize(
    ("make", "arguments", "says"),
    [
        (lambda p: None, [], "does not exist"),
        (lambda p: p.mkdir(), [], "holds no bag file"),
        (lambda p: p.write_bytes(b"no bag"), [], "is no bag file"),
        (lambda p: BagWriter(p).close(), [], "nothing in it can be read"),
        (lambda p: flight.write_bag(p), ["--map", "missing.yaml"], "topic map"),
        (lambda p: flight.write_bag(p), ["--save", "/proc/nowhere/a.rrd"], "cannot be written"),
        (lambda p: flight.write_bag(p), ["--connect", "localhost:9876"], "rerun\\+http"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, arguments: list[str], says: str
) -> None:
    source = tmp_path / "source"
    make(source)
    if not {"--save", "--connect"} & set(arguments):
        arguments = [*arguments, "--save", str(tmp_path / "a.rrd")]
    assert cli.main(["view", str(source), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    assert re.search(says, error)
    assert not (tmp_path / "a.rrd").exists()


def test_a_missing_viewer_binary_is_said(
    bag: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rsdfm_ros.view.viewer.shutil.which", lambda name: None)
    assert cli.main(["view", str(bag), "--no-web"]) == 2
    assert "--save FILE or --web" in capsys.readouterr().err


def test_a_machine_without_a_screen_is_said(
    bag: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["view", str(bag), "--no-web"]) == 2
    assert "no screen" in capsys.readouterr().err


def test_a_missing_rerun_says_how_to_get_it(bag: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['rerun'] = None\nfrom rsdfm_ros.cli import main\n"
        f"sys.exit(main(['view', {str(bag)!r}, '--save', {str(tmp_path / 'a.rrd')!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2 and "make setup-view" in ended.stderr and "Traceback" not in ended.stderr


def test_layouts_are_written_for_any_number_of_uavs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rviz, foxglove = tmp_path / "a.rviz", tmp_path / "a.json"
    assert cli.main(["view", "--uavs", "7", "--rviz", str(rviz), "--foxglove", str(foxglove)]) == 0
    assert (
        "uav7" in rviz.read_text() and "Image!uav7_camera" in json.loads(foxglove.read_text())["configById"]
    )
    assert capsys.readouterr().out.split() == [str(rviz), str(foxglove)]
    assert cli.main(["view", "--uavs", "0", "--rviz", str(rviz)]) == 2
    assert cli.main(["view", "--rviz", "/proc/nowhere/a.rviz"]) == 2


class Grid:
    """An OccupancyGrid, as far as its window goes."""

    def __init__(self, resolution: float, x: float, y: float, width: int = 4, height: int = 4) -> None:
        from types import SimpleNamespace as N

        self.info = N(resolution=resolution, width=width, height=height, origin=N(position=N(x=x, y=y)))


def test_the_window_of_a_grid_lies_on_whole_cells() -> None:
    assert window_of_grid(Grid(float(np.float32(0.1)), -0.4, 0.2)) == Window(-4, 2, 4, 4, 0.1)
    bad = [(0.5, 0.1, 0.0), (0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (0.5, 1e30, 0.0)]
    for values in bad:
        with pytest.raises(MessageError, match="whole cells"):
            window_of_grid(Grid(*values))
    with pytest.raises(MessageError):
        window_of_grid(Grid(0.5, 0.0, 0.0, 2**31, 2**31))


def test_nonsense_is_counted_and_survived(tmp_path: Path) -> None:
    recording = new_recording("test")
    recording.save(tmp_path / "a.rrd")
    router = Router(Scene(recording), default_map())
    everything = {topic: kind for topic, kind, _, _ in flight.messages()}
    router.learn(everything)
    for topic, _, ns, message in flight.messages():
        for name in ("data", "objects", "payload", "trajectories"):
            if hasattr(message, name):
                value = getattr(message, name)
                if name not in ("objects", "trajectories"):
                    setattr(message, name, value[: len(value) // 2])
                if name == "objects" and message.objects:
                    message.objects[0].pose.pose.position.x = float("nan")
                if name == "trajectories" and message.trajectories:
                    message.trajectories[0].positions = message.trajectories[0].positions[:2]
        router.take(topic, message, 10, ns / 1e9)
    refused = {topic for topic, _ in router.rejects}
    assert {"/uav1/bev/features", "/uav1/occupancy", "/uav1/bev/contributors", "/ground_truth"} <= refused
    assert {"/uav1/detections", "/uav1/trajectories", "images of uav1"} <= refused
    assert router.shown["/uav1/status"] == 3
    router.take("/uav1/status", object(), 10, 0.0)  # a type of the same name with other fields
    assert router.rejects["/uav1/status", "content"] == 1


def test_no_view_stands_in_two_places() -> None:
    from rsdfm_ros.view.viewer import blueprint

    def ids(part: Any) -> list[str]:
        inner = [
            i for child in getattr(part, "contents", ()) if not isinstance(child, str) for i in ids(child)
        ]
        return [str(part.id), *inner]

    for contributing in ((), ("uav1",), flight.AGENTS):
        made = blueprint(flight.AGENTS, [("uav1", "camera")], flight.WINDOW, contributing, covered=True)
        found = ids(made.root_container)
        assert len(found) == len(set(found)) > 10


def test_another_region_of_interest_moves_all_maps(tmp_path: Path) -> None:
    recording = new_recording("test")
    recording.save(tmp_path / "a.rrd")
    scene = Scene(recording)
    near, far = flight.WINDOW, Window(1000, 0, 32, 32, 0.5)
    for ns, window in zip(STAMPS, (near, far, far), strict=True):
        scene.truth(ns, flight.objects(0))
        scene.occupancy("uav1", "collaborative", ns, np.full(window.shape, 100, np.uint8), window)
        scene.sees("uav1", ns, np.ones(window.shape, bool))
        assert scene.window == window
    recording.disconnect()
    shown = RerunFile(tmp_path / "a.rrd")
    sizes = [map_of(shown, "/bev/uav1/collaborative/cells", s).shape for s in STAMPS]
    assert sizes == [(64, 64), (32, 32), (32, 32)]


def test_ctrl_c_keeps_what_was_read(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    take, count = Router.take, iter(range(10_000))

    def interrupted(self: Router, *arguments: Any) -> None:
        if next(count) == 20:
            raise KeyboardInterrupt
        take(self, *arguments)

    monkeypatch.setattr(Router, "take", interrupted)
    out = tmp_path / "a.rrd"
    assert cli.main(["view", str(bag), "--save", str(out)]) == cli.EXIT_INTERRUPTED
    assert f"{out} holds what was read so far" in capsys.readouterr().err
    assert RerunFile(out).stamps("/map/uav1/camera/image") == STAMPS[:1]
