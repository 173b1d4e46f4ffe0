"""Measurements of speed: what is repeated and in which unit, what a UAV-frame consists of, and what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.replay_plan import IMAGE, PACKETS, replay_plan
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.speed import conclusion as words
from rsdfm_ros.evaluation.speed import costs, measure, scene, timing
from rsdfm_ros.evaluation.speed.stages import stages
from rsdfm_ros.evaluation.speed.timing import Repeats, medians_ms
from rsdfm_ros.evaluation.speed.uav_frame import FleetFrame, UavFrame, packets_of
from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.perception import Perception
from support.places import TINY

ONCE = Repeats(least=1, most=1, warm_up=0)


class Clock:
    """A steady clock that only work moves."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.order: list[str] = []

    def work(self, name: str, *seconds: float):  # type: ignore[no-untyped-def]
        """Work that takes these times, one per call, the last one for ever."""
        left = list(seconds)

        def run() -> None:
            self.order.append(name)
            self.now_s += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: made.now_s)
    return made


def test_times_are_medians_in_milliseconds_without_the_warm_up(clock: Clock) -> None:
    taken_s = [9.0, 0.010, 0.030, 0.020, 0.050]
    found = medians_ms({"a": clock.work("a", *taken_s)}, Repeats(least=4, most=4, warm_up=1))
    assert found == {"a": pytest.approx(1e3 * np.median(taken_s[1:]))}


def test_pieces_of_work_take_turns(clock: Clock) -> None:
    medians_ms({"a": clock.work("a", 0.1), "b": clock.work("b", 0.2)}, Repeats(2, 2, warm_up=1))
    assert clock.order == ["a", "b"] * 3


def test_slow_work_is_repeated_no_more_than_its_time_allows(clock: Clock) -> None:
    rounds: list[int] = []
    repeats = Repeats(least=2, most=100, seconds=5.0, warm_up=1)
    medians_ms({"a": clock.work("a", 2.0)}, repeats, lambda: rounds.append(1))
    assert len(clock.order) == len(rounds) == 1 + 3  # 2, 4 and 6 s after the warm-up
    with pytest.raises(ValueError, match="least <= most"):
        Repeats(least=3, most=2)


@pytest.fixture(scope="module")
def model() -> Perception:
    return Perception.random(load_model_config(TINY))


@pytest.fixture(scope="module")
def small_scene() -> scene.Scene:
    return scene.render(5, frames=2)


def test_a_scene_has_rendered_views_of_one_place(small_scene: scene.Scene) -> None:
    assert small_scene.agents == ("uav1", "uav2", "uav3", "uav4", "uav5")
    views = [small_scene.view(name, 0) for name in small_scene.agents]
    assert len({view.image.tobytes() for view in views}) == 5
    # All look at a place near the middle of the map: there their views overlap.
    for view in views:
        centre, ahead = view.T_map_camera[:3, 3], view.T_map_camera[:3, 2]
        assert ahead[2] < -0.1
        assert np.linalg.norm((centre - ahead * centre[2] / ahead[2])[:2]) < 64.0
    assert [small_scene.place(k) for k in range(5)] == [0, 1, 0, 1, 0]
    assert len(small_scene.objects(1)) > 0


def test_more_uavs_than_a_mission_has_see_the_place_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "MAX_UAVS", 1)
    steps: list[int] = []
    many = scene.render(3, frames=1, on_frame=lambda: steps.append(1))
    assert many.agents == ("uav1", "uav2", "uav3") and len(steps) == scene.renderings(3, 1) == 3
    first, second, third = (many.view(name, 0) for name in many.agents)
    assert (first.T_map_camera != second.T_map_camera).any() and (second.image != third.image).any()


def test_a_frame_fuses_all_peers_however_often_it_is_repeated(
    model: Perception, small_scene: scene.Scene
) -> None:
    packets = packets_of(model, small_scene, small_scene.agents[1:4])
    assert all(len(of_frames) == 2 and of_frames[0] for of_frames in packets.values())
    alone, with_three = (
        UavFrame(model, small_scene, "uav1", {}),
        UavFrame(model, small_scene, "uav1", packets),
    )
    assert [alone() for _ in range(2)] == [1, 1]
    assert [with_three() for _ in range(5)] == [4] * 5
    fleet = FleetFrame(model, small_scene, small_scene.agents[:4], 2)
    assert [fleet() for _ in range(3)] == [4] * 3


