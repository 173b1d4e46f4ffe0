"""The evaluator shows that it is ready when nothing of what it records would be missed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from rsdfm_ros.nodes.mission import evaluator_node
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.intake import SENSED, SENSED_WAIT_S

AGENTS = ("uav1", "uav2")


class Evaluator(SimpleNamespace):
    """An EvaluatorNode of a fleet whose topics in `found` have publishers."""

    settings = SimpleNamespace(agents=AGENTS)
    _ready_s = 0.0

    def count_publishers(self, name: str) -> int:
        return int(name in self.found)

    def resolve_topic_name(self, name: str) -> str:
        return f"/{name}"

    def connected(self) -> bool:
        return EvaluatorNode._connected(self)  # type: ignore[arg-type]


def topics(*names: str) -> set[str]:
    return {f"/{agent}/{name}" for agent in AGENTS for name in names}


ANSWERS = topics("trajectories", "bev/features")


def test_a_mission_that_is_recorded_begins_when_images_and_poses_of_all_were_found() -> None:
    evaluator = Evaluator(found=ANSWERS | topics(*SENSED) - {"/uav1/pose"}, _bag=object())
    assert not evaluator.connected()
    evaluator.found.add("/uav1/pose")
    assert evaluator.connected()
    evaluator.found.remove("/uav2/trajectories")
    assert not evaluator.connected()


def test_without_a_bag_answers_suffice() -> None:
    assert Evaluator(found=set(ANSWERS), _bag=None).connected()
    assert not Evaluator(found=topics("trajectories"), _bag=None).connected()


def test_a_fleet_whose_images_have_other_names_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(evaluator_node, "monotonic", lambda: now[0])
    evaluator = Evaluator(found=set(ANSWERS), _bag=object())
    assert not evaluator.connected()
    now[0] += SENSED_WAIT_S - 0.1
    assert not evaluator.connected()
    now[0] += 0.2
    assert evaluator.connected()
