"""Diagnostics of a node: missing inputs reported without repetition, levels by threshold, outdated values marked
STALE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import FusedBev
from sensor_msgs.msg import CameraInfo

from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import ERROR, OK, STALE, WARN, Status
from rsdfm_ros.nodes.core.expectations import REPEAT_S, Expectations
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES
from support.node_flight import Flight, lively_model
from support.ros_world import ACTIVATE, CONFIGURE, DEACTIVATE, MODEL, RosWorld, facts, level

INFO = "/uav2/camera/camera_info"


class Clock:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Watched:
    """Expectations with a clock, and what they say."""

    def __init__(self) -> None:
        self.clock, self.said = Clock(), []
        self.e = Expectations(lambda level, sentence: self.said.append((level, sentence)), self.clock)

    def after(self, seconds: float) -> list[str]:
        self.clock.now_s += seconds
        return [m.sentence() for m in self.e.check(5.0)]


def test_what_does_not_come_is_named_after_the_time_and_said_once() -> None:
    w = Watched()
    w.e.expect(INFO, "camera_info")
    assert w.after(4.9) == [] and w.said == []
    assert w.after(0.2) == [f"no camera_info on {INFO} for 5 s"]
    for _ in range(100):
        assert len(w.after(10.0)) == 1, "diagnostics go on saying it"
    assert w.said == [("warn", f"no camera_info on {INFO} for 5 s")], "the log does not"


def test_it_is_said_when_it_comes_after_all_and_again_when_it_stays_away_long_after() -> None:
    w = Watched()
    w.e.expect(INFO, "camera_info")
    w.after(6.0)
    w.e.seen(INFO)
    assert w.after(0.0) == []
    assert w.said[1:] == [("info", f"camera_info comes on {INFO} after 6.0 s of silence")]
    w.after(6.0)
    assert len(w.said) == 2, "an input that comes and goes does not fill the log"
    w.e.seen(INFO)
    w.clock.now_s += REPEAT_S
    w.e.seen(INFO)
    assert w.after(6.0) and len([s for s in w.said if s[0] == "warn"]) == 2


def test_what_came_in_time_or_is_not_expected_any_more_is_not_missed() -> None:
    w = Watched()
    for topic in ("/a", "/b"):
        w.e.expect(topic, "thing")
    for _ in range(10):
        w.clock.now_s += 3.0
        w.e.seen("/a")
        w.e.seen("/unknown")
    w.e.forget("/b")
    assert w.after(3.0) == [] and w.e.silences() == {"/a": 3.0}
    w.e.forget()
    assert w.after(100.0) == [] and w.said == [] and w.e.silences() == {}


def test_hints_say_why() -> None:
    w = Watched()
    w.e.expect(INFO, "camera_info")
    w.clock.now_s += 6
    w.e.check(5.0, lambda topic: f" (nobody publishes {topic})")
    assert w.said[0][1] == f"no camera_info on {INFO} for 6 s (nobody publishes {INFO})"


def test_health_starts_a_fresh_account_and_knows_what_is_recent() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.count("images")
    health.reject("old_stamp")
    health.answered(5, 0.3)
    health.took("encode", 0.2)
    assert health.recent("rejected_old_stamp", 1.0) and not health.recent("errors", 1.0)
    clock.now_s += 2.0
    assert not health.recent("rejected_old_stamp", 1.0) and health.silence_s() == 2.0
    assert health.snapshot() == ({"images": 1, "frames": 1}, {"old_stamp": 1})
    health.reset()
    assert health.snapshot() == ({}, {}) and health.silence_s() is None
    assert health.latency_s(50) == 0.0 and health.stages_ms() == {}


# --- with a node ------------------------------------------------------------------------------------------------------


def statuses(node: Any) -> dict[str, Status]:
    return dict(node.diagnostics.statuses())


def test_statuses_are_named_and_levelled_as_diagnostic_updater_does(world: RosWorld) -> None:
    seen = world.diagnostics()
    node = world.add(EncoderNode(**world.options(model="/nowhere")))
    world.until(lambda: "/uav1/encoder_node: lifecycle" in seen, "diagnostics come before configuration")
    assert seen["/uav1/encoder_node: lifecycle"].message == "unconfigured"
    assert world.change(node, CONFIGURE) and not world.change(node, ACTIVATE)
    name = "/uav1/encoder_node: lifecycle"
    world.until(lambda: level(seen[name]) == ERROR, "the failure is reported")
    assert "no model at '/nowhere'" in seen[name].message
    assert seen[name].hardware_id == "uav1" and facts(seen[name]) == {"state": "inactive"}


def test_missing_inputs_are_an_error_until_they_come(world: RosWorld) -> None:
    node = world.up(world.add(EncoderNode(**world.options(model=MODEL, image_reliability="reliable"))))
    said: list[tuple[str, str]] = []
    node.expectations._say = lambda level, sentence: said.append((level, sentence))
    clock = Clock()
    node.expectations._clock = clock
    for topic in ("camera/camera_info", "camera/image_raw", "pose"):
        node.expect(topic, topic.rpartition("/")[2])
    assert statuses(node)["inputs"].level == OK
    clock.now_s += 5.5
    missing = statuses(node)["inputs"]
    assert missing.level == ERROR and missing.message.count("for 6 s (nobody publishes there)") == 3
    assert missing.values["/uav1/camera/camera_info"] == "never came"
    out = world.manager.create_publisher(CameraInfo, "/uav1/camera/camera_info", qos.sensor("reliable"))
    world.until(lambda: out.get_subscription_count(), "the encoder listens")
    out.publish(CameraInfo())
    world.until(lambda: len(said) == 4, "the arrival is noticed")
    assert said[3] == ("info", "camera_info comes on /uav1/camera/camera_info after 5.5 s of silence")
    status = statuses(node)["inputs"]
    assert status.values["/uav1/camera/camera_info"] == "0.0 s ago" and "camera_info" not in status.message
    world.change(node, DEACTIVATE)
    assert "inputs" not in statuses(node), "an inactive node misses nothing"


def test_old_answers_are_stale_and_their_numbers_are_gone(world: RosWorld, tmp_path: Path) -> None:
    flight = Flight(world, lively_model(tmp_path / "tiny"))
    node = world.add(
        SegmentationHeadNode(
            **world.options(model=str(tmp_path / "tiny"), latency_warn_s=60.0, latency_error_s=60.0)
        )
    )
    assert statuses(node)["pipeline"] == Status(OK, "unconfigured")
    world.up(node)
    assert statuses(node)["pipeline"].message == "nothing answered yet"
    assert statuses(node)["pipeline"].level == STALE
    out = flight.publisher(FusedBev, "/uav1/bev/fused", qos.fused())
    world.until(lambda: flight.heard("/uav1/bev/fused"), "the head listens")
    for frame in range(3):
        out.publish(flight.fused(frame)[1])
        world.until(lambda n=frame: node.health.counts["frames"] > n, "the frame is answered")
    fresh = statuses(node)["pipeline"]
    assert fresh.level == OK and fresh.values["rate_hz"] == "2.00" and fresh.values["frames"] == 3
    assert float(str(fresh.values["stage_segmentation_ms"])) > 0
    node.health.clock = lambda clock=node.health.clock: clock() + 100.0
    stale = statuses(node)["pipeline"]
    assert stale.level == STALE and "nothing answered for 100 s" in stale.message
    assert not {"rate_hz", "latency_p95_ms", "stage_segmentation_ms"} & set(stale.values)


def test_refusals_warn_while_they_are_fresh_and_are_counted_by_reason(world: RosWorld) -> None:
    node = world.up(world.add(SegmentationHeadNode(**world.options(model=MODEL))))
    assert "refused" not in statuses(node)
    for reason in ("fused_window", "fused_window", "fingerprint_mismatch"):
        node.reject(reason, "for the test")
    warned = statuses(node)["refused"]
    assert warned.level == WARN and warned.message == "refused lately: fingerprint_mismatch, fused_window"
    assert warned.values == {"fingerprint_mismatch": 1, "fused_window": 2}
    node.health.clock = lambda clock=node.health.clock: clock() + 100.0
    assert statuses(node)["refused"].level == OK and statuses(node)["refused"].values["fused_window"] == 2


def test_a_new_configuration_starts_fresh_accounts(world: RosWorld) -> None:
    node = world.up(world.add(SegmentationHeadNode(**world.options(model=MODEL))))
    node.reject("fused_window", "for the test")
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert statuses(node)["refused"].values == {"fused_window": 1}, "what happened can still be read"
    node.start()
    assert "refused" not in statuses(node)


def test_a_concern_that_fails_says_so_and_the_others_speak(world: RosWorld) -> None:
    node = world.add(SegmentationHeadNode(**world.options(model=MODEL)))
    node.diagnostics.add(lambda: [("broken", Status(1 // 0))])
    node.diagnostics.add(lambda: [("after", Status(OK, "fine"))])
    told = statuses(node)
    assert told["diagnostics"] == Status(ERROR, "ZeroDivisionError: integer division or modulo by zero")
    assert told["after"].message == "fine" and node.health.counts["errors"] == 1


def test_bytes_per_second_are_those_of_the_last_seconds(world: RosWorld) -> None:
    node = world.add(EncoderNode(**world.options(model=MODEL)))
    clock = Clock()
    node.health.clock = clock
    rates = []
    for k in range(10):
        clock.now_s += 1.0
        rates.append(node.diagnostics.per_second("sent", 1000.0 * k))
    assert rates[0] == 0.0 and rates[1:] == [1000.0] * 9
    clock.now_s += 1.0
    assert node.diagnostics.per_second("sent", 0.0) == 0.0, "a fresh account is no negative rate"


def test_what_an_encoder_sends_is_told(world: RosWorld) -> None:
    node = world.up(world.add(EncoderNode(**world.options(model=MODEL))))
    assert statuses(node)["features out"].level == STALE
    node.health.count("bytes_sent", 5000)
    node.health.count("packets_sent", 2)
    node.health.frame_bytes = 5000
    node.health.answered(1, 0.1)
    told = statuses(node)["features out"]
    assert told.level == OK and told.values["bytes"] == 5000 and told.values["packets"] == 2
    assert told.values["bytes_newest_picture"] == 5000 and told.values["budget_bytes"] == DEFAULT_BUDGET_BYTES


def test_a_composed_uav_publishes_the_diagnostics_of_all_its_nodes_with_one_timer(world: RosWorld) -> None:
    uav = Uav(**world.options(model=MODEL))
    world.add(*uav.nodes)
    names = {node.get_fully_qualified_name() for node in uav.nodes}
    told = world.diagnostics()
    world.until(lambda: names <= {name.partition(":")[0] for name in told}, "all nodes report")
    assert sum(len(list(node.timers)) for node in uav.nodes) == 1
    uav.heads[0].diagnostics.close()
    uav.heads[0].diagnostics.publish()
    closed = uav.heads[0].get_fully_qualified_name()
    for _ in range(2):  # what was on its way, and what comes after it
        told.clear()
        world.until(
            lambda: names - {closed} <= {name.partition(":")[0] for name in told}, "the others report"
        )
    assert closed not in {name.partition(":")[0] for name in told}
