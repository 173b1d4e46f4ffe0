"""A fleet below a namespace is shown as any other, with the names of its UAVs."""

from __future__ import annotations

import pytest

from rsdfm_ros.data.bags.topic_map import CameraTopics, TopicMap, UavTopics, default_map
from rsdfm_ros.view.messages import Router, is_alone
from rsdfm_ros.view.namespaces import found_below
from rsdfm_ros.view.web.record import MissionRecord
from support import view_flight as flight

SHARED = "/ground_truth"


def below(prefix: str, topic: str) -> str:
    return topic if topic == SHARED else prefix + topic


@pytest.mark.parametrize("prefix", ["", "/team", "/sky/team_2"])
def test_cameras_answers_and_figures_are_those_of_the_uavs(prefix: str) -> None:
    record = MissionRecord("a fleet", live=True)
    router = Router(record, default_map(), lambda *words: pytest.fail(str(words)))
    messages = [(below(prefix, topic), kind, message) for topic, kind, _, message in flight.messages()]
    router.learn({topic: kind for topic, kind, _ in messages})
    for topic, kind, message in messages:
        if kind == "sensor_msgs/msg/CameraInfo":  # they are written behind the first image
            router.take(topic, message, 100, 0.0)
    for topic, _, message in messages:
        router.take(topic, message, 100, 0.0)
    assert record.agents == list(flight.AGENTS)
    for agent in flight.AGENTS:
        entry = record.instants.at(flight.STAMPS[0]).content["uavs"][agent]
        assert set(entry) >= {"cameras", "facts", "collaborative", "single", "contributors"}
        assert entry["facts"]["iou_collaborative"] == 1.0
    assert all((agent, "camera") in record.instants.at(flight.STAMPS[0]).images for agent in flight.AGENTS)


def test_of_two_uavs_with_one_name_the_one_in_the_shorter_namespace_counts() -> None:
    topics = [
        f"{place}/camera/{name}"
        for place in ("/team/b/uav1", "/team/uav1", "/uav2", "/other/uav2")
        for name in ("image_raw", "camera_info")
    ]
    found = found_below(default_map(), topics)
    assert {name: of.pose for name, of in found.items()} == {"uav1": "/team/uav1/pose", "uav2": "/uav2/pose"}


def test_a_topic_map_of_the_user_means_what_it_says() -> None:
    camera = CameraTopics("/{uav}/camera/image_raw", "/{uav}/camera/camera_info")
    own = TopicMap(UavTopics({"camera": camera}, "/{uav}/odometry"))
    assert found_below(own, ["/team/uav1/camera/image_raw"]) == {}
    assert list(found_below(own, ["/uav1/camera/image_raw"])) == ["uav1"]


def test_what_uavs_answer_alone_is_known_by_its_topic() -> None:
    assert is_alone("/uav1/single/occupancy") and is_alone("/team/uav1/single/detections")
    assert not is_alone("/uav1/occupancy") and not is_alone("/uav1/single/bev")
