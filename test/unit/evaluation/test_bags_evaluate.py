"""Offline evaluation of bags: the same numbers twice, in every format, whole or damaged, ours or foreign."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsdfm_ros.agent.frame_store import FRAMES_KEPT
from rsdfm_ros.cli import main
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.map_file import load_map, map_from_dict
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.topic_map import TopicMap, default_map
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.evaluation.bags.answers import EngineOptions
from rsdfm_ros.evaluation.bags.evaluate import evaluate_bag, load_perception
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.geometry.rotations import quaternion_from_matrix
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.packet import encode_frame
from support.bag_data import (
    AGENTS,
    START_NS,
    STEP_NS,
    camera_pose,
    frame,
    make_bag,
    only_file,
    shifted,
    with_heights,
)
from support.places import ROOT, TINY

CONFIG = ROOT / "config" / "bags"
FRAMES = 4
OPTIONS = EngineOptions(budget_bytes=5000)


@pytest.fixture(scope="module")
def perception() -> Perception:
    return load_perception(f"random:{TINY}:3")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("bags") / "bag", FRAMES)


@pytest.fixture(scope="module")
def result(bag: Path, perception: Perception) -> dict[str, Any]:
    return evaluated(bag, perception)


def evaluated(
    folder: Path, perception: Perception, topic_map: TopicMap | None = None, options: EngineOptions = OPTIONS
) -> dict[str, Any]:
    with open_bag(folder) as opened:
        return evaluate_bag(opened, topic_map or default_map(), perception, options)


def figures(result: dict[str, Any]) -> Any:
    """Everything but where it came from."""
    protocol = {k: v for k, v in result["protocol"].items() if k not in ("bag", "storage")}
    return json.dumps({**result, "protocol": protocol}, sort_keys=True)


def test_a_bag_with_truth_gives_the_figures_of_evaluate(result: dict[str, Any]) -> None:
    assert [row["method"] for row in result["results"]] == ["single", "rsdfm"]
    assert result["protocol"]["instants"] == FRAMES and result["protocol"]["instants_judged"] == FRAMES - 2
    assert result["results"][1]["iou_short"] is not None
    assert 1000 < result["results"][1]["bytes_per_frame"] < 8000
    assert result["agents"]["uav1"]["peers_fused_mean"] == 1.0
    assert result["left_out"] == [] and result["damage"] == [] and result["packets_refused"] == {}
    assert result["missing"] == [f"{a}: no status was recorded, so no latency is known" for a in AGENTS]
    json.dumps(result, allow_nan=False)


def test_pictures_recorded_before_their_camera_info_are_used(
    tmp_path: Path, bag: Path, result: dict[str, Any], perception: Perception
) -> None:
    with open_bag(bag) as opened, BagWriter(tmp_path / "late") as writer:
        late = [(m.log_ns + 1_000_000 * m.topic.endswith("camera_info"), m) for m in opened.messages()]
        for log_ns, m in sorted(late, key=lambda record: record[0]):
            writer.write(m.topic, m.type_name, log_ns, bytes(m.raw))
    found = evaluated(tmp_path / "late", perception)
    assert found["left_out"] == [] and found["results"] == result["results"]


def test_recorded_heights_of_the_ground_are_what_the_fleet_stands_on(
    tmp_path: Path, bag: Path, result: dict[str, Any], perception: Perception
) -> None:
    told = {uav: [(0.5 * k + 0.02, 3.0) for k in range(FRAMES)] for uav in AGENTS}
    found = evaluated(with_heights(bag, tmp_path / "told", told), perception)
    level = evaluated(bag, perception, options=replace(OPTIONS, ground_height_m=3.0))
    assert found["agents"] == level["agents"] and found["results"] == level["results"]
    assert found["agreement"] == level["agreement"] and found["results"] != result["results"]
    # One UAV whose height is told for the first two images only: the others are left out.
    short = evaluated(with_heights(bag, tmp_path / "short", {"uav2": [(-0.4, 3.0)]}), perception)
    assert [short["agents"][uav]["frames"] for uav in AGENTS] == [FRAMES, 2]
    (left,) = short["left_out"]
    assert (left["where"], left["reason"], left["count"]) == ("uav2", "ground_unknown", FRAMES - 2)


def test_the_same_numbers_come_twice(bag: Path, result: dict[str, Any], perception: Perception) -> None:
    assert figures(evaluated(bag, perception)) == figures(result)


def test_the_same_numbers_come_from_a_database(
    tmp_path: Path, result: dict[str, Any], perception: Perception
) -> None:
    folder = make_bag(tmp_path / "bag", FRAMES, storage="sqlite3")
    assert figures(evaluated(folder, perception)) == figures(result)


def test_the_same_numbers_come_from_split_files_and_without_metadata(
    tmp_path: Path, result: dict[str, Any], perception: Perception
) -> None:
    folder = make_bag(tmp_path / "bag", FRAMES, max_bytes=60_000)
    assert figures(evaluated(folder, perception)) == figures(result)
    (folder / "metadata.yaml").unlink()
    again = evaluated(folder, perception)
    assert again["results"] == result["results"] and len(again["damage"]) == 1


def test_the_recording_order_within_an_instant_does_not_matter(
    tmp_path: Path, bag: Path, result: dict[str, Any], perception: Perception
) -> None:
    with open_bag(bag) as opened:
        messages = list(opened.messages())
    with BagWriter(tmp_path / "mixed") as writer:
        for message in sorted(messages, key=lambda m: (m.log_ns, m.topic[::-1])):
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
    assert figures(evaluated(tmp_path / "mixed", perception)) == figures(result)


def test_a_damaged_bag_gives_what_is_left_and_says_so(tmp_path: Path, perception: Perception) -> None:
    folder = make_bag(tmp_path / "bag", 6)
    raw = only_file(folder).read_bytes()
    only_file(folder).write_bytes(raw[: int(len(raw) * 0.7)])
    left = evaluated(folder, perception)
    assert 2 <= left["protocol"]["instants"] < 6 and left["damage"]


def test_without_truth_there_is_agreement_and_a_word(
    tmp_path: Path, bag: Path, perception: Perception
) -> None:
    with open_bag(bag) as opened, BagWriter(tmp_path / "blind") as writer:
        for message in opened.messages([t for t in opened.topics if t != "/ground_truth"]):
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
    blind = evaluated(tmp_path / "blind", perception)
    assert blind["results"] == [] and blind["missing"][0].startswith("no ground truth")
    assert blind["agreement"]["single"]["pairs"] == FRAMES
    assert blind["agreement"]["rsdfm"]["common_cells"] > 0
    assert blind["agents"]["uav2"]["rate_hz"] == pytest.approx(2.0)


def test_a_uav_without_poses_is_named_and_the_others_count(
    tmp_path: Path, bag: Path, perception: Perception
) -> None:
    with open_bag(bag) as opened, BagWriter(tmp_path / "bag") as writer:
        for message in opened.messages([t for t in opened.topics if t != "/uav2/pose"]):
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
    alone = evaluated(tmp_path / "bag", perception)
    assert alone["agents"]["uav1"]["frames"] == FRAMES and alone["agents"]["uav2"]["frames"] == 0
    assert "uav2: no usable image" in alone["missing"]


def test_recorded_packets_replace_the_computed_ones(
    tmp_path: Path, bag: Path, perception: Perception
) -> None:
    broken = feature_message(
        b"no payload",
        agent="uav1",
        stamp_ns=START_NS,
        frame=0,
        index=0,
        count=1,
        fingerprint=1,
        T_map_camera=np.eye(4),
        covariance=np.zeros((6, 6)),
    )
    with open_bag(bag) as opened, BagWriter(tmp_path / "bag") as writer:
        for n, message in enumerate(opened.messages()):
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
            if n == 3:
                writer.write("/uav1/bev/features", "rsdfm_ros/msg/FeaturePacket", START_NS, broken)
    options = EngineOptions(recorded_features=True)
    recorded = evaluated(tmp_path / "bag", perception, options=options)
    assert sum(recorded["packets_refused"].values()) == 1
    assert recorded["agents"]["uav2"]["peers_fused_mean"] == 0.0  # nothing usable came over the radio
    assert recorded["agents"]["uav1"]["bytes_per_frame"] == len(broken) / FRAMES


def test_packets_that_the_radio_lost_are_counted_and_the_rest_is_fused(
    tmp_path: Path, bag: Path, perception: Perception
) -> None:
    number = 6  # an inbox gives an image up when the fifth one after it comes
    with BagWriter(tmp_path / "bag") as writer:
        for k in range(number):
            write_frames(writer, [shifted(frame(k))], AGENTS)
            view, stamp_ns = frame(k).views[0], START_NS + k * STEP_NS
            bev = perception.perceive(view.image, view.K, view.T_map_camera, view.covariance)
            packets = encode_frame(perception.compress(bev, 100), fingerprint=perception.fingerprint)
            raw = feature_message(
                packets[0],
                agent="uav1",
                stamp_ns=stamp_ns,
                frame=k,
                index=0,
                count=len(packets) + 1,
                fingerprint=perception.fingerprint,
                T_map_camera=view.T_map_camera,
                covariance=view.covariance,
            )
            writer.write("/uav1/bev/features", "rsdfm_ros/msg/FeaturePacket", stamp_ns, raw)
    recorded = evaluated(tmp_path / "bag", perception, options=EngineOptions(recorded_features=True))
    assert recorded["agents"]["uav2"]["peers_fused_mean"] == 1.0 and not recorded["packets_refused"]
    assert recorded["protocol"]["packets_lost"] == (number - FRAMES_KEPT) * len(packets) >= 2


def test_a_foreign_bag_is_read_through_its_map(
    tmp_path: Path, result: dict[str, Any], perception: Perception
) -> None:
    foreign = make_foreign(tmp_path / "bag")
    there = evaluated(foreign, perception, load_map(CONFIG / "foreign.yaml"))
    assert there["protocol"]["uavs"] == ["falcon", "heron"] and there["results"] == []
    assert there["left_out"] == [] and there["damage"] == []
    for uav in ("falcon", "heron"):
        assert there["agents"][uav]["frames"] == FRAMES and there["agents"][uav]["peers_fused_mean"] == 1.0
    # The same cameras at the same places: what both see is about as much as in our own bag.
    ours = result["agreement"]["single"]["common_cells"] / FRAMES
    assert there["agreement"]["single"]["common_cells"] / FRAMES == pytest.approx(ours, rel=0.3)


def test_a_bag_that_the_map_does_not_fit_is_refused_in_words(
    bag: Path, perception: Perception, tmp_path: Path
) -> None:
    other = tmp_path / "map.yaml"
    other.write_text("uav: {cameras: {c: {image: '/x/{uav}/i', info: '/x/{uav}/c'}}, pose: '/x/{uav}/p'}\n")
    with pytest.raises(BagError, match="finds no UAV"):
        evaluated(bag, perception, load_map(other))


def test_the_command_writes_the_same_figures_twice_and_where_they_come_from(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for n in range(2):
        words = [
            "bag",
            "evaluate",
            str(bag),
            "--model",
            f"random:{TINY}:3",
            "--json",
            str(tmp_path / f"{n}.json"),
        ]
        assert main(words) == 0
        results.append(json.loads((tmp_path / f"{n}.json").read_text()))
        told = results[-1].pop("provenance")
        assert told["model"]["folder"] == f"random:{TINY}:3" and told["model"]["weights_sha256"] is None
        assert told["model"]["fingerprint"] == results[-1]["protocol"]["model_fingerprint"]
        assert told["date"] and told["machine"]["cores"] >= 1 and told["seed"] is None
    assert results[0] == results[1]
    assert "no status was recorded" in capsys.readouterr().out
    assert main(["bag", "info", str(bag), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == FRAMES * 7 + 4
    assert main(["bag", "evaluate", str(bag), "--max-age", "-1"]) == 2
    assert main(["bag", "info", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_bag_to_data_set_and_back_keeps_geometry_and_truth(
    bag: Path, tmp_path: Path, perception: Perception
) -> None:
    data = tmp_path / "data"
    assert main(["bag", "export", "--bag", str(bag), "--out", str(data)]) == 0
    dataset = open_dataset(data)
    assert dataset.scenes[0].frames == FRAMES and dataset.scenes[0].agents == AGENTS
    loaded = dataset.load(0, 2)
    assert np.allclose(loaded.views[1].T_map_camera, camera_pose(1, 2), atol=1e-6)
    assert np.allclose(loaded.objects.centres, frame(2).objects.centres)
    assert main(["bag", "export", "--data", str(data), "--out", str(tmp_path / "back")]) == 0
    with open_bag(tmp_path / "back") as back:
        assert back.topics["/uav1/camera/image_raw"].messages == FRAMES and back.damage == []
        stamps = [m.log_ns for m in back.messages(["/ground_truth"])]
        assert stamps == [START_NS + k * STEP_NS for k in range(FRAMES)]
    assert main(["bag", "export", "--data", str(data), "--out", str(data)]) == 2


def make_foreign(folder: Path) -> Path:
    """The flight of bag_data as another system would have recorded it (config/bags/foreign.yaml)."""
    t = typestore().types
    extrinsics = load_map(CONFIG / "foreign.yaml").uav.cameras["front"].extrinsics
    from rsdfm_ros.data.messages.poses import extrinsics as matrix_of

    T_camera_body = np.linalg.inv(matrix_of(extrinsics))

    def header(ns: int, frame_id: str) -> Any:
        stamp = t["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
        return t["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def pose(T: np.ndarray) -> Any:
        q = quaternion_from_matrix(T[:3, :3])
        return t["geometry_msgs/msg/Pose"](
            position=t["geometry_msgs/msg/Point"](*map(float, T[:3, 3])),
            orientation=t["geometry_msgs/msg/Quaternion"](*map(float, q)),
        )

    def write(writer: BagWriter, topic: str, kind: str, ns: int, message: Any) -> None:
        writer.write(topic, kind, ns + 3_000_000, typestore().serialize_cdr(message, kind))

    with BagWriter(folder, storage="sqlite3") as writer:
        for k in range(FRAMES):
            source = shifted(frame(k))
            for n, name in enumerate(("falcon", "heron")):
                view, ns, here = source.views[n], source.stamp_ns, f"/drones/{name}"
                # Poses come faster than images and at other times: they are interpolated.
                for offset in (-20_000_000, 30_000_000):
                    share = k + offset / STEP_NS
                    low, high = int(np.floor(share)), int(np.floor(share)) + 1
                    T = camera_pose(n, low) * (high - share) + camera_pose(n, high) * (share - low)
                    body = T @ T_camera_body
                    if name == "falcon":
                        odometry = t["nav_msgs/msg/Odometry"](
                            header=header(ns + offset, "odom"),
                            child_frame_id="base_link",
                            pose=t["geometry_msgs/msg/PoseWithCovariance"](
                                pose=pose(body), covariance=np.zeros(36)
                            ),
                            twist=t["geometry_msgs/msg/TwistWithCovariance"](
                                twist=t["geometry_msgs/msg/Twist"](
                                    linear=t["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0),
                                    angular=t["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0),
                                ),
                                covariance=np.zeros(36),
                            ),
                        )
                        write(writer, f"{here}/odometry", "nav_msgs/msg/Odometry", ns + offset, odometry)
                    else:
                        kind = "geometry_msgs/msg/PoseStamped"
                        message = t[kind](header=header(ns + offset, "odom"), pose=pose(body))
                        write(writer, f"{here}/local_position", kind, ns + offset, message)
                    if offset < 0:
                        kind = "sensor_msgs/msg/CompressedImage"
                        size = (640, 360) if name == "heron" else (view.image.shape[1], view.image.shape[0])
                        image = cv2.resize(view.image, size)
                        jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].ravel()
                        message = t[kind](
                            header=header(ns, "cam"), format="rgb8; jpeg compressed bgr8", data=jpeg
                        )
                        write(writer, f"{here}/camera/image/compressed", kind, ns, message)
            falcon = source.views[0]
            info = shifted(frame(k))
            scratch = BagWriter(folder.parent / f"scratch{k}")
            write_frames(scratch, [info], AGENTS)
            scratch.close()
            with open_bag(folder.parent / f"scratch{k}") as made:
                (camera_info,) = made.messages(["/uav1/camera/camera_info"])
            assert falcon.agent == "uav1" and FRAME_ID == "map"
            writer.write(
                "/drones/falcon/camera/camera_info",
                "sensor_msgs/msg/CameraInfo",
                source.stamp_ns,
                camera_info.raw,
            )
    return folder


def test_several_cameras_of_one_uav_are_combined(tmp_path: Path, bag: Path, perception: Perception) -> None:
    """The same image on two cameras: front as recorded, and one that looks the other way."""
    with open_bag(bag) as opened, BagWriter(tmp_path / "bag") as writer:
        for message in opened.messages():
            for camera in ("front", "rear") if "/camera/" in message.topic else ("",):
                topic = message.topic.replace("/camera/", f"/{camera}/")
                writer.write(topic, message.type_name, message.log_ns, message.raw)
    camera = {"image": "/{uav}/NAME/image_raw", "info": "/{uav}/NAME/camera_info"}
    turned = [0, 0, 0, 0, 1, 0, 0]  # half a turn about the camera's y axis
    cameras = {n: {k: v.replace("NAME", n) for k, v in camera.items()} for n in ("front", "rear")}
    both = map_from_dict(
        {
            "uav": {
                "cameras": {**cameras, "rear": {**cameras["rear"], "extrinsics": turned}},
                "pose": "/{uav}/pose",
            }
        }
    )
    one = map_from_dict({"uav": {"cameras": {"front": cameras["front"]}, "pose": "/{uav}/pose"}})
    two, single = evaluated(tmp_path / "bag", perception, both), evaluated(tmp_path / "bag", perception, one)
    assert two["agents"]["uav1"]["frames"] == FRAMES and two["agents"]["uav1"]["images"] == 2 * FRAMES
    assert two["left_out"] == []
    seen = [r["agreement"]["single"]["common_cells"] for r in (two, single)]
    assert seen[0] >= seen[1] > 0
