"""A bag has its poses, transforms and camera_info however late they were recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.map_file import map_from_dict
from rsdfm_ros.data.bags.order import read_ahead
from rsdfm_ros.data.bags.order.replay_order import in_step
from rsdfm_ros.data.bags.replay_plan import replay_plan
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TRANSFORMS, TopicMap, default_map
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.messages.stamps import stamp_ns
from support.bag_data import START_NS, STEP_NS, make_bag
from support.changed_bags import changed_bag, read_views

FRAMES = 12


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("bag") / "bag", FRAMES, truth=0)


def any_frame(**inputs: Any) -> TopicMap:
    camera = {"image": "/{uav}/camera/image_raw", "info": "/{uav}/camera/camera_info"}
    uav = {"cameras": {"camera": camera}, "pose": "/{uav}/pose"}
    return map_from_dict({"uav": uav, "frame_id": "", **inputs})


@pytest.mark.parametrize("late_s", [0.3, 5.0, 40.0])
@pytest.mark.parametrize("frame_id", ["map", ""])
def test_poses_that_were_recorded_late_lose_no_image(
    bag: Path, tmp_path: Path, late_s: float, frame_id: str
) -> None:
    def late(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        return log_ns + (round(late_s * 1e9) if topic == "/uav1/pose" else 0), message

    topic_map = default_map() if frame_id else any_frame()
    there, here = (read_views(b, topic_map) for b in (bag, changed_bag(bag, tmp_path / "late", late)))
    assert here.stamps == there.stamps and len(here.stamps["uav1"]) == FRAMES and not here.rejects
    for uav in ("uav1", "uav2"):
        for a, b in zip(here.views[uav], there.views[uav], strict=True):
            assert np.array_equal(a.T_map_camera, b.T_map_camera) and np.array_equal(a.image, b.image)


def test_poses_are_read_ahead_within_bounds_and_those_of_others_stay_for_them(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        return log_ns + (5 * 10**9 if topic == "/uav1/pose" else 0), message

    other = changed_bag(bag, tmp_path / "late", late)
    monkeypatch.setattr(read_ahead, "LEAD_NS", 10**9)
    found = read_views(other, default_map())
    assert len(found.stamps["uav2"]) == FRAMES
    used = len(found.stamps["uav1"])
    assert 0 < used < FRAMES and found.rejects["uav1", "no_pose"] > 0
    assert used + sum(found.rejects.values()) == FRAMES
    monkeypatch.setattr(read_ahead, "LEAD_NS", 60 * 10**9)
    monkeypatch.setattr(read_ahead, "MAX_AHEAD", 3)
    assert len(read_views(other, default_map()).stamps["uav2"]) == FRAMES


def test_every_message_is_read_once_whatever_was_read_ahead(bag: Path, tmp_path: Path) -> None:
    """Poses that were given twice would be refused as repeated."""

    def never(log_ns: int, topic: str, message: Any) -> tuple[int, Any] | None:
        return None if topic == "/uav1/pose" and log_ns > START_NS + 3 * STEP_NS else (log_ns, message)

    found = read_views(changed_bag(bag, tmp_path / "ends", never), default_map())
    assert len(found.stamps["uav1"]) == 4 and len(found.stamps["uav2"]) == FRAMES
    assert {reason for _, reason in found.rejects} == {"no_pose"}


def test_a_zooming_camera_whose_info_is_recorded_after_its_image_has_its_own(
    bag: Path, tmp_path: Path
) -> None:
    def zoom(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        if not topic.endswith("camera_info"):
            return log_ns, message
        k = (log_ns - START_NS) // STEP_NS
        message.k = np.array([60.0 + 10 * k, 0, 47.5, 0, 60.0 + 10 * k, 31.5, 0, 0, 1])
        return log_ns + 200_000, message

    found = read_views(changed_bag(bag, tmp_path / "zoom", zoom), default_map())
    for uav in ("uav1", "uav2"):
        assert [v.K[0, 0] for v in found.views[uav]] == [60.0 + 10 * k for k in range(FRAMES)]


def with_transforms(bag: Path, folder: Path, fixed_log_ns: int, moving_late_ns: int) -> Path:
    """The bag with poses on /tf, and with the cameras' frames below the bodies on /tf_static."""
    t = typestore().types
    kinds = ("std_msgs/msg/Header", "geometry_msgs/msg/TransformStamped", "geometry_msgs/msg/Transform")
    header, stamped, transform = (t[kind] for kind in kinds)
    vector, quaternion = t["geometry_msgs/msg/Vector3"], t["geometry_msgs/msg/Quaternion"]
    records = []
    with open_bag(bag) as source:
        for m in source.messages():
            if not m.topic.endswith("/pose"):
                records.append((m.log_ns, m.topic, m.type_name, m.raw))
                continue
            uav, pose = m.topic.split("/")[1], source.decode(m)
            p = pose.pose.pose.position
            moved = transform(vector(p.x, p.y, p.z), pose.pose.pose.orientation)
            message = t[TRANSFORMS]([stamped(pose.header, f"{uav}/body", moved)])
            raw = bytes(typestore().serialize_cdr(message, TRANSFORMS))
            records.append((m.log_ns + moving_late_ns, "/tf", TRANSFORMS, raw))
    time = t["builtin_interfaces/msg/Time"](0, 0)
    still = transform(vector(0.0, 0.0, 0.0), quaternion(0.0, 0.0, 0.0, 1.0))
    message = t[TRANSFORMS](
        [stamped(header(time, f"{u}/body"), f"{u}/camera_optical", still) for u in ("uav1", "uav2")]
    )
    raw = bytes(typestore().serialize_cdr(message, TRANSFORMS))
    records.append((fixed_log_ns, "/tf_static", TRANSFORMS, raw))
    with BagWriter(folder) as writer:
        for log_ns, topic, kind, raw in sorted(records, key=lambda r: r[0]):
            writer.write(topic, kind, log_ns, raw)
    return folder


