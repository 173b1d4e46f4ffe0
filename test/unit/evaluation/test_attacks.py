"""Attacks do to an undefended fusion with the shipped weights what they are meant to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from rsdfm_ros.agent.decoding import decode_features
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.attacks.fabricated import APART_M, VEHICLES
from rsdfm_ros.evaluation.attacks.kinds import COLLUDING, ERASED, FABRICATED, KINDS, MIRRORED, OPTIMISED
from rsdfm_ros.evaluation.attacks.optimised import REACH, optimised
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.methods.base import decode_parts
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame, OwnHistories
from rsdfm_ros.evaluation.methods.forger import Forger, false_frame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.shipped import SHIPPED_MODEL
from rsdfm_ros.sim.world import World
from rsdfm_ros.wire.faults.attack import SATURATED
from rsdfm_ros.wire.limits import Expected
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame

SEED, UAVS, BUDGET_BYTES = 9100, 3, 18_000
EGO, ATTACKER = 0, 1
FOUND_SCORE, SAME_M = 0.5, 2.0


class Scene:
    """One frame of a simulated scene, as three UAVs with the shipped weights see it."""

    def __init__(self) -> None:
        self.model = Perception.load(SHIPPED_MODEL)
        with World(SEED, UAVS) as world:
            frame = world.frame(2)
        thresholds = Thresholds.of(self.model)
        self.step = EvaluationFrame(self.model, thresholds, frame, SEED, Disturbance(), OwnHistories())
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.step.encode, range(UAVS)))
        self.truth = rasterise(frame.objects, self.model.output_window) > 0

    def method(self, name: str = "rsdfm-plain") -> Any:
        return METHODS[name].make(self.model, Thresholds.of(self.model), BUDGET_BYTES)

    def forged(self, kind: str, name: str = "rsdfm-plain") -> tuple[EvaluationFrame, Sent]:
        """The frame of an attacker, and what it sends."""
        disturbance = Disturbance(attackers=1, attack_kind=kind)
        step = false_frame(self.step, self.model.window, range(UAVS), disturbance, SEED)
        sent = Forger(self.method(name), disturbance, SEED).send(step, ATTACKER)
        assert sent is not None
        return step, sent

    def honest(self) -> Sent:
        sent: Sent = self.method().send(self.step, ATTACKER)
        return sent

    def fused(self, sent: Sent) -> FramePrediction:
        """The ego's answer, undefended."""
        answer: FramePrediction = self.method().receive(
            self.step, EGO, [Received(sent, sent.payloads, 0.0)], True
        )
        return answer

    def iou(self, answer: FramePrediction) -> float:
        """Of the vehicle cells that ego or attacker see."""
        seen = self.step.bev(EGO).visible | self.step.bev(ATTACKER).visible
        where = np.kron(seen.numpy(), np.ones((2, 2), bool))
        found, truth = answer.foreground[where], self.truth[where]
        return float((found & truth).sum() / (found | truth).sum())


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Scene()
    torch.set_num_threads(threads)


def found(answer: FramePrediction, centres: np.ndarray) -> np.ndarray:
    """Whether objects are found at centres (n, ≥2)."""
    assert answer.boxes is not None
    sure = answer.boxes.centres[answer.boxes.scores >= FOUND_SCORE, :2]
    return np.array([np.linalg.norm(sure - c[:2], axis=1).min(initial=np.inf) < SAME_M for c in centres])


def added(scene: Scene, step: EvaluationFrame, agent: int) -> Boxes:
    """The boxes that an agent fabricated."""
    mine, false = scene.step.own(agent).boxes, step.own(agent).boxes
    return false.select(np.arange(len(mine), len(false)))


