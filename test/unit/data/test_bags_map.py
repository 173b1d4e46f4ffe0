"""Topic maps: what is found, and what is refused with which words."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError, TopicMapError
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.map_file import load_map, map_from_dict
from rsdfm_ros.data.bags.replay_plan import replay_plan
from rsdfm_ros.data.bags.topic_map import default_map, expression_of
from support.bag_data import make_bag, with_heights
from support.places import ROOT

CONFIG = ROOT / "config" / "bags"


def usual() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "default.yaml").read_text())


def test_the_default_map_is_the_one_in_the_file() -> None:
    assert load_map(CONFIG / "default.yaml") == default_map()


def test_uavs_are_found_by_their_pictures() -> None:
    topics = ["/uav2/camera/image_raw", "/heron/camera/image_raw", "/x/y/camera/image_raw", "/uav3/pose"]
    assert list(default_map().found(topics)) == ["heron", "uav2"]


def test_named_uavs_are_kept_even_without_pictures() -> None:
    found = map_from_dict({**usual(), "uavs": ["a", "b"]}).found(["/b/camera/image_raw"])
    assert list(found) == ["a", "b"] and found["a"].pose == "/a/pose"


def test_the_foreign_example_gives_every_uav_its_own_topics() -> None:
    found = load_map(CONFIG / "foreign.yaml").found([])
    assert found["falcon"].pose == "/drones/falcon/odometry"
    assert found["heron"].cameras["front"].intrinsics is not None
    assert found["heron"].pose == "/drones/heron/local_position"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("colour", "red", "unknown setting colour; the map can have: .*ground_truth"),
        ("uav.cameras.camera.imgae", "/x", "unknown setting uav.cameras.camera.imgae"),
        ("uav.pose", "pose", "uav.pose: expected an absolute topic"),
        ("uav.pose", 3, "uav.pose: expected a text"),
        ("uav.cameras", {}, "1 to 16 cameras"),
        ("uav.cameras.camera.info", "", "a CameraInfo topic, or `intrinsics` instead"),
        ("uav.cameras.camera.extrinsics", [0, 0, 0, 0, 0, 0, 2], "a unit quaternion"),
        ("uav.cameras.camera.extrinsics", [0, 0, 0], "x y z and a unit quaternion"),
        ("uav.cameras.camera.intrinsics", {"width": 3}, "intrinsics.height: expected a number of pixels"),
        ("uav.cameras.camera.image", "/camera/image", "in the names of topics"),
        ("uavs", ["a", "a"], "different names"),
        ("uavs", "all", "`auto` or a list"),
        ("ground_height_m", "high", "ground_height_m: expected a finite number"),
        ("pose_origins", [1], "pose_origins: expected a mapping from UAVs"),
        ("pose_origins", {"uav1": [0, 0, 0]}, "pose_origins.uav1: expected x y z and a unit quaternion"),
        ("pose_origins", {"uav1": "here"}, "pose_origins.uav1: expected x y z and a unit quaternion"),
        ("pose_origins", {"uav1": [0, 0, 0, 0, 0, 0, 2]}, "pose_origins.uav1: expected x y z and a unit"),
        ("pose_origins", {"1": [0, 0, 0, 0, 0, 0, 1]}, "begin with a letter"),
        ("ground_height_m", float("nan"), "a finite number"),
        (
            "inputs.pose_tolerance",
            1,
            "unknown setting inputs.pose_tolerance; inputs can have: .*pose_tolerance_s",
        ),
        ("inputs.images_rectified", 1, "inputs.images_rectified: expected true or false"),
    ],
)
def test_a_wrong_map_is_refused_with_what_is_allowed(path: str, value: Any, words: str) -> None:
    values = usual()
    *groups, last = path.split(".")
    inner = values
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[last] = value
    with pytest.raises(TopicMapError, match=words):
        map_from_dict(values)


def test_a_former_name_of_an_input_works_with_a_warning() -> None:
    with pytest.warns(
        FutureWarning, match=r"inputs\.pictures_rectified is called inputs\.images_rectified now"
    ):
        found = map_from_dict({**usual(), "inputs": {"pictures_rectified": True}})
    assert found.inputs == {"images_rectified": True}
    with pytest.raises(TopicMapError, match=r"and both are given: leave inputs\.pictures_rectified out"):
        map_from_dict({**usual(), "inputs": {"pictures_rectified": True, "images_rectified": True}})


def test_a_file_that_is_no_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopicMapError, match="cannot read"):
        load_map(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(TopicMapError, match=r"list.yaml: the map: expected a mapping"):
        load_map(tmp_path / "list.yaml")


def test_a_recorder_is_told_all_topics_of_a_map() -> None:
    ours, foreign = expression_of(default_map()), expression_of(load_map(CONFIG / "foreign.yaml"))
    for topic in ("/uav7/camera/image_raw", "/uav7/pose", "/uav7/bev/features", "/ground_truth", "/tf"):
        assert re.fullmatch(ours, topic)
    assert re.fullmatch(ours, "/uav7/ground/height")
    for topic in (
        "/drones/falcon/odometry",
        "/drones/heron/local_position",
        "/drones/heron/camera/image/compressed",
    ):
        assert re.fullmatch(foreign, topic) and not re.fullmatch(ours, topic)
    assert not re.fullmatch(ours, "/uav7/markers")


def test_info_says_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    with open_bag(make_bag(tmp_path / "bag", 5)) as bag:
        info = bag_info(bag, default_map())
        assert info["missing"] == [] and info["ground_truth"] and info["clock"]["note"] == ""
        images = info["topics"]["/uav1/camera/image_raw"]
        assert images["messages"] == 5 and images["rate_hz"] == pytest.approx(2.0)
        assert info["duration_s"] == pytest.approx(4.0) and info["messages"] == 5 * 7 + 4
        assert info["uavs"]["uav2"] == {
            "cameras": {"camera": {"image": True, "info": True}},
            "pose": True,
            "features": False,
            "status": False,
            "ground": False,
        }
        other = bag_info(bag, load_map(CONFIG / "foreign.yaml"))
        assert any("images of falcon's front: no topic /drones/falcon" in m for m in other["missing"])
        assert any("no accuracy" in m for m in other["missing"])


def test_recorded_heights_of_the_ground_are_played_to_the_encoder_that_they_belong_to(tmp_path: Path) -> None:
    folder = with_heights(make_bag(tmp_path / "bag", 2), tmp_path / "told", {"uav2": [(0, 3.0)]})
    with open_bag(folder) as bag:
        assert [bag_info(bag, default_map())["uavs"][n]["ground"] for n in ("uav1", "uav2")] == [False, True]
        plan = replay_plan(bag, dataclasses.replace(default_map(), ground_height_m=1.0))
    assert plan.parameters == {"uav1": {"ground_height_m": 1.0}, "uav2": {"ground_model": "topic"}}
    assert plan.outputs["/uav2/ground/height"].topic == "uav2/ground/height"


def test_a_replay_plan_leads_topics_to_the_nodes(tmp_path: Path) -> None:
    with open_bag(make_bag(tmp_path / "bag", 2)) as bag:
        plan = replay_plan(bag, default_map())
        assert plan.uavs == ("uav1", "uav2") and plan.has_truth and plan.notes == []
        assert plan.outputs["/uav1/camera/image_raw"].topic == "uav1/camera/image_raw"
        assert plan.parameters["uav1"] == {}  # our own bags need no other parameters
        with pytest.raises(BagError, match="falcon is left out: no images of front"):
            replay_plan(bag, load_map(CONFIG / "foreign.yaml"))
