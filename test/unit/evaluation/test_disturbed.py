"""Collaboration with uncertain poses, late and false peers, end to end on the painted scene."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.agent import fusion
from rsdfm_ros.agent.options import PreFusionOptions
from rsdfm_ros.agent.prefusion import evidence
from rsdfm_ros.agent.prefusion.prepare import Prepared
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.data.frame import CameraView, WorldFrame
from rsdfm_ros.data.outputs import boxes_of_objects
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.mirrored import mirrored
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.live import LiveWorld
from rsdfm_ros.evaluation.methods.codec import Rsdfm
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import RadioChannel, Sent
from rsdfm_ros.evaluation.scores import MethodScore
from rsdfm_ros.evaluation.session import evaluate_scene
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.world import World
from support.painted import UAVS, PaintedScene, Watcher, objects_at, run_settings, tiny_perception
from support.sightings import rms, seen_with

METHODS = ("single", "rsdfm-plain", "rsdfm")


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


def _true_pose(step: EvaluationFrame, agent: int) -> np.ndarray:
    return PaintedScene().load(step.index).views[agent].T_map_camera


@pytest.fixture
def detector_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every UAV finds all objects, but puts them where its believed pose says."""
    own = EvaluationFrame.own

    def knowing(self: EvaluationFrame, agent: int) -> FramePrediction:
        boxes = boxes_of_objects(objects_at(self.index))
        believed = self.pose(agent)[0]
        centres = boxes.centres.copy()
        centres[:, :2] = seen_with(centres[:, :2], _true_pose(self, agent), believed)
        return dataclasses.replace(own(self, agent), boxes=dataclasses.replace(boxes, centres=centres))

    monkeypatch.setattr(EvaluationFrame, "own", knowing)


def _run(perception: Perception, text: str) -> tuple[dict[str, MethodScore], Watcher]:
    watcher = Watcher()
    with ThreadPoolExecutor(2) as pool:
        settings = run_settings(parse_disturbance(text), METHODS)
        return evaluate_scene(perception, PaintedScene(), settings, pool, watch=watcher), watcher


GROUND = np.stack(np.meshgrid(np.arange(-10.0, 11.0, 5.0), np.arange(-10.0, 11.0, 5.0)), -1).reshape(-1, 2)


