"""Agents that exchange packets answer what the same steps give one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.decoding import FrameDecoder, SharedDecoder, expected_of
from rsdfm_ros.agent.inbox import Inbox, InboxLimits, features_of
from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.agent.tasks import COLLABORATIVE, TaskInput, Tasks
from rsdfm_ros.agent.types import Shared
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError
from support.agents import NAMES, exchange, fleet, observe
from support.painted import PaintedScene, tiny_perception

PLAIN = AgentOptions(
    budget_bytes=3000, send_boxes="never", move_peers=False, correct_poses=False, doubt_peers=False
)


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception().with_thresholds({"detection": 0.0, "objects": 0.0})


def test_the_fused_map_is_that_of_the_decoded_maps_of_all(perception: Perception) -> None:
    agents = fleet(perception, PLAIN)
    own = observe(agents, 0)
    exchange(agents, own)
    answer = agents["uav1"].answer(own["uav1"])
    maps = []
    for image in agents["uav1"].receiver.images(own["uav1"].stamp_ns):
        first = image.frame.first
        features = features_of(image.frame, expected_of(perception))
        maps.append(perception.decompress(features, first.T_map_camera, first.covariance))
    direct = perception.fuse(own["uav1"].bev, maps, [0.0, 0.0])
    assert torch.equal(answer.fused.collaborative.features, direct.features)
    assert answer.fused.contributors == NAMES and answer.fused.ages_s == (0.0, 0.0, 0.0)
    alone = perception.fuse(own["uav1"].bev, [], [])
    assert answer.fused.single is not None and torch.equal(answer.fused.single.features, alone.features)
    assert answer.collaborative.detection is not None
    expected = perception.detect([direct])
    np.testing.assert_array_equal(answer.collaborative.detection.boxes.centres, expected.centres)


def test_a_uav_whose_peers_are_silent_answers_alone(perception: Perception) -> None:
    agents = fleet(perception, DEFAULTS)
    answer = agents["uav1"].answer(observe(agents, 0)["uav1"])
    assert answer.fused.contributors == ("uav1",)
    together, alone = answer.collaborative, answer.single
    assert together.segmentation is not None and alone.segmentation is not None
    np.testing.assert_array_equal(
        together.segmentation.instances.probability, alone.segmentation.instances.probability
    )


def test_older_images_are_used_up_to_their_age_and_then_boxes_are_sent(perception: Perception) -> None:
    agents = fleet(perception, replace(PLAIN, send_boxes="auto", max_age_s=0.6))
    first = observe(agents, 0)
    without = exchange(agents, first)
    agents["uav1"].answer(first["uav1"])
    second = observe(agents, 1)
    exchange(agents, second, silent=("uav2", "uav3"))
    answer = agents["uav1"].answer(second["uav1"])
    assert answer.fused.contributors == NAMES and answer.fused.ages_s == (0.0, 0.5, 0.5)
    third = observe(agents, 2)
    with_boxes = exchange(agents, third, silent=("uav2", "uav3"))
    assert with_boxes["uav1"] == without["uav1"] + 1
    assert agents["uav1"].answer(third["uav1"]).fused.contributors == ("uav1",)


def test_packets_that_contradict_each_other_leave_their_peer_out_and_nobody_else(
    perception: Perception,
) -> None:
    agents, errors = fleet(perception, PLAIN), []
    agents["uav1"] = Agent(
        "uav1", perception, PLAIN, peers=NAMES[1:], on_error=lambda p, e: errors.append((p, e))
    )
    own = observe(agents, 0)
    exchange(agents, own)
    (image,) = [i for i in agents["uav1"].receiver.images(own["uav1"].stamp_ns) if i.peer == "uav2"]
    image.frame.parts.append(image.frame.parts[0])  # the same tiles twice
    answer = agents["uav1"].answer(own["uav1"])
    assert answer.fused.contributors == ("uav1", "uav3")
    ((peer, error),) = errors
    assert peer == "uav2" and isinstance(error, WireError)


def test_frames_are_decoded_once_for_all_on_one_ground(
    perception: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = fleet(perception, PLAIN)
    inbox, decoder = Inbox(expected_of(perception), InboxLimits()), SharedDecoder()
    agents = {
        n: Agent(n, perception, PLAIN, peers=[m for m in NAMES if m != n], inbox=inbox, decoder=decoder)
        for n in NAMES
    }
    own = observe(sending, 0)
    exchange({**sending}, own)
    for name in NAMES:  # every packet once: all hear the same
        for image in sending[NAMES[0] if name != NAMES[0] else NAMES[1]].receiver.images(own[name].stamp_ns):
            if image.peer == name:
                inbox._store.put((name, b""), image.frame, 0)
    calls = []
    real = FrameDecoder.decode
    monkeypatch.setattr(FrameDecoder, "decode", lambda self, *a: (calls.append(1), real(self, *a))[1])
    mine = observe(agents, 0)
    together = {n: agents[n].answer(mine[n]).fused for n in NAMES}
    assert len(calls) == 3 and all(f.contributors[0] == n for n, f in together.items())
    for name in NAMES:
        expected = sending[name].answer(own[name]).fused.collaborative.features
        assert torch.equal(together[name].collaborative.features, expected)
    decoder.clear()
    frame = PaintedScene().load(1)
    low = agents["uav1"].observe(frame.views_of("uav1"), frame.stamp_ns, GroundPlane(offset=1.0))
    calls.clear()
    agents["uav1"].answer(replace(low, stamp_ns=own["uav1"].stamp_ns))
    assert len(calls) == 2, "another ground, other maps"


def test_all_tasks_give_one_object_one_id_and_plug_ins_are_answered_too() -> None:
    base = tiny_perception()
    config = ModelConfig(
        **{**base.config.__dict__, "heads": ("detection", "segmentation", "trajectory", "layout")}
    )
    model = Perception.random(config, seed=3).with_thresholds(
        {"detection": 0.0, "objects": 0.0, "segmentation": 0.3, "map_consistency": -1.0}
    )
    agent = Agent("uav1", model)
    frame = PaintedScene().load(0)
    own = agent.observe(frame.views_of("uav1"), frame.stamp_ns)
    answer = agent.answer(own)
    maps = [model.fuse(own.bev, [], [])]
    np.testing.assert_array_equal(
        np.asarray(answer.single.plug_ins["layout"].probability),
        np.asarray(model.answer("layout", maps).probability),
    )
    without = Tasks().answer(model, TaskInput(COLLABORATIVE, own.stamp_ns, maps, None, Shared()))
    assert without.motion is not None and answer.single.motion is not None
    np.testing.assert_array_equal(without.motion.tracks.positions, answer.single.motion.tracks.positions)
    assert without.detection is not None and without.detection.boxes.ids is None


def test_lost_tiles_are_those_of_the_image_before_and_as_much_older(perception: Perception) -> None:
    options = replace(PLAIN, max_packet_bytes=600)
    agents = fleet(perception, options)
    for k in range(2):
        own = observe(agents, k)
        exchange(agents, own)
    stamp_ns = own["uav1"].stamp_ns
    whole = next(i for i in agents["uav1"].receiver.images(stamp_ns) if i.peer == "uav2")
    assert whole.before is None and len(whole.frame.parts) > 1
    del whole.frame.parts[0]
    whole.frame.indices.discard(0)
    (lossy,) = [i for i in agents["uav1"].receiver.images(stamp_ns) if i.peer == "uav2"]
    decoded = FrameDecoder().decode(perception, lossy.frame, lossy.before)
    assert lossy.before is not None and decoded.concealed_tiles > 0 and decoded.bev.lag_s is not None
    assert set(decoded.bev.lag_s.unique().tolist()) == {0.0, 0.5}
