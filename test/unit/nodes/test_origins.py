"""Publishers of a mission's messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rsdfm_ros.nodes.mission.origins import Origins

TOPIC = "/uav1/detections"


class Graph:
    """A node that sees these publishers: (gid, namespace, name) by topic."""

    def __init__(self) -> None:
        self.publishers: dict[str, list[tuple[int, str, str]]] = {}

    def get_publishers_info_by_topic(self, topic: str) -> list[Any]:
        return [
            SimpleNamespace(endpoint_gid=[gid] * 16, node_namespace=space, node_name=name)
            for gid, space, name in self.publishers.get(topic, [])
        ]


def origins(
    *publishers: tuple[int, str, str], own_answers: bool = True, uavs_return: bool = False, topic: str = TOPIC
) -> Origins:
    graph = Graph()
    graph.publishers[topic] = list(publishers)
    made = Origins(graph, own_answers=own_answers, uavs_return=uavs_return)
    made.add(topic, "/uav1" if topic == TOPIC else "")
    return made


def message(gid: int) -> dict[str, Any]:
    return {"publisher_gid": {"implementation_identifier": "rmw", "data": bytes([gid] * 16)}}


OURS, OTHER = (1, "/uav1", "detection_head_node"), (2, "/uav1", "detection_head_node")


def test_the_uav_s_own_node_and_nobody_are_fine() -> None:
    assert origins(OURS).foreign() == "" and origins(OURS, OURS).foreign() == ""
    assert origins().foreign() == ""


def test_a_second_publisher_is_foreign() -> None:
    assert origins(OURS, OTHER).foreign().startswith(f"{TOPIC} has 2 publishers instead of one: /uav1/")
    clock = origins((1, "/", "sim_node"), (2, "/", "player"), topic="/clock", uavs_return=True)
    assert clock.foreign() == "/clock has 2 publishers instead of one: /player, /sim_node"


def test_nodes_of_a_uav_share_a_topic_and_one_that_is_there_twice_is_foreign() -> None:
    topic, twin = "/uav1/debug/processing_time", (4, "/uav1", "encoder_node")
    own = [(1, "/uav1", "encoder_node"), (2, "/uav1", "trajectory_head_node")]
    for publishers, sentence in (
        (own, ""),
        ([*own, twin], "has 2 publishers instead of one: /uav1/encoder_node, /uav1/encoder_node"),
        ([*own, (5, "/", "_NODE_NAME_UNKNOWN_"), (6, "/", "_NODE_NAME_UNKNOWN_")], ""),
        ([*own, (3, "/uav2", "encoder_node")], "a node that does not belong to the UAV: /uav2/encoder_node"),
    ):
        graph = Graph()
        graph.publishers[topic] = publishers
        made = Origins(graph, own_answers=True, uavs_return=False)
        made.add(topic, "/uav1", shared=True)
        assert (sentence in made.foreign()) if sentence else made.foreign() == ""


def test_nodes_that_share_a_topic_and_came_back_are_not_foreign() -> None:
    topic, graph = "/uav1/debug/processing_time", Graph()
    names = ("encoder_node", "trajectory_head_node")
    graph.publishers[topic] = [(gid, "/uav1", name) for gid, name in enumerate(names * 2, 1)]
    made = Origins(graph, own_answers=True, uavs_return=True)
    made.add(topic, "/uav1", shared=True)
    for gid in (1, 2, 1, 2, 3, 4, 3, 4):  # nodes take turns, before and after their process is lost
        made.heard(topic, message(gid))
    assert made.foreign() == ""


def test_a_node_elsewhere_that_answers_for_a_uav_is_foreign() -> None:
    assert "/stranger" in origins((1, "/", "stranger")).foreign()
    assert origins((1, "/", "player"), own_answers=False).foreign() == ""


@pytest.mark.parametrize(
    "unknown", [(1, "_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_"), (1, "/", "_NODE_NAME_UNKNOWN_")]
)
def test_a_node_whose_name_has_not_come_yet_is_not_foreign(unknown: tuple[int, str, str]) -> None:
    assert origins(unknown).foreign() == ""


def test_a_uav_that_came_back_is_not_foreign_unless_the_lost_one_is_heard_again() -> None:
    made = origins(OURS, OTHER, uavs_return=True)
    for gid in (1, 1, 2, 2):
        made.heard(TOPIC, message(gid))
    assert made.foreign() == ""
    made.heard(TOPIC, message(1))
    assert "2 publishers" in made.foreign()


def test_messages_that_do_not_name_their_publisher_are_taken() -> None:
    made = origins(OURS, OTHER, uavs_return=True)
    for info in ({}, None, {"source_timestamp": 3}, message(1)):
        made.heard(TOPIC, info)
    assert made.foreign() == ""