@pytest.mark.usefixtures("detector_that_works")
@pytest.mark.parametrize("text", ["pose_sigma_m=1.5", "pose_bias_m=1.5", "pose_sigma_m=1,pose_sigma_deg=1"])
def test_maps_are_fused_as_if_made_with_poses_that_agree_and_are_nearer_the_truth(
    perception: Perception, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    errors: dict[str, list[float]] = {"before": [], "after": []}
    splits: dict[str, list[float]] = {"before": [], "after": []}
    here = threading.local()  # receivers run side by side
    receive, prepare = Rsdfm.receive, fusion.prepare

    def received(self: Rsdfm, step: EvaluationFrame, *rest: Any) -> Any:
        here.step = step
        return receive(self, step, *rest)

    def watched(
        own: View, peers: Sequence[View], window: Window, options: PreFusionOptions, *rest: Any, **more: Any
    ) -> Prepared:
        done = prepare(own, peers, window, options, *rest, **more)
        if options.align_poses:
            truth = {name: _true_pose(here.step, a) for a, name in enumerate(here.step.agents)}
            for name, views in (("before", [own, *peers]), ("after", [done.own, *done.peers])):
                put = [seen_with(GROUND, truth[v.name], v.T_map_camera) for v in views]
                errors[name] += [rms(p, GROUND) for p in put]
                splits[name] += [rms(p, put[0]) for p in put[1:]]
        return done

    monkeypatch.setattr(Rsdfm, "receive", received)
    monkeypatch.setattr(fusion, "prepare", watched)
    scores, watcher = _run(perception, text)
    assert np.mean(errors["after"]) < 0.8 * np.mean(errors["before"])
    assert np.mean(splits["after"]) < 0.35 * np.mean(splits["before"])
    packets = {m: scores[m].result()["packets_per_frame"] for m in ("rsdfm", "rsdfm-plain")}
    assert packets["rsdfm"] == packets["rsdfm-plain"] + 1  # the boxes travel, and count
    assert scores["rsdfm"].result()["bytes_per_frame"] <= 1.2 * 1_500
    assert not np.array_equal(watcher.answers["rsdfm", 0, 3], watcher.answers["rsdfm-plain", 0, 3])


@pytest.mark.usefixtures("detector_that_works")
def test_boxes_travel_only_where_they_help(perception: Perception) -> None:
    scores, _ = _run(perception, "")
    size = {m: scores[m].result()["packets_per_frame"] for m in ("rsdfm", "rsdfm-plain")}
    assert size["rsdfm"] == size["rsdfm-plain"]
    scores, late = _run(perception, "latency_ms=400")
    size = {m: scores[m].result()["packets_per_frame"] for m in ("rsdfm", "rsdfm-plain")}
    assert size["rsdfm"] == size["rsdfm-plain"] + 1
    assert any(
        not np.array_equal(late.answers["rsdfm", e, 3], late.answers["rsdfm-plain", e, 3])
        for e in range(UAVS)
    )


@pytest.mark.usefixtures("detector_that_works")
def test_without_peers_nothing_is_corrected(perception: Perception) -> None:
    _, watcher = _run(perception, "pose_sigma_m=1.5,loss=1")
    for (method, ego, frame), answer in watcher.answers.items():
        if method != "single":
            np.testing.assert_array_equal(answer, watcher.answers["single", ego, frame])


def test_peers_that_do_not_resemble_are_left_out_and_the_ego_is_on_its_own(
    perception: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence.OwnAnswers, "evidence", lambda self, probe, bev: evidence.Evidence(8.0, 8.0))
    strict = perception.with_thresholds({"map_consistency": 0.18})
    _, watcher = _run(strict, "attackers=2")
    for ego in range(UAVS):
        alone = watcher.answers["single", ego, 3]
        np.testing.assert_array_equal(watcher.answers["rsdfm", ego, 3], alone)
        assert not np.array_equal(watcher.answers["rsdfm-plain", ego, 3], alone)


def test_mirrored_pictures_are_false_and_the_poses_true() -> None:
    frame = PaintedScene().load(0)
    false = mirrored(frame)
    for a, b in zip(frame.views, false.views, strict=True):
        np.testing.assert_array_equal(a.image[:, ::-1], b.image)
        np.testing.assert_array_equal(a.T_map_camera, b.T_map_camera)


def _sent(sender: int, frame: int, word: bytes) -> Sent:
    return Sent(sender, frame, (word,), 1, np.eye(4), np.zeros((6, 6)))


def test_an_ego_hears_false_messages_of_attackers_and_true_ones_of_the_rest() -> None:
    air = RadioChannel(Disturbance(attackers=1, drop_uavs=1), 0)
    air.send(0, [_sent(n, 0, b"true") for n in range(4)], [_sent(n, 0, b"false") for n in range(4)])
    heard = {ego: {r.sent.sender: r.payloads[0] for r in air.receive(0, ego, 4)} for ego in range(4)}
    assert heard[0] == {1: b"false", 2: b"true"}
    assert heard[3] == {0: b"false", 1: b"true"}


def test_biases_stay_over_a_scene_and_noise_does_not() -> None:
    def shifts(d: Disturbance, scene: int, agent: int) -> list[float]:
        made = [
            d.noisy_pose(np.eye(4), np.zeros((6, 6)), scene=scene, frame=k, agent=agent)[0] for k in range(3)
        ]
        return [float(T[0, 3]) for T in made]

    bias, noise = Disturbance(pose_bias_m=1.0), Disturbance(pose_sigma_m=1.0)
    assert len(set(shifts(bias, 0, 0))) == 1 and len(set(shifts(noise, 0, 0))) == 3
    assert len({shifts(bias, s, a)[0] for s in range(2) for a in range(2)}) == 4
    both = Disturbance(pose_bias_m=1.0, pose_sigma_m=1.0)
    expected = np.array(shifts(bias, 0, 0)) + np.array(shifts(noise, 0, 0))
    np.testing.assert_allclose(shifts(both, 0, 0), expected)
    _, covariance = both.noisy_pose(np.eye(4), np.zeros((6, 6)), scene=0, frame=0, agent=0)
    np.testing.assert_allclose(np.diag(covariance)[:3], 2.0)


@pytest.fixture(scope="module")
def live() -> Iterator[LiveWorld]:
    world = LiveWorld(8123, 2)
    yield world
    world.close()


def test_a_live_world_shows_the_scene_between_its_frames(live: LiveWorld) -> None:
    with World(8123, 2) as world:
        first, second = world.frame(1), world.frame(2)
    half_a_second = live.before(second, 0.5)
    assert half_a_second is not None and half_a_second.index == 2
    for a, b in zip(first.views, half_a_second.views, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_allclose(a.T_map_camera, b.T_map_camera, atol=1e-12)
    between = live.before(second, 0.2)
    assert between is not None
    moved = [
        np.linalg.norm(a.T_map_camera[:3, 3] - b.T_map_camera[:3, 3])
        for a, b in zip(between.views, second.views, strict=True)
    ]
    assert all(0.1 < m < 2.0 for m in moved)
    assert live.before(dataclasses.replace(second, index=0, views=()), 0.2) is None


def test_a_scene_that_was_simulated_otherwise_is_refused(live: LiveWorld) -> None:
    view = CameraView("uav1", np.zeros((4, 4, 3), np.uint8), np.eye(3), np.eye(4))
    with pytest.raises(RsdfmError, match="simulated otherwise"):
        live.before(WorldFrame(4, 0, (view,), objects_at(0)), 0.1)