def test_fabricated_vehicles_appear(scene: Scene) -> None:
    step, sent = scene.forged(FABRICATED)
    new = added(scene, step, ATTACKER)
    assert 4 <= len(new) <= VEHICLES
    gaps = np.linalg.norm(new.centres[:, None, :2] - new.centres[None, :, :2], axis=-1)
    assert gaps[~np.eye(len(new), dtype=bool)].min() >= APART_M - 2.0  # whole cells
    before, after = (found(scene.fused(s), new.centres).sum() for s in (scene.honest(), sent))
    assert before == 0
    assert after >= 0.25 * len(new)


def test_erased_vehicles_disappear(scene: Scene) -> None:
    step, sent = scene.forged(ERASED)
    mine = scene.step.own(ATTACKER).boxes
    gone = mine.select(mine.scores >= FOUND_SCORE)
    assert len(gone) >= 4 and not found(step.own(ATTACKER), gone.centres).any()
    before, after = (found(scene.fused(s), gone.centres).sum() for s in (scene.honest(), sent))
    assert before >= 0.7 * len(gone)
    assert after <= 0.7 * before


def test_saturated_latents_make_the_answer_worse_than_without_the_peer(scene: Scene) -> None:
    _, sent = scene.forged(SATURATED)
    assert scene.iou(scene.fused(sent)) < scene.iou(scene.step.own(EGO))


def test_optimised_latents_do_more_harm_than_random_ones_of_the_same_size(scene: Scene) -> None:
    model, honest = scene.model, scene.honest()
    parts = decode_parts(Received(honest, honest.payloads, 0.0), model.fingerprint)
    frame = assemble(parts)
    bev = decode_features(model, frame, None, 0.0, honest.T_map_camera, honest.covariance).bev
    victims = [scene.step.bev(EGO)]
    scores = {}
    for steps in (0, 4):
        other = optimised(model, frame, bev, victims, (1,), steps)
        for now, then in ((other.high, frame.high), (other.low, frame.low)):
            axes = (0, *range(2, then.ndim))
            most = np.abs(then.astype(int)).max(axis=axes, keepdims=True)
            assert (np.abs(now.astype(int) - then) <= REACH * most + 0.5).all()
            assert (np.abs(now.astype(int)) <= most).all()
        packets = encode_frame(other, fingerprint=model.fingerprint)
        sent = Sent(ATTACKER, honest.frame, tuple(packets), 0, honest.T_map_camera, honest.covariance)
        scores[steps] = scene.iou(scene.fused(sent))
        again = optimised(model, frame, bev, victims, (1,), steps)
        assert np.array_equal(other.high, again.high) and np.array_equal(other.low, again.low)
    assert scores[4] < scores[0] - 0.1
    assert scores[0] <= scene.iou(scene.fused(honest)) + 0.02


def test_colluding_attackers_fabricate_vehicles_at_the_same_places(scene: Scene) -> None:
    step, _ = scene.forged(COLLUDING)
    first, second = (added(scene, step, a).centres[:, :2] for a in (0, 1))
    assert len(first) and len(second)
    near = np.linalg.norm(first[:, None] - second[None], axis=-1).min(axis=1)
    assert (near < 1.5).mean() >= 0.4  # nearest whole cells
    alone, _ = scene.forged(FABRICATED)
    apart, others = (added(scene, alone, a).centres[:, :2] for a in (0, 1))
    assert (np.linalg.norm(apart[:, None] - others[None], axis=-1).min(axis=1) < 1.5).mean() < 0.2


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (MIRRORED, OPTIMISED)])
def test_receivers_accept_the_packets_of_every_attack_and_one_seed_gives_the_same(
    scene: Scene, kind: str
) -> None:
    _, sent = scene.forged(kind, "rsdfm")
    config = scene.model.config
    expected = Expected(scene.model.fingerprint, config.low_channels, config.high_channels)
    frame = assemble([decode_packet(p, expected=expected) for p in sent.payloads])
    assert len(frame.high_cell) > 100
    assert scene.forged(kind, "rsdfm")[1].payloads == sent.payloads
