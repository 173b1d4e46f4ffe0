"""Parameters, QoS, names and health of running nodes, as other processes see them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rsdfm_ros.msg import ObjectArray

from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.node_flight import Flight
from support.ros_world import ACTIVATE, CONFIGURE, DEACTIVATE, MODEL, RosWorld


def encoder(world: RosWorld, **parameters: Any) -> EncoderNode:
    return world.add(EncoderNode(**world.options(**{"model": MODEL, **parameters})))


# --- parameters -------------------------------------------------------------------------------------------------------

REFUSED = [
    ("bugdet_bytes", 5000, "has no parameter 'bugdet_bytes': did you mean 'budget_bytes'?"),
    ("budget_bytes", 5000.0, "expected an integer such as 5, from 1000 to 10000000"),
    ("budget_bytes", 999, "from 1000 to 10000000 (mean serialised bytes per image), got 999"),
    ("latency_warn_s", math.nan, "expected a number with a decimal point"),
    ("latency_warn_s", math.inf, "from 0.0 to 3600.0"),
    ("latency_warn_s", -0.1, "from 0.0 to 3600.0"),
    ("latency_warn_s", 1, "expected a number with a decimal point such as 5.0"),
    ("region_m", [1.0, 2.0, 3.0], "with 0 or 4 elements"),
    ("region_m", [0.0, 0.0, math.nan, 9.0], "with 0 or 4 elements"),
    ("region_m", [9.0, 0.0, 0.0, 9.0], "x_min < x_max"),
    ("region_m", "everywhere", "a list of numbers with decimal points"),
    ("autostart", False, "is read-only: set it in the params file and start anew"),
]


@pytest.mark.parametrize("active", [False, True], ids=["unconfigured", "active"])
@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_what_is_not_allowed_is_refused_with_a_sentence_and_changes_nothing(
    world: RosWorld, name: str, value: Any, sentence: str, active: bool
) -> None:
    node = encoder(world)
    if active:
        world.up(node)
    before = node.settings
    (reason,) = world.set(node, **{name: value})
    assert sentence in reason
    assert node.settings is before


def test_a_parameter_is_not_deleted(world: RosWorld) -> None:
    node = encoder(world)
    nothing = ParameterMessage(name="frame_id", value=ParameterValue(type=ParameterType.PARAMETER_NOT_SET))
    (reason,) = world.set_messages(node, nothing)
    assert "expected a text" in reason and world.get(node, "frame_id") == "map"


@pytest.mark.parametrize("kind", [ParameterType.PARAMETER_BYTE_ARRAY, ParameterType.PARAMETER_STRING_ARRAY])
def test_an_empty_list_of_whatever_type_is_an_empty_list(world: RosWorld, kind: int) -> None:
    node = encoder(world, region_m=[0.0, 0.0, 9.0, 9.0])
    assert node.settings.region_m == (0.0, 0.0, 9.0, 9.0)
    empty = ParameterMessage(name="region_m", value=ParameterValue(type=kind))
    assert world.set_messages(node, empty) == [""]
    assert node.settings.region_m == () and list(world.get(node, "region_m")) == []


def test_a_group_is_set_whole_or_not_at_all(world: RosWorld) -> None:
    node = world.up(encoder(world))
    changes: list[Any] = []
    node.changed = lambda before, after: changes.append((before, after))
    before = node.settings
    reason = world.set_all(node, latency_warn_s=0.3, budget_bytes=1)
    assert "parameter budget_bytes of encoder_node" in reason
    assert node.settings is before and world.get(node, "latency_warn_s") == 1.0 and not changes
    assert world.set_all(node, latency_warn_s=0.3, budget_bytes=2000) == ""
    assert (node.settings.latency_warn_s, node.settings.budget_bytes) == (0.3, 2000)
    assert changes == [(before, node.settings)], "one change for the whole group"
    assert world.get(node, "budget_bytes") == 2000


def test_setting_the_same_value_again_is_no_change_and_always_allowed(world: RosWorld) -> None:
    node = world.up(encoder(world))
    node.changed = lambda before, after: pytest.fail("nothing changed")
    assert world.set(node, frame_id="map", budget_bytes=node.settings.budget_bytes) == ["", ""]


def test_an_error_while_a_change_is_applied_is_reported_and_survived(world: RosWorld) -> None:
    node = world.up(encoder(world))

    def breaks(before: Any, after: Any) -> None:
        raise ZeroDivisionError

    node.changed = breaks
    assert world.set(node, budget_bytes=2000) == [""]
    assert node.health.counts["errors"] == 1 and world.state(node) == "active"


def test_descriptors_tell_unit_range_and_when_a_value_may_change(world: RosWorld) -> None:
    node = encoder(world)
    dynamic, fixed, never = (
        world.describe(node, n) for n in ("budget_bytes", "max_packet_bytes", "autostart")
    )
    assert dynamic.description == "mean serialised bytes per image"
    assert (dynamic.integer_range[0].from_value, dynamic.integer_range[0].to_value) == (1000, 10_000_000)
    assert dynamic.additional_constraints.endswith("changed: at any time") and not dynamic.read_only
    assert fixed.additional_constraints.endswith("changed: while unconfigured") and not fixed.read_only
    assert never.read_only


# --- QoS --------------------------------------------------------------------------------------------------------------


def test_qos_is_overridden_by_parameters_and_the_graph_shows_it(world: RosWorld) -> None:
    topic = "/uav1/bev/features"
    node = encoder(
        world,
        **{
            f"qos_overrides.{topic}.publisher.reliability": "reliable",
            f"qos_overrides.{topic}.publisher.depth": 77,
            f"qos_overrides.{topic}.publisher.durability": "transient_local",
            f"qos_overrides.{topic}.publisher.deadline": 2_000_000_000,
            "qos_overrides./uav1/pose.subscription.reliability": "reliable",
        },
    )
    world.up(node)
    (info,) = world.until(lambda: world.manager.get_publishers_info_by_topic(topic), "the publisher is seen")
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert info.qos_profile.deadline.nanoseconds == 2_000_000_000
    (pose,) = world.until(
        lambda: world.manager.get_subscriptions_info_by_topic("/uav1/pose"), "the subscription too"
    )
    assert pose.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    mine = next(p for p in node.publishers if p.topic_name == topic)
    assert mine.qos_profile.depth == 77
    (reason,) = world.set(node, **{f"qos_overrides.{topic}.publisher.depth": 5})
    assert "read-only while the node is configured" in reason


def test_a_qos_that_is_none_is_refused_in_words_and_repaired(world: RosWorld) -> None:
    name = "qos_overrides./uav1/bev/features.publisher.reliability"
    node = encoder(world, **{name: "perhaps"})
    assert not world.change(node, CONFIGURE)
    assert node.last_error == f"parameter {name}: expected 'reliable' or 'best_effort', got 'perhaps'"
    (reason,) = world.set(node, **{name: "maybe"})
    assert "expected 'reliable' or 'best_effort'" in reason
    assert world.set(node, **{name: "reliable"}) == [""]
    world.up(node)
    assert next(p for p in node.publishers if "features" in p.topic_name).qos_profile.reliability == (
        ReliabilityPolicy.RELIABLE
    )


def test_a_qos_of_the_wrong_type_is_refused_in_words(world: RosWorld) -> None:
    node = encoder(world, **{"qos_overrides./uav1/bev/features.publisher.depth": "deep"})
    assert not world.change(node, CONFIGURE)
    assert "qos_overrides./uav1/bev/features.publisher.depth: expected an integer" in node.last_error


def test_every_topic_of_every_node_can_be_overridden(world: RosWorld) -> None:
    uav = Uav(**world.options(model=MODEL))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    for node in uav.nodes:
        for entity, kind in [(p, "publisher") for p in node.publishers] + [
            (s, "subscription") for s in node.subscriptions
        ]:
            if entity.topic_name in ("/rosout", "/parameter_events", "/clock"):
                continue
            assert node.has_parameter(f"qos_overrides.{entity.topic_name}.{kind}.reliability"), (
                entity.topic_name
            )


def test_liveliness_lifespan_and_deadline_of_features_are_those_of_the_settings(world: RosWorld) -> None:
    node = encoder(world, liveliness_lease_s=3.0, lifespan_s=4.0, deadline_s=5.0)
    hears = world.add(CollaborationNode(**world.options(model=MODEL, liveliness_lease_s=3.0, deadline_s=5.0)))
    world.up(node, hears)
    topic = "/uav1/bev/features"
    (sent,) = world.until(lambda: world.manager.get_publishers_info_by_topic(topic), "the publisher is seen")
    (heard,) = world.until(
        lambda: world.manager.get_subscriptions_info_by_topic(topic), "the subscription is seen"
    )
    for info in (sent.qos_profile, heard.qos_profile):
        assert info.liveliness_lease_duration.nanoseconds == 3_000_000_000
        assert info.deadline.nanoseconds == 5_000_000_000
    assert sent.qos_profile.lifespan.nanoseconds == 4_000_000_000
    world.until(
        lambda: world.manager.count_publishers(topic) and hears.receiver.peer("uav1").matched,
        "they match",
    )


# --- names ------------------------------------------------------------------------------------------------------------

FLEETS = {"/clock", "/diagnostics", "/ground_truth", "/fleet/status", "/rosout", "/parameter_events"}


def test_a_remapped_node_in_another_namespace_works_under_its_new_names(world: RosWorld, model: Path) -> None:
    remaps = ["camera/image_raw:=cam0/image", "bev/features:=radio/out", "pose:=/mocap/uav1"]
    arguments = ["--ros-args", *(word for r in remaps for word in ("-r", r))]
    options = world.options(model=str(model), image_reliability="reliable") | {"namespace": "/a/b/uav1"}
    node = world.add(EncoderNode(cli_args=arguments, **options))
    world.up(node)
    topics = {e.topic_name for e in (*node.publishers, *node.subscriptions)} - FLEETS
    assert {
        "/a/b/uav1/cam0/image",
        "/a/b/uav1/radio/out",
        "/mocap/uav1",
        "/a/b/uav1/camera/camera_info",
    } <= topics
    assert all(t.startswith("/a/b/uav1/") or t == "/mocap/uav1" for t in topics), topics


def test_only_what_belongs_to_the_fleet_has_an_absolute_name(world: RosWorld) -> None:
    uav = Uav(
        **(world.options(model=MODEL, publish_single=True, publish_future=True) | {"namespace": "/x/uav1"})
    )
    others = [EvaluatorNode(**(world.options(agents=["uav1"]) | {"namespace": "/y"}))]
    world.add(*uav.nodes, *others)
    world.up(*uav.nodes, *others)
    for node in (*uav.nodes, *others):
        for entity in (*node.publishers, *node.subscriptions):
            inside = entity.topic_name.startswith((node.get_namespace() + "/", "/tf"))
            assert inside or entity.topic_name in FLEETS, entity.topic_name


# --- inactive nodes ---------------------------------------------------------------------------------------------------


def test_nothing_leaks_out_of_an_inactive_node(world: RosWorld, model: Path) -> None:
    flight = Flight(world, model)
    heard = flight.keep(ObjectArray, "/uav1/detections")
    node = world.add(DetectionHeadNode(**world.options(model=str(model))))
    assert world.change(node, CONFIGURE)
    out = next(p for p in node.publishers if p.topic_name == "/uav1/detections")
    world.until(lambda: out.get_subscription_count(), "the listener is there")
    out.publish(ObjectArray(agent="leak"))
    assert world.change(node, ACTIVATE)
    out.publish(ObjectArray(agent="now"))
    world.until(lambda: heard, "what is published while active comes")
    assert [m.agent for m in heard] == ["now"]
    assert world.change(node, DEACTIVATE)
    out.publish(ObjectArray(agent="leak"))
    assert world.change(node, ACTIVATE)
    out.publish(ObjectArray(agent="again"))
    world.until(lambda: len(heard) == 2, "the second comes")
    assert [m.agent for m in heard] == ["now", "again"]


# --- params files -----------------------------------------------------------------------------------------------------


def test_an_executable_takes_a_params_file_and_refuses_a_bad_one_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("/uav1/encoder_node:\n  ros__parameters:\n    budget_bytes: 3\n")
    command = [sys.executable, "-m", "rsdfm_ros.nodes.uav.encoder_node", "--ros-args", "-r", "__ns:=/uav1"]
    done = subprocess.run(
        [*command, "--params-file", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert (
        "error: /uav1/encoder_node: parameter budget_bytes of encoder_node: expected an integer"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
