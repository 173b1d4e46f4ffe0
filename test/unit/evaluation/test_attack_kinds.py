"""Kinds of attack by name: what each does to maps and poses, and that each reaches the egos."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from rsdfm_ros.data.outputs import Boxes, no_boxes
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.covariance import OFF_DEG, OFF_M, misplaced
from rsdfm_ros.evaluation.attacks.erased import erased
from rsdfm_ros.evaluation.attacks.fabricated import (
    agreed_places,
    candidate_places,
    fabricated,
    free_places,
)
from rsdfm_ros.evaluation.attacks.kinds import KINDS, MAP_KINDS
from rsdfm_ros.evaluation.attacks.maps import AgentMap
from rsdfm_ros.evaluation.attacks.shifted import SHIFT_M, shift_cells, shifted
from rsdfm_ros.evaluation.disturb import Disturbance, DisturbanceError, parse_disturbance
from rsdfm_ros.evaluation.methods.by_name import check_methods
from rsdfm_ros.evaluation.session import evaluate_scene
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.model.perception import Perception
from support.maps import bev_of, smooth
from support.painted import NONE, UAVS, PaintedScene, Watcher, run_settings, tiny_perception

WINDOW = square_window(24.0, 1.0)
CAR = 7.0
"""Feature that cells of vehicles have, and no others."""


def seen_map(cars: Sequence[tuple[float, float]], visible: torch.Tensor | None = None) -> AgentMap:
    """A map with CAR in channel 0 under every car, and its boxes."""
    features = smooth(3, WINDOW, channels=3).clamp(-2, 2)
    n = len(cars)
    boxes = Boxes(
        np.zeros(n, np.int64),
        np.full(n, 0.9),
        np.array([[x, y, 0.8] for x, y in cars]).reshape(n, 3),
        np.tile([4.0, 2.0, 1.6], (n, 1)),
        np.zeros(n),
        np.ones((n, 2)),
    )
    xy = WINDOW.centres()
    for x, y in cars:
        features[0][torch.from_numpy((abs(xy - [x, y]) < [3.0, 2.0]).all(axis=-1))] = CAR
    return AgentMap(bev_of(features, visible), boxes)


def car_cells(seen: AgentMap) -> int:
    return int((seen.bev.features[0] == CAR).sum())


def test_a_fabricated_vehicle_is_a_copy_with_a_box_at_a_free_place() -> None:
    seen = seen_map([(0.0, 0.0)])
    places = np.array([[1.0, 1.0], [12.2, 11.8], [13.0, 12.0], [-23.0, 0.0]])
    assert free_places(seen, WINDOW, places).tolist() == [False, True, True, False]
    false = fabricated(seen, WINDOW, places)
    assert car_cells(false) == 2 * car_cells(seen)
    assert len(false.boxes) == 2  # the third place is too near to the second
    np.testing.assert_allclose(false.boxes.centres[1], [12.0, 12.0, 0.8])
    assert false.boxes.scores[1] == 0.9 and not false.boxes.velocities[1].any()
    there = WINDOW.cells(false.boxes.centres[1:, :2])[0]
    assert false.priority is not None and false.priority[tuple(there)] == 1.0 > false.priority.min() > 0.0
    assert seen.boxes.velocities.any() and car_cells(seen) == car_cells(seen_map([(0.0, 0.0)]))


def test_without_a_vehicle_to_copy_nothing_is_fabricated() -> None:
    seen = seen_map([])
    assert fabricated(seen, WINDOW, candidate_places(WINDOW, (1,))) is seen


def test_attackers_agree_on_places_that_several_see() -> None:
    places = np.arange(8.0).reshape(4, 2)
    free = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]], bool)
    np.testing.assert_array_equal(agreed_places(places, free), places[[3, 1]])
    np.testing.assert_array_equal(agreed_places(places, free[:1]), places[[0, 1, 3]])


def test_an_erased_vehicle_leaves_empty_road_and_no_box() -> None:
    seen = seen_map([(0.0, 0.0), (-10.0, 9.0)])
    false = erased(seen, WINDOW)
    assert car_cells(false) == 0 and len(false.boxes) == 0
    assert bool(false.bev.visible.all())
    assert false.priority is not None and (false.priority == 1.0).sum() >= car_cells(seen)


def test_a_vehicle_without_empty_road_near_it_is_not_told() -> None:
    seen = seen_map([(0.0, 0.0)])
    around = torch.from_numpy((abs(WINDOW.centres()) < 4.0).all(axis=-1))
    false = erased(seen_map([(0.0, 0.0)], around), WINDOW)
    assert car_cells(false) == 0 and int(false.bev.visible.sum()) == int(around.sum()) - car_cells(seen)


def test_a_shifted_map_is_the_same_elsewhere() -> None:
    seen = seen_map([(0.0, 0.0)])
    false = shifted(seen, WINDOW, (3, -5))
    assert torch.equal(false.bev.features[:, 3:, :-5], seen.bev.features[:, :-3, 5:])
    assert bool(false.bev.visible[3:, :-5].all())
    assert not false.bev.visible[:3].any() and not false.bev.visible[:, -5:].any()
    np.testing.assert_allclose(false.boxes.centres - seen.boxes.centres, [[3.0, -5.0, 0.0]])
    drawn = np.array([shift_cells(WINDOW, (n,)) for n in range(200)])
    lengths = np.linalg.norm(drawn, axis=1)
    assert SHIFT_M[0] - 0.8 <= lengths.min() < 4.0 and 9.0 < lengths.max() <= SHIFT_M[1] + 0.8
    assert len({tuple(np.sign(d)) for d in drawn}) >= 4
    assert shift_cells(WINDOW, (7,)) == shift_cells(WINDOW, (7,))


def test_false_poses_are_off_by_the_same_error_in_every_frame() -> None:
    first, second = PaintedScene().load(0), PaintedScene().load(1)
    errors = []
    for frame in (first, second):
        for a, b in zip(frame.views, misplaced(frame, (1,)).views, strict=True):
            shift = b.T_map_camera[:3, 3] - a.T_map_camera[:3, 3]
            turn = b.T_map_camera[:3, :3] @ a.T_map_camera[:3, :3].T
            assert np.hypot(*shift[:2]) == pytest.approx(OFF_M) and shift[2] == 0.0
            assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(OFF_DEG)
            assert b.image is a.image
            errors.append(tuple(shift.round(9)))
    assert errors[:UAVS] == errors[UAVS:] and len(set(errors)) == UAVS


def test_kinds_are_named_and_an_unknown_one_is_refused() -> None:
    assert parse_disturbance("attackers=2").attack_kind == "mirrored"
    assert parse_disturbance("attackers=1, attack_kind=erased").attack_kind == "erased"
    with pytest.raises(DisturbanceError, match=r"attack_kind=polite: expected one of mirrored, fabricated"):
        parse_disturbance("attack_kind=polite")


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


def run(perception: Perception, disturbance: Disturbance) -> Watcher:
    watcher = Watcher()
    with ThreadPoolExecutor(2) as pool:
        settings = run_settings(disturbance, ("single", "late", "rsdfm-plain", "rsdfm-ondemand", "dense"))
        evaluate_scene(perception, PaintedScene(), settings, pool, watch=watcher)
    return watcher


@pytest.fixture(scope="module")
def honest(perception: Perception) -> Watcher:
    return run(perception, NONE)


@pytest.mark.parametrize("kind", KINDS)
def test_attackers_of_every_kind_change_what_egos_fuse_and_nothing_of_single(
    perception: Perception, honest: Watcher, kind: str
) -> None:
    attacked = run(perception, Disturbance(attackers=1, attack_kind=kind))
    changed = {
        m: any(
            not np.array_equal(attacked.answers[key], honest.answers[key])
            for key in honest.answers
            if key[0] == m
        )
        for m in ("single", "rsdfm-plain", "rsdfm-ondemand")
    }
    assert not changed["single"]
    if kind not in MAP_KINDS or kind == "shifted":  # the untrained model sees no vehicles
        assert changed["rsdfm-plain"] and changed["rsdfm-ondemand"]


def test_an_attack_that_needs_a_head_is_refused_without_it(perception: Perception) -> None:
    blind = tiny_perception()
    blind.config = replace(perception.config, heads=("segmentation",))
    with pytest.raises(RsdfmError, match="attack_kind=erased needs a detection head"):
        check_methods(blind, ["rsdfm-plain"], Disturbance(attackers=1, attack_kind="erased"))
    check_methods(blind, ["rsdfm-plain"], Disturbance(attack_kind="erased"))
    blind.config = replace(perception.config, heads=("detection",))
    with pytest.raises(RsdfmError, match="attack_kind=optimised needs a segmentation head"):
        check_methods(blind, ["rsdfm-plain"], Disturbance(attackers=1, attack_kind="optimised"))


def test_no_boxes_are_no_vehicles() -> None:
    seen = replace(seen_map([]), boxes=no_boxes())
    false = erased(seen, WINDOW)
    assert torch.equal(false.bev.features, seen.bev.features) and torch.equal(
        false.bev.visible, seen.bev.visible
    )
