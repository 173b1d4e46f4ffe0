"""Methods, disturbances and the runner, with an untrained model on a small map and painted images."""

from __future__ import annotations

import dataclasses
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rsdfm_ros.agent.interest.demand import demand_of
from rsdfm_ros.data.bags.message_sizes import (
    demand_message,
    feature_message,
    read_demand_message,
)
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.outputs import boxes_of_objects
from rsdfm_ros.evaluation.calibrate import calibrate
from rsdfm_ros.evaluation.disturb import Disturbance, DisturbanceError, parse_disturbance
from rsdfm_ros.evaluation.frames import truth_of
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.evaluation.methods.late_fusion import (
    corrected_boxes,
    late_prediction,
    mean_heading,
    merge_boxes,
)
from rsdfm_ros.evaluation.methods.radio import Traffic
from rsdfm_ros.evaluation.protocol import Protocol, scored_frames
from rsdfm_ros.evaluation.scores import MethodScore
from rsdfm_ros.evaluation.session import evaluate_cases, evaluate_scene
from rsdfm_ros.geometry.lattice import FRAME_ID, square_window
from rsdfm_ros.geometry.rotations import rotation_vector
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.message import envelope_bytes
from support.painted import (
    AREAS,
    FEATURES,
    UAVS,
    PaintedScene,
    Watcher,
    objects_at,
    run_scene,
    run_settings,
    tiny_perception,
)
from support.perfect import perfect_prediction


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


@pytest.fixture(scope="module")
def clean(perception: Perception) -> tuple[dict[str, MethodScore], Watcher]:
    return run_scene(perception)


def test_every_method_answers_every_scored_frame_for_every_ego(
    clean: tuple[dict[str, MethodScore], Watcher],
) -> None:
    scores, watcher = clean
    frames = scored_frames(PaintedScene.frames)
    assert list(frames) == [2, 3]
    assert set(watcher.answers) == {(m, e, k) for m in METHODS for e in range(UAVS) for k in frames}
    for name, score in scores.items():
        result = score.result()
        assert score.areas["long"].frames == UAVS * len(frames), name
        assert {
            "iou_long",
            "iou_short",
            "vpq_long",
            "vpq_short",
            "pq_long",
            "map",
            "ap",
            "ade",
            "fde",
        } <= set(result)
        json.dumps(result, allow_nan=False)


def test_bytes_are_those_of_serialised_messages(clean: tuple[dict[str, MethodScore], Watcher]) -> None:
    results = {name: score.result() for name, score in clean[0].items()}
    assert results["single"]["bytes_per_frame"] is None
    assert results["late"]["bytes_per_frame"] > 0
    # 1024 cells at most, 8 channels in float16, and what surrounds them.
    assert results["rsdfm"]["bytes_per_frame"] < results["dense"]["bytes_per_frame"] < 1024 * 8 * 2 + 4 * 500
    assert results["rsdfm"]["bytes_per_frame"] <= 1.2 * 1_500
    assert results["rsdfm"]["packets_per_frame"] == 1


def test_the_budget_changes_what_is_sent(
    perception: Perception, clean: tuple[dict[str, MethodScore], Watcher]
) -> None:
    watcher = Watcher()
    wide = dataclasses.replace(run_settings(), budget_bytes=15_000, methods=("rsdfm",))
    with ThreadPoolExecutor(2) as pool:
        scores = evaluate_scene(perception, PaintedScene(), wide, pool, watch=watcher)
    more, less = (s["rsdfm"].result()["bytes_per_frame"] for s in (scores, clean[0]))
    assert more > 1.3 * less
    assert not np.array_equal(watcher.answers["rsdfm", 0, 3], clean[1].answers["rsdfm", 0, 3])


@pytest.mark.parametrize(
    "text",
    [
        "loss=0.5",
        "latency_ms=400",
        "latency_ms=400,staggered=1",
        "latency_ms=700,wait_ms=100",
        "pose_sigma_m=2",
        "pose_sigma_deg=3",
        "pose_bias_m=2",
        "pose_bias_deg=3",
        "drop_uavs=1",
        "attackers=1",
    ],
)
def test_every_disturbance_changes_the_result_of_feature_fusion(
    perception: Perception, clean: tuple[dict[str, MethodScore], Watcher], text: str
) -> None:
    disturbance = parse_disturbance(text)
    _, disturbed = run_scene(perception, disturbance)
    for method in FEATURES:
        same = [
            np.array_equal(clean[1].answers[key], disturbed.answers[key])
            for key in clean[1].answers
            if key[0] == method
        ]
        assert not all(same), method
    singles = [k for k in clean[1].answers if k[0] == "single"]
    untouched = all(np.array_equal(clean[1].answers[k], disturbed.answers[k]) for k in singles)
    assert untouched == (not text.startswith("pose"))


