"""Every node goes through every transition, by its services, again and again; what fails can be repaired."""

from __future__ import annotations

import gc
import shutil
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.mission import lockstep
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.gazebo_flight_node import GazeboFlightNode
from rsdfm_ros.nodes.mission.gazebo_truth_node import GazeboTruthNode
from rsdfm_ros.nodes.mission.sim_node import SimNode
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.trajectory_head_node import TrajectoryHeadNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.ros_world import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, MODEL, SHUTDOWN, TINY, RosWorld

PIPELINE = (EncoderNode, CollaborationNode, DetectionHeadNode, SegmentationHeadNode, TrajectoryHeadNode)
KINDS = [*PIPELINE, SimNode, EvaluatorNode, GazeboFlightNode, GazeboTruthNode]
STATES = ("unconfigured", "inactive", "active")
FLY = SimNode.play
CYCLES = 10
"""A leak of one cycle shows after a few."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[RosWorld]:
    # The world itself needs a renderer and seconds; here only the node around it counts.
    monkeypatch.setattr(SimNode, "play", lambda self, lockstep: None)
    made = RosWorld()
    yield made
    made.close()


def make(world: RosWorld, kind: type[Any], **parameters: Any) -> Any:
    if kind in PIPELINE:
        parameters = {"model": MODEL, **parameters}
    return world.add(kind(**world.options(**parameters)))


def entities(node: Any) -> tuple[int, int, int]:
    return len(list(node.publishers)), len(list(node.subscriptions)), len(list(node.timers))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_manager_brings_a_node_up_and_down_and_up_again(world: RosWorld, kind: type[Any]) -> None:
    node = make(world, kind)
    fresh = entities(node)
    assert world.state(node) == "unconfigured"
    configured, active = [], []
    for _ in range(3):
        assert world.change(node, CONFIGURE) and world.state(node) == "inactive"
        configured.append(entities(node))
        for _ in range(2):
            assert world.change(node, ACTIVATE) and world.state(node) == "active"
            active.append(entities(node))
            assert world.change(node, DEACTIVATE) and world.state(node) == "inactive"
        assert world.change(node, CLEANUP) and world.state(node) == "unconfigured"
        assert entities(node) == fresh
    assert len(set(configured)) == len(set(active)) == 1, "something is made twice, or left behind"
    assert active[0] > fresh


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("state", STATES)
def test_a_node_shuts_down_from_every_state(world: RosWorld, kind: type[Any], state: str) -> None:
    node = make(world, kind)
    fresh = entities(node)
    for transition in (CONFIGURE, ACTIVATE)[: STATES.index(state)]:
        assert world.change(node, transition)
    assert world.change(node, SHUTDOWN[state])
    assert world.state(node) == "finalized" and entities(node) == fresh
    assert not world.change(node, CONFIGURE), "what is finalized stays so"
    assert world.state(node) == "finalized"


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_transitions_that_do_not_fit_the_state_are_refused_and_change_nothing(
    world: RosWorld, kind: type[Any]
) -> None:
    node = make(world, kind)
    assert not world.change(node, ACTIVATE) and world.state(node) == "unconfigured"
    assert not world.change(node, CLEANUP) and world.state(node) == "unconfigured"
    world.up(node)
    assert not world.change(node, CONFIGURE) and world.state(node) == "active"
    assert not world.change(node, CLEANUP) and world.state(node) == "active"


class Breaks(Exception):
    """An unexpected error."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize(
    ("hook", "before", "after"),
    [
        ("configure", (), "unconfigured"),
        ("activate", (CONFIGURE,), "unconfigured"),
        ("deactivate", (CONFIGURE, ACTIVATE), "unconfigured"),
        ("cleanup", (CONFIGURE,), "unconfigured"),
    ],
)
def test_an_unforeseen_error_in_a_transition_leads_back_to_unconfigured_and_a_fresh_start(
    world: RosWorld,
    kind: type[Any],
    hook: str,
    before: tuple[int, ...],
    after: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = make(world, kind)
    fresh = entities(node)
    for transition in before:
        assert world.change(node, transition)
    works = getattr(node, hook)

    def breaks() -> None:
        works()
        raise Breaks("on purpose")

    monkeypatch.setattr(node, hook, breaks)
    now = {"configure": CONFIGURE, "activate": ACTIVATE, "deactivate": DEACTIVATE, "cleanup": CLEANUP}[hook]
    assert not world.change(node, now)
    assert world.state(node) == after and entities(node) == fresh
    assert node.last_error == "Breaks: on purpose" and node.health.counts["errors"] >= 1
    monkeypatch.undo()
    monkeypatch.setattr(SimNode, "play", lambda self, lockstep: None)
    world.up(node)
    assert world.state(node) == "active" and node.last_error == ""


@pytest.mark.parametrize("kind", PIPELINE, ids=lambda k: k.__name__)
def test_a_missing_model_fails_activation_in_words_and_is_repaired_by_a_parameter(
    world: RosWorld, kind: type[Any]
) -> None:
    node = make(world, kind, model="/nowhere")
    assert world.change(node, CONFIGURE)
    inactive = entities(node)
    for _ in range(2):
        assert not world.change(node, ACTIVATE) and world.state(node) == "inactive"
        assert "no model at '/nowhere'" in node.last_error and entities(node) == inactive
    (reason,) = world.set(node, model=MODEL)
    assert "read-only while the node is configured" in reason
    assert world.change(node, CLEANUP)
    assert world.set(node, model=MODEL) == [""]
    world.up(node)


def test_a_broken_model_folder_is_repaired_in_place(world: RosWorld, tmp_path: Path) -> None:
    good = save_model(tmp_path / "good", RSDFM(load_model_config(TINY)), {})
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    (folder / "weights.safetensors").write_bytes(b"nonsense")
    node = make(world, EncoderNode, model=str(folder))
    assert world.change(node, CONFIGURE)
    assert not world.change(node, ACTIVATE) and "expected a safetensors file" in node.last_error
    shutil.copy(good / "weights.safetensors", folder)
    assert world.change(node, ACTIVATE) and world.state(node) == "active"


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_bad_parameter_at_the_start_fails_configuration_in_words_until_it_is_set(
    world: RosWorld, kind: type[Any]
) -> None:
    node = make(world, kind, frame_id=7)
    for _ in range(2):
        assert not world.change(node, CONFIGURE) and world.state(node) == "unconfigured"
        assert "parameter frame_id of" in node.last_error and "expected a text" in node.last_error
    assert world.set(node, frame_id="world") == [""]
    world.up(node)
    assert node.settings.frame_id == "world"


@pytest.mark.parametrize("kind", PIPELINE, ids=lambda k: k.__name__)
def test_a_node_without_a_name_says_what_to_do(world: RosWorld, kind: type[Any]) -> None:
    options = world.options(model=MODEL) | {"namespace": "/"}
    node = world.add(kind(**options))
    assert not world.change(node, CONFIGURE)
    assert "start it in a namespace such as /uav1, or set `agent`" in node.last_error
    assert world.set(node, agent="uav7") == [""]
    world.up(node)
    assert node.agent == "uav7"


def test_a_parameter_set_while_unconfigured_counts_from_the_next_configuration(world: RosWorld) -> None:
    node = make(world, SegmentationHeadNode)
    world.up(node)
    (reason,) = world.set(node, publish_single=True)
    assert "read-only while the node is configured" in reason and "clean up the node first" in reason
    topics = {p.topic_name for p in node.publishers}
    assert "/uav1/single/occupancy" not in topics and "/uav1/occupancy" in topics
    assert world.change(node, DEACTIVATE) and world.change(node, CLEANUP)
    assert world.set(node, publish_single=True) == [""]
    world.up(node)
    assert "/uav1/single/occupancy" in {p.topic_name for p in node.publishers}


def test_every_activation_of_the_evaluator_is_a_mission_with_its_own_results(
    world: RosWorld, tmp_path: Path
) -> None:
    node = make(world, EvaluatorNode, out=str(tmp_path / "a"), record_bag=True, agents=["uav1"])
    world.up(node)
    first = node.mission
    assert world.change(node, DEACTIVATE)
    assert (tmp_path / "a" / "result.json").exists() and (tmp_path / "a" / "bag").is_dir()
    assert node.finished.is_set() and node.failure == ""
    files = {p: p.read_bytes() for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()}
    assert not world.change(node, ACTIVATE) and world.state(node) == "inactive"
    assert "exists already: choose another folder or remove it" in node.last_error
    assert {p: p.read_bytes() for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()} == files
    shutil.rmtree(tmp_path / "a")
    assert world.change(node, ACTIVATE) and node.mission is not first and not node.finished.is_set()
    assert world.change(node, DEACTIVATE) and world.change(node, CLEANUP)
    assert (tmp_path / "a" / "result.json").exists()
    assert world.set(node, out=str(tmp_path / "b"), map_bounds_m=[0.0, 0.0, 0.7, 1.0]) == ["", ""]
    assert not world.change(node, CONFIGURE) and "no rectangle of whole cells" in node.last_error
    assert world.set(node, map_bounds_m=[0.0, 0.0, 8.0, 8.0]) == [""]
    world.up(node)
    assert world.change(node, DEACTIVATE) and (tmp_path / "b" / "result.json").exists()


def test_the_simulation_takes_its_uavs_from_the_settings_of_the_configuration(world: RosWorld) -> None:
    node = make(world, SimNode, uavs=2)
    world.up(node)
    assert {"/uav1/uav1/pose", "/uav1/uav2/pose"} <= {p.topic_name for p in node.publishers}
    assert world.change(node, DEACTIVATE) and world.change(node, CLEANUP)
    assert world.set(node, agents=["a", "a"]) != [""] and world.set(node, agents=["alpha"]) == [""]
    world.up(node)
    topics = {p.topic_name for p in node.publishers}
    assert "/uav1/alpha/pose" in topics and "/uav1/uav1/pose" not in topics


class SlowWorld:
    """A world that renders until the test lets it go on, and tells what it was asked for."""

    def __init__(self) -> None:
        self.rendering, self.go_on, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.frames: list[int] = []

    def close(self) -> None:
        self.closed.set()

    def frame(self, k: int) -> Any:
        self.frames.append(k)
        self.rendering.set()
        assert self.go_on.wait(60.0)
        return types.SimpleNamespace(stamp_ns=0, index=k, views=(), objects=None)


def test_a_simulation_that_is_stopped_while_it_renders_ends_before_anything_is_destroyed(
    world: RosWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowWorld()
    monkeypatch.setattr(SimNode, "play", FLY)
    monkeypatch.setattr("rsdfm_ros.sim.world.World", lambda *_: slow)
    monkeypatch.setattr(lockstep, "ENDING_S", 0.01)
    node = make(world, SimNode, uavs=1)
    world.up(node)
    assert slow.rendering.wait(60.0)
    waiting, alive = threading.Event(), []

    def warning(sentence: str) -> None:
        alive.append((node.state, any(t.name == "simulation" for t in threading.enumerate()), sentence))
        if len(alive) == 3:
            waiting.set()

    monkeypatch.setattr(node, "get_logger", lambda: types.SimpleNamespace(warning=warning))
    stopping = threading.Thread(target=node.stop)
    stopping.start()
    assert waiting.wait(60.0) and stopping.is_alive() and not slow.closed.is_set()
    assert {(state, flying) for state, flying, _ in alive} == {("active", True)}
    assert "the simulation is still finishing" in alive[0][2]
    assert list(node.publishers), "nothing is destroyed while the thread is alive"
    slow.go_on.set()
    stopping.join(60.0)
    assert not stopping.is_alive() and slow.closed.is_set() and node.state == "finalized"
    assert slow.frames == [0], "nothing more is rendered"


def uav(world: RosWorld, **parameters: Any) -> Uav:
    made = Uav(**world.options(model=MODEL, **parameters))
    world.add(*made.nodes)
    return made


def test_the_composed_nodes_of_a_uav_are_managed_one_by_one_and_share_one_model(world: RosWorld) -> None:
    made = uav(world)
    for cycle in range(3):
        world.up(*made.nodes)
        loaded = weakref.ref(made.encoder._model.model)
        assert all(node._model.model is loaded() for node in made.nodes)
        for node in made.nodes[cycle:] + made.nodes[:cycle]:
            assert loaded() is not None
            assert world.change(node, DEACTIVATE)
        gc.collect()
        assert loaded() is None, "the weights are still in memory"
        for node in made.nodes:
            assert world.change(node, CLEANUP)


def test_composed_nodes_do_not_load_two_models(world: RosWorld) -> None:
    made = uav(world)
    for node in made.heads:
        world.up(node)
    assert world.set(made.encoder, model=f"{MODEL}:5") == [""]
    assert world.change(made.encoder, CONFIGURE)
    assert not world.change(made.encoder, ACTIVATE)
    assert "still use the model" in made.encoder.last_error
    for node in made.heads:
        assert world.change(node, DEACTIVATE)
    assert world.change(made.encoder, ACTIVATE)


def test_one_failing_node_of_a_composed_set_leaves_the_others_as_they_are(world: RosWorld) -> None:
    made = uav(world)
    world.up(*made.nodes[:-1])
    assert world.change(made.encoder, CONFIGURE) and world.change(made.encoder, ACTIVATE)
    assert world.change(made.collaboration, DEACTIVATE)
    assert [world.state(n) for n in made.nodes] == ["active", "active", "active", "inactive", "active"]
    assert world.change(made.collaboration, ACTIVATE)


@pytest.mark.parametrize(
    "build",
    [*(lambda w, k=kind: [make(w, k)] for kind in PIPELINE), lambda w: uav(w).nodes],
    ids=[*(k.__name__ for k in PIPELINE), "Uav"],
)
def test_many_cycles_leave_no_thread_no_entity_and_no_weights_behind(
    world: RosWorld, build: Callable[[RosWorld], list[RsdfmNode[Any]]]
) -> None:
    nodes = build(world)
    threads, fresh = threading.active_count(), [entities(n) for n in nodes]
    weights = []
    for _ in range(CYCLES):
        for node in nodes:
            node.start()
        node.worker.submit("x", lambda: None)
        assert node.worker.wait_idle(60.0)
        weights.append(weakref.ref(nodes[0]._model.model))
        for node in nodes:
            node.trigger_deactivate()
            node.trigger_cleanup()
    gc.collect()
    assert [w() for w in weights] == [None] * CYCLES
    assert threading.active_count() == threads and [entities(n) for n in nodes] == fresh


def test_destroyed_nodes_are_freed(world: RosWorld) -> None:
    gone = []
    for _ in range(5):
        node = make(world, CollaborationNode)
        world.up(node)
        gone.append(weakref.ref(node))
        world.remove(node)
        del node
    gc.collect()
    assert sum(ref() is not None for ref in gone) <= 1, "nodes are kept alive"