def test_every_stage_that_the_model_has_is_timed(model: Perception, small_scene: scene.Scene) -> None:
    found = stages(model, small_scene, ONCE)
    assert {"compress", "encode packets", "decode packets", "decompress one peer"} < set(found)
    assert all(ms > 0 for ms in found.values())


def test_the_neck_is_computed_anew_whenever_it_is_timed(
    model: Perception, small_scene: scene.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = type(model.runtime).cells

    def counted(runtime: object, *given: object) -> object:
        calls.append(1)
        return real(runtime, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(type(model.runtime), "cells", counted)
    stages(model, small_scene, Repeats(least=3, most=3, warm_up=0))
    assert len(calls) == 1 + 3  # once to prepare the heads' input


def test_the_cost_of_a_peer_is_the_slope_over_their_number() -> None:
    assert costs.slope({1: 110.0, 4: 125.0, 16: 185.0}) == pytest.approx(5.0)
    noisy = {n: 100 + 6 * n + (-1) ** n for n in (1, 2, 4, 8, 16)}
    n, ms = np.array(list(noisy)), np.array(list(noisy.values()), float)
    expected = ((n - n.mean()) * (ms - ms.mean())).sum() / ((n - n.mean()) ** 2).sum()
    assert costs.slope(noisy) == pytest.approx(expected)
    with pytest.raises(RsdfmError, match="at least two"):
        costs.slope({1: 3.0})


def test_a_quarter_is_a_quarter_of_the_area_in_whole_tiles(model: Perception) -> None:
    whole, part = model.region, costs.quarter(model)
    assert 4 * part.ni * part.nj == whole.ni * whole.nj
    assert part.i0 % TILE_CELLS == part.j0 % TILE_CELLS == 0
    assert model.at(part).region == part


def test_a_figure_that_cannot_be_measured_says_why_and_stops_no_other(
    model: Perception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*given: object) -> float:
        raise RsdfmError("no quarter here")

    monkeypatch.setattr(measure.costs, "quarter_share", broken)
    speed = measure.Speed(model, measure.Extent(ONCE, ONCE, (1, 3), 1))
    speed.run()
    assert speed.failed == {"region_quarter_share": "no quarter here"}
    assert {"uav_frame_ms", "uav_frame_single_ms", "fleet_frame_ms", "stages_ms"} < set(speed.figures)
    assert list(speed.figures["peers_ms"]) == ["1", "3"]
    assert speed.figures["per_peer_ms"] == pytest.approx(
        (speed.figures["peers_ms"]["3"] - speed.figures["peers_ms"]["1"]) / 2
    )
    # The bag holds one UAV's images, and what the others sent.
    ego = speed.write_bag(tmp_path / "bag", 3)
    with open_bag(tmp_path / "bag") as bag:
        plan = replay_plan(bag, default_map()).chosen([ego])
        roles = {o.topic: o.role for o in plan.outputs.values()}
        counts = {t: bag.topics[t].messages for t in plan.outputs}
    assert plan.uavs == (ego,) == ("uav1",)
    assert [t for t, role in roles.items() if role == IMAGE] == ["uav1/camera/image_raw"]
    assert sorted(t for t, role in roles.items() if role == PACKETS) == [
        f"uav{n}/bev/features" for n in (2, 3, 4)
    ]
    assert counts["/uav1/camera/image_raw"] == 3 and counts["/uav2/bev/features"] >= 3


FIGURES = {"machine": {"cores": 2}, "threads": 1, "uav_frame_ms": 200.0}


def test_the_conclusion_states_rates_and_where_they_come_from() -> None:
    computed = {**FIGURES, **words.rate_alone(FIGURES)}
    assert computed["rate_alone_hz"] == pytest.approx(5.0) and computed["rate_alone_from"] == "uav_frame"
    assert words.fleet_rate(computed) == pytest.approx(2 * 5.0 / 4)  # two at a time, four in all
    said = words.conclusion(computed)
    assert "5.0 images per second (computed" in said and "2 cores keeps up" in said and "2.5" in said
    slow = {**FIGURES, "uav_frame_ms": 800.0, "replay": {"rate_answered_hz": 1.04}}
    said = words.conclusion({**slow, **words.rate_alone(slow)})
    assert "1.0 images per second (measured over DDS" in said and "does not keep up" in said


def test_without_figures_nothing_is_concluded() -> None:
    empty = {"machine": {"cores": 2}, "threads": 1}
    assert words.rate_alone(empty)["rate_alone_hz"] is None
    assert "Nothing can be said" in words.conclusion({**empty, **words.rate_alone(empty)})