def test_the_ways_to_share_features_differ_in_bytes_as_they_should(
    clean: tuple[dict[str, MethodScore], Watcher],
) -> None:
    size = {name: score.result()["bytes_per_frame"] for name, score in clean[0].items()}
    assert size["dense-mean"] == size["dense-max"] == size["dense"]
    assert size["low-only"] < size["rsdfm"] and size["dhd-25"] < 0.5 * size["dense"]
    for name in ("where2comm", "high-only", "rsdfm-ondemand"):
        assert size[name] <= 1.2 * 1_500, name
    answers = {name: clean[1].answers[name, 1, 3].astype(float) for name in FEATURES}
    # Without disturbance there is nothing to correct: rsdfm sends and does what its plain form does.
    np.testing.assert_array_equal(answers["rsdfm"], answers.pop("rsdfm-plain"))
    assert size["rsdfm"] == size["rsdfm-plain"]
    # At this budget the low band stays at home.
    np.testing.assert_array_equal(answers["rsdfm"], answers.pop("high-only"))
    for a, b in itertools.combinations(answers, 2):
        assert not np.array_equal(answers[a], answers[b]), (a, b)


def test_demand_is_what_the_receivers_do_not_have(perception: Perception) -> None:
    view = PaintedScene().load(0).views[0]
    bev = perception.perceive(view.image, view.K, view.T_map_camera)
    tiles, values = perception.demand(bev)
    demand = perception.demand_map(tiles, values)
    q = perception.usefulness(bev).numpy()
    expected = 1.0 - q.reshape(4, 8, 4, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(demand[::8, ::8], expected, atol=0.5 / 255)
    assert (perception.demand_map(tiles[:1], values[:1])[16:] == 0).all()
    for given in (values, None):
        data = demand_message(tiles, given, agent="a", stamp_ns=5, frame=1, fingerprint=1, cell_size=1.0)
        read = demand_of(
            read_demand_message(data), topic_agent="a", frame_id=FRAME_ID, cell_size=1.0, fingerprint=1
        )
        np.testing.assert_array_equal(read.tiles, tiles)
        np.testing.assert_array_equal(read.blocks, np.full_like(values, 255) if given is None else values)
    wanted = np.zeros(perception.window.shape, np.float32)
    wanted[:16] = 1.0
    sent = perception.compress(bev, 40, wanted)
    assert len(sent.high_cell) and (sent.tiles[sent.high_tile][:, 0] == tiles[:, 0].min()).all()


@pytest.mark.parametrize("text", ["loss=1", "drop_uavs=2"])
def test_without_any_peer_every_method_equals_single(perception: Perception, text: str) -> None:
    _, watcher = run_scene(perception, parse_disturbance(text))
    for (method, ego, frame), answer in watcher.answers.items():
        if method in FEATURES and method not in ("dense-mean", "dense-max"):
            np.testing.assert_array_equal(answer, watcher.answers["single", ego, frame])


def test_two_runs_give_the_same_figures(
    perception: Perception, clean: tuple[dict[str, MethodScore], Watcher]
) -> None:
    again, _ = run_scene(perception)
    for name, score in clean[0].items():
        assert again[name].result() == score.result(), name


def test_cases_evaluated_together_have_the_figures_they_have_alone(perception: Perception) -> None:
    texts = ("", "loss=0.5", "latency_ms=400,staggered=1", "latency_ms=700", "attackers=1")
    texts += ("pose_sigma_m=2,loss=0.3", "pose_sigma_m=2", "pose_bias_deg=3")
    methods = ("single", "late", "rsdfm", "rsdfm-ondemand")
    cases = [run_settings(parse_disturbance(t), methods) for t in texts]
    cases.append(dataclasses.replace(cases[0], budget_bytes=4_000))
    reads: list[int] = []

    class Counted(PaintedScene):
        def load(self, k: int, shift: int = 0) -> WorldFrame:
            reads.append(k)
            return super().load(k, shift)

    with ThreadPoolExecutor(2) as pool:
        together = evaluate_cases(perception, Counted(), cases, pool)
        own_frames = list(reads)
        alone = [evaluate_scene(perception, PaintedScene(), case, pool) for case in cases]
    assert len(own_frames) == 4 + 3  # once per frame, and once more earlier
    for a, b in zip(together, alone, strict=True):
        assert {n: s.result() for n, s in a.items()} == {n: s.result() for n, s in b.items()}


def test_loss_hits_every_receiver_differently_and_grows_with_its_rate() -> None:
    low, high = Disturbance(loss=0.3), Disturbance(loss=0.6)
    place = {"scene": 1, "frame": 2, "sender": 0}
    a = low.arrives(2000, receiver=1, **place)
    b = low.arrives(2000, receiver=2, **place)
    c = high.arrives(2000, receiver=1, **place)
    assert 0.65 < a.mean() < 0.75
    assert not np.array_equal(a, b)
    assert not (c & ~a).any()  # what arrives at 60 % loss also arrives at 30 %


def test_pose_noise_is_seeded_has_the_stated_size_and_is_declared() -> None:
    disturbance = Disturbance(pose_sigma_m=0.5, pose_sigma_deg=1.0)
    shifts = []
    for frame in range(300):
        T, covariance = disturbance.noisy_pose(np.eye(4), np.zeros((6, 6)), scene=0, frame=frame, agent=0)
        np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
        shifts.append(T[:3, 3])
    assert np.std(shifts) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(np.diag(covariance), [0.25] * 3 + [np.deg2rad(1.0) ** 2] * 3)
    again, _ = disturbance.noisy_pose(np.eye(4), np.zeros((6, 6)), scene=0, frame=299, agent=0)
    np.testing.assert_array_equal(again, T)


def test_latency_is_rounded_up_to_whole_frames_of_cameras_that_expose_together() -> None:
    delays = [Disturbance(latency_ms=ms).delay_frames for ms in (0, 100, 500, 501, 1000)]
    assert delays == [0, 1, 1, 2, 2]
    assert [Disturbance(latency_ms=ms, wait_ms=100).delay_frames for ms in (100, 101, 600)] == [0, 1, 1]
    staggered = [Disturbance(latency_ms=ms, wait_ms=50, staggered=1) for ms in (50, 100, 250, 850)]
    assert [d.delay_frames for d in staggered] == [0] * 4
    assert [d.age_s for d in staggered] == pytest.approx([0.0, 0.1, 0.2, 0.8])


def test_what_arrives_while_the_ego_waits_is_as_good_as_at_once(
    perception: Perception, clean: tuple[dict[str, MethodScore], Watcher]
) -> None:
    _, watcher = run_scene(perception, parse_disturbance("latency_ms=200,wait_ms=250"))
    for key, answer in clean[1].answers.items():
        np.testing.assert_array_equal(watcher.answers[key], answer)


@pytest.mark.parametrize(
    "text",
    [
        "los=0.2",
        "loss",
        "loss=much",
        "loss=1.5",
        "loss=-0.1",
        "loss=0.1,loss=0.2",
        "drop_uavs=0.5",
        "loss=nan",
        "staggered=2",
        "attackers=-1",
        "pose_bias_deg=90",
        "loss_correlation=1",
    ],
)
def test_wrong_disturbances_are_refused(text: str) -> None:
    with pytest.raises(DisturbanceError):
        parse_disturbance(text)


def test_disturbances_parse() -> None:
    assert parse_disturbance("") == Disturbance()
    parsed = parse_disturbance(
        "loss=0.2, latency_ms=200,pose_sigma_m=0.5,pose_sigma_deg=0.5,drop_uavs=1,seed=3"
    )
    assert parsed == Disturbance(0.2, 200.0, 0.5, 0.5, 1, 3)


def test_a_feature_message_adds_less_than_200_bytes_to_its_payload() -> None:
    common = {"agent": "uav1", "stamp_ns": 5, "frame": 1, "index": 0, "count": 1, "fingerprint": 9}
    sizes = [
        len(feature_message(bytes(n), T_map_camera=np.eye(4), covariance=np.zeros((6, 6)), **common))
        for n in (1, 1001)
    ]
    assert sizes[0] == envelope_bytes("uav1", FRAME_ID) + 1 < 200
    assert sizes[1] - sizes[0] == 1000


def test_late_fusion_merges_the_same_object_and_keeps_different_ones() -> None:
    both = boxes_of_objects(objects_at(0))
    mine = dataclasses.replace(both.select(np.array([0, 1])), scores=np.array([0.6, 0.2]))
    theirs = dataclasses.replace(both.select(np.array([0, 2])), scores=np.array([0.2, 0.5]))
    shifted = theirs.centres.copy()
    shifted[0, 0] += 0.8
    merged = merge_boxes([mine, dataclasses.replace(theirs, centres=shifted)])
    np.testing.assert_allclose(merged.scores, [1 - 0.4 * 0.8, 0.5, 0.2])
    np.testing.assert_allclose(merged.centres[0, :2], [-8.0 + 0.8 * 0.25, -8.0])
    np.testing.assert_allclose(merged.centres[1], both.centres[2])


def test_late_fusion_agrees_on_the_axis_where_headings_are_turned() -> None:
    yaws = np.array([0.1, np.pi - 0.1, -0.02])
    assert mean_heading(yaws, np.array([0.5, 0.3, 0.2])) == pytest.approx(0.0195, abs=0.02)
    turned = mean_heading(yaws, np.array([0.2, 0.7, 0.1]))
    assert np.cos(turned) == pytest.approx(-1.0, abs=0.01)


def test_late_fusion_draws_what_the_boxes_of_all_agents_say() -> None:
    window = square_window(16.0, 0.5)
    objects = [objects_at(k) for k in range(5)]
    truth = truth_of(objects, window)
    own = perfect_prediction(truth_of([o.select(np.array([0])) for o in objects], window))
    peer = boxes_of_objects(objects[0].select(np.array([1, 2])))
    assert own.boxes is not None
    merged = late_prediction(own, [own.boxes, peer], 0.3)
    assert merged.foreground is not None and merged.ids is not None and merged.tracks is not None
    np.testing.assert_array_equal(merged.foreground, truth.ids[0] > 0)
    np.testing.assert_array_equal(merged.ids > 0, truth.ids > 0)
    assert len(np.unique(merged.ids)) == 4
    assert len(merged.tracks.ids) == 3


def test_late_fusion_moves_boxes_as_the_corrected_pose_sees_them() -> None:
    boxes = boxes_of_objects(objects_at(0))
    T = np.eye(4)
    T[:3, :3] = rotation_vector([0.0, 0.0, 0.4]) @ np.diag([1.0, -1.0, -1.0])
    T[:3, 3] = [20.0, -30.0, 40.0]
    new = np.eye(4)
    new[:3, :3] = rotation_vector([0.01, -0.02, 0.015]) @ T[:3, :3]
    new[:3, 3] = T[:3, 3] + [0.5, -0.3, 0.8]
    moved = corrected_boxes(boxes, T, new)
    # The pixel of a box is the same in both poses.
    for before, after in zip(boxes.centres, moved.centres, strict=True):
        seen = T[:3, :3].T @ ([*before[:2], 0.0] - T[:3, 3])
        again = new[:3, :3].T @ ([*after[:2], 0.0] - new[:3, 3])
        np.testing.assert_allclose(seen / seen[2], again / again[2], atol=1e-9)
    np.testing.assert_allclose(moved.yaws - boxes.yaws, 0.015, atol=1e-3)


def test_calibration_stays_on_its_grid(perception: Perception) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = calibrate(perception, [PaintedScene()], 1_500, pool, area=AREAS["long"])
    assert 0.25 <= found.thresholds.segmentation <= 0.75
    assert found.to_dict()["thresholds"]["objects"] == found.thresholds.detection
    json.dumps(found.to_dict(), allow_nan=False)


def test_traffic_counts_senders_and_frames() -> None:
    assert Traffic().result(0.5)["bytes_per_frame"] is None


def test_the_protocol_goes_into_json() -> None:
    protocol = Protocol(
        "models/nano", "00", "simulated", ("scene-09000",), (9000,), 4, 4, (40,), 18_000, 0.5, 0.3
    )
    content = json.loads(json.dumps(protocol.to_dict()))
    assert content["disturbance"]["loss"] == 0.0
    assert (content["history_frames"], content["future_steps"], content["frame_period_s"]) == (3, 4, 0.5)
