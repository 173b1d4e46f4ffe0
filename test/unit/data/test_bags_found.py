"""Bags as other people's recorders and drivers make them: what can be read is read, what cannot is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError, TopicMapError
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.map_file import map_from_dict
from rsdfm_ros.data.bags.replay_plan import check_part, first_stamp_ns, replay_plan
from rsdfm_ros.data.bags.topic_map import default_map
from support.bag_data import START_NS, make_bag
from support.changed_bags import changed_bag, read_views, with_type

PX4_1_13 = """uint64 timestamp
uint64 timestamp_sample
uint8 local_frame
float32 x
float32 y
float32 z
float32[4] q
float32[21] pose_covariance
"""
PX4 = "px4_msgs/msg/VehicleOdometry"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("bag") / "bag", 3, truth=0)


def info_of(path: Path) -> dict[str, Any]:
    with open_bag(path) as opened:
        return bag_info(opened, default_map())


def test_odometry_as_older_px4_defines_it_is_named_and_nothing_fails(bag: Path, tmp_path: Path) -> None:
    message = {"timestamp": 1, "timestamp_sample": START_NS // 1000, "local_frame": 0}
    message |= {"x": 1.0, "y": 2.0, "z": -30.0, "q": np.array([1, 0, 0, 0], np.float32)}
    message |= {"pose_covariance": np.zeros(21, np.float32)}
    other = with_type(bag, tmp_path / "px4", "/uav1/pose", PX4, PX4_1_13, message)
    info = info_of(other)
    assert not info["uavs"]["uav1"]["pose"] and info["uavs"]["uav2"]["pose"]
    assert any(re.search(r"poses of uav1: .*VehicleOdometry lacks `pose_frame`", m) for m in info["missing"])
    found = read_views(other, default_map())
    assert list(found.views) == ["uav2"] and len(found.views["uav2"]) == 3
    assert found.rejects["/uav1/pose", "other_definition"] == 3


@pytest.mark.parametrize("topics", ["camera", "image"])
def test_zero_stamps_are_called_so_and_not_simulated_time(bag: Path, tmp_path: Path, topics: str) -> None:
    def unstamped(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        if topic.startswith("/uav1/camera") and topics in topic:
            message.header.stamp.sec = message.header.stamp.nanosec = 0
        return log_ns + 1_700_000_000 * 10**9, message

    other = changed_bag(bag, tmp_path / "zero", unstamped)
    info = info_of(other)
    assert any(
        "images of uav1's camera: all 3 stamps on /uav1/camera/image_raw are zero" in m
        for m in info["missing"]
    )
    assert "all stamps on /uav1/camera/image_raw are zero" in info["clock"]["note"]
    assert "simulated" in info["clock"]["note"], "the others come from another clock"
    assert "log_minus_stamp_s" not in info["topics"]["/uav1/camera/image_raw"] or (
        info["topics"]["/uav1/camera/image_raw"]["log_minus_stamp_s"] is None
    )
    assert not any("uav2" in m for m in info["missing"])
    same_clock = changed_bag(bag, tmp_path / "same", lambda ns, t, m: (ns, unstamped(0, t, m)[1]))
    assert "simulated" not in info_of(same_clock)["clock"]["note"]


def test_a_bag_without_a_stamped_image_is_not_played(bag: Path, tmp_path: Path) -> None:
    def unstamped(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        if "image_raw" in topic:
            message.header.stamp.sec = message.header.stamp.nanosec = 0
        return log_ns, message

    with open_bag(changed_bag(bag, tmp_path / "zero", unstamped)) as opened:
        plan = replay_plan(opened, default_map())
        with pytest.raises(
            BagError, match=r"stamps of all 6 images in the chosen part are zero .*header\.stamp"
        ):
            check_part(opened, plan, 0.0, 0.0)


def test_mission_time_begins_with_the_first_stamp_and_not_with_a_log_time(bag: Path, tmp_path: Path) -> None:
    """The recorder's clock shows real time, the stamps are simulated, and the first message has none."""

    def first_unstamped(log_ns: int, topic: str, message: Any) -> tuple[int, Any]:
        if log_ns == START_NS and topic == "/uav1/pose":
            message.header.stamp.sec = message.header.stamp.nanosec = 0
            return 1_700_000_000 * 10**9, message
        return log_ns + 1_700_000_000 * 10**9, message

    with open_bag(changed_bag(bag, tmp_path / "first", first_unstamped)) as opened:
        plan = replay_plan(opened, default_map())
        assert first_stamp_ns(opened, plan, 0.0) == START_NS
        later_s = START_NS / 1e9 + 0.4
        assert first_stamp_ns(opened, plan, later_s) == START_NS + 500_000_000


def test_a_renamed_part_of_a_split_bag_is_read_and_named(tmp_path: Path) -> None:
    folder = make_bag(tmp_path / "bag", 6, truth=0, storage="sqlite3", max_bytes=40_000)
    with open_bag(folder) as opened:
        whole, parts = [m.raw for m in opened.messages()], sorted(folder.glob("*.db3"))
        assert not opened.damage and len(parts) > 2
    parts[0].rename(folder / "first_part.db3")
    with open_bag(folder) as opened:
        assert [m.raw for m in opened.messages()] == whole
        assert f"{parts[0].name}: is missing, although metadata.yaml names it" in opened.damage
        assert any(
            d.startswith("first_part.db3: ") and "read as the missing part" in d for d in opened.damage
        )


def test_a_file_that_metadata_does_not_name_is_named_and_left_out_of_a_whole_bag(tmp_path: Path) -> None:
    folder = make_bag(tmp_path / "bag", 2, truth=0)
    with open_bag(folder) as opened:
        messages = len(list(opened.messages()))
    make_bag(tmp_path / "other", 3, truth=0)
    (tmp_path / "other" / "other_0.mcap").rename(folder / "other_0.mcap")
    with open_bag(folder) as opened:
        assert len(list(opened.messages())) == messages
        assert opened.damage == ["other_0.mcap: is left out, because metadata.yaml does not name it"]


@pytest.mark.parametrize("name", ["1", "2nd", "uav-1"])
def test_names_that_no_ros_topic_can_have_are_refused_with_the_rule(name: str) -> None:
    camera = {"image": "/{uav}/image", "info": "/{uav}/info"}
    uav = {"cameras": {"camera": camera}, "pose": "/{uav}/pose"}
    for values in ({"uav": uav, "uavs": [name]}, {"uav": uav | {"cameras": {name: camera}}}):
        with pytest.raises(TopicMapError, match="begin with a letter"):
            map_from_dict(values)