@pytest.mark.parametrize(("fixed_s", "moving_s"), [(0.0, 0.0), (5.5, 0.0), (100.0, 4.0)])
@pytest.mark.parametrize("frame_id", ["map", ""])
def test_transforms_that_were_recorded_late_lose_no_image(
    bag: Path, tmp_path: Path, fixed_s: float, moving_s: float, frame_id: str
) -> None:
    folder = with_transforms(bag, tmp_path / "tf", START_NS + round(fixed_s * 1e9), round(moving_s * 1e9))
    camera = {"image": "/{uav}/camera/image_raw", "info": "/{uav}/camera/camera_info"}
    topic_map = map_from_dict({"uav": {"cameras": {"camera": camera}, "pose": "tf"}, "frame_id": frame_id})
    there, here = read_views(bag, default_map()), read_views(folder, topic_map)
    assert here.stamps == there.stamps and not here.rejects
    for a, b in zip(here.views["uav1"], there.views["uav1"], strict=True):
        np.testing.assert_allclose(a.T_map_camera, b.T_map_camera, atol=1e-9)


def in_frames(bag: Path, folder: Path, frames: dict[str, str]) -> Path:
    def named(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        if topic.endswith("/pose"):
            message.header.frame_id = frames[topic.split("/")[1]]
        return log_ns, message

    return changed_bag(bag, folder, named)


def test_poses_in_frames_of_their_own_are_not_taken_for_one(bag: Path, tmp_path: Path) -> None:
    other = in_frames(bag, tmp_path / "odom", {"uav1": "uav1/odom", "uav2": "/uav2/odom"})
    words = "poses of uav1 in 'uav1/odom', of uav2 in 'uav2/odom': how these frames lie"
    with open_bag(other) as opened:
        for read in (Sensors, replay_plan):
            with pytest.raises(BagError, match=words):
                read(opened, any_frame())
        assert any(words in m for m in bag_info(opened, any_frame())["missing"])
    origin = [0.0, 100.0, 5.0, 0.0, 0.0, 0.0, 1.0]
    placed = any_frame(pose_origins={"uav2": origin})
    there, here = read_views(bag, default_map()), read_views(other, placed)
    for a, b in zip(here.views["uav2"], there.views["uav2"], strict=True):
        np.testing.assert_allclose(a.T_map_camera[:3, 3] - b.T_map_camera[:3, 3], origin[:3])
    np.testing.assert_array_equal(here.views["uav1"][0].T_map_camera, there.views["uav1"][0].T_map_camera)
    with open_bag(other) as opened:
        parameters = replay_plan(opened, placed).parameters
        assert not any("common frame" in m for m in bag_info(opened, placed)["missing"])
    assert parameters["uav1"] == {"pose_frame_id": "uav1/odom"}
    assert parameters["uav2"] == {"pose_frame_id": "uav2/odom", "pose_origin": origin}
    alone = read_views(other, any_frame(uavs=["uav2"]))
    assert len(alone.views["uav2"]) == FRAMES and not alone.rejects
    with open_bag(other) as opened:
        assert replay_plan(opened, any_frame(uavs=["uav2"])).parameters == {
            "uav2": {"pose_frame_id": "uav2/odom"}
        }


def test_poses_in_one_frame_of_any_name_are_read(bag: Path, tmp_path: Path) -> None:
    other = in_frames(bag, tmp_path / "odom", {"uav1": "odom", "uav2": "/odom"})
    found = read_views(other, any_frame())
    assert {u: len(v) for u, v in found.views.items()} == {
        "uav1": FRAMES,
        "uav2": FRAMES,
    } and not found.rejects


def first_poses(bag: Path, topic_map: TopicMap) -> tuple[list[tuple[str, int]], list[tuple[str, bytes]]]:
    """(topic, stamp) of what a lockstep replay plays, of poses in TF the stamp of the first; all (topic, bytes)."""
    with open_bag(bag) as opened:
        plan = replay_plan(opened, topic_map)
        played = list(in_step(opened, plan))
        order = []
        for m in played:
            content = opened.decode(m)
            content = content.transforms[0] if m.topic.startswith("/tf") else content
            order.append((m.topic, stamp_ns(content.header.stamp)))
        everything = [(m.topic, m.raw) for m in opened.messages(list(plan.outputs))]
    assert sorted((m.topic, m.raw) for m in played) == sorted(everything)
    return order, everything


@pytest.mark.parametrize("late_s", [0.0, 0.8, 3.0])
def test_a_replay_in_lockstep_plays_the_poses_of_an_instant_before_the_next_images(
    bag: Path, tmp_path: Path, late_s: float
) -> None:
    def late(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        return log_ns + (round(late_s * 1e9) if topic == "/uav1/pose" else 0), message

    order, _ = first_poses(changed_bag(bag, tmp_path / "late", late), default_map())
    for k in range(FRAMES - 1):
        ns = START_NS + k * STEP_NS
        following = min(n for n, (t, s) in enumerate(order) if t.endswith("image_raw") and s == ns + STEP_NS)
        assert all(order.index((f"/{uav}/pose", ns)) < following for uav in ("uav1", "uav2"))
        # And no sooner than is needed.
        assert order.index(("/uav1/pose", ns)) > (
            order.index(("/uav1/camera/image_raw", ns - STEP_NS)) if k else -1
        )


def test_a_replay_in_lockstep_plays_late_transforms_too(bag: Path, tmp_path: Path) -> None:
    folder = with_transforms(bag, tmp_path / "tf", START_NS, 2 * 10**9)
    camera = {"image": "/{uav}/camera/image_raw", "info": "/{uav}/camera/camera_info"}
    topic_map = map_from_dict({"uav": {"cameras": {"camera": camera}, "pose": "tf"}})
    order, _ = first_poses(folder, topic_map)
    for k in range(FRAMES - 1):
        ns = START_NS + k * STEP_NS
        following = min(n for n, (t, s) in enumerate(order) if t.endswith("image_raw") and s == ns + STEP_NS)
        assert order[:following].count(("/tf", ns)) == 2, "those of both UAVs"


def test_poses_that_end_are_not_waited_for(bag: Path, tmp_path: Path) -> None:
    def never(log_ns: int, topic: str, message: Any) -> tuple[int, Any] | None:
        return None if topic == "/uav1/pose" and log_ns > START_NS + 3 * STEP_NS else (log_ns, message)

    order, _ = first_poses(changed_bag(bag, tmp_path / "ends", never), default_map())
    assert order.index(("/uav2/pose", START_NS + 9 * STEP_NS)) > order.index(
        ("/uav1/camera/image_raw", START_NS + 8 * STEP_NS)
    )
