"""Images wait for what belongs to them, by time and not by number, and never for ever."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.messages import inputs
from rsdfm_ros.data.messages.inputs import LEAST_WAITING
from support.input_bench import SIZE, Bench, ms, stamps
from support.input_messages import info

PERIOD = 33


def zoomed(t: float, f: float) -> object:
    return info(np.array([[f, 0, 3.5], [0, f, 2.5], [0, 0, 1]]), SIZE, ns=ms(t))


def focal(b: Bench, matched: list) -> list[float]:
    return [float(view.K[0, 0]) for m in matched for view in b.inputs.views(m)]


@pytest.mark.parametrize("late", [100, 250, 900])
def test_images_at_30_hz_wait_for_poses_that_are_late(late: int) -> None:
    b = Bench()
    b.infos()
    got = []
    for k in range(60):
        got += stamps(b.pose(PERIOD * k - late, 0.1 * k)) + stamps(b.image(PERIOD * k))
    assert got == [PERIOD * k for k in range(60) if PERIOD * k <= PERIOD * 59 - late]
    assert not b.refused


def test_images_that_wait_are_few_enough_and_small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Bench(pose_wait_s=10.0)
    b.infos()
    for k in range(inputs.MAX_WAITING + 5):
        b.image(k)
    assert b.refused == {"no_pose": 5}
    monkeypatch.setattr(inputs, "MAX_WAITING_BYTES", 8 * SIZE[0] * SIZE[1] * 3)
    b.image(500)
    assert b.refused == {"no_pose": 5 + inputs.MAX_WAITING + 1 - 8}
    monkeypatch.setattr(inputs, "MAX_WAITING_BYTES", 0)
    b.image(501)
    assert b.refused == {"no_pose": 5 + inputs.MAX_WAITING + 2 - LEAST_WAITING}


@pytest.mark.parametrize("delay", [1, 40])
def test_a_zooming_camera_whose_info_comes_after_its_image_has_its_own(delay: int) -> None:
    b, got = Bench(), []
    for t in range(0, 500, 10):
        got += focal(b, b.pose(t))
        if t % 50 == 0:
            got += focal(b, b.image(t))
        if (t - delay // 10 * 10) % 50 == 0 and t >= delay // 10 * 10:
            k = (t - delay // 10 * 10) // 50
            got += focal(b, b.inputs.add_info(0, zoomed(50 * k, 60.0 + 10 * k)))
    assert got == [60.0 + 10 * k for k in range(len(got))] and len(got) >= 9
    assert not b.refused


def test_an_image_keeps_its_own_info_while_it_waits_for_a_late_pose() -> None:
    b, got = Bench(), []
    for k in range(60):
        b.image(PERIOD * k)
        b.inputs.add_info(0, zoomed(PERIOD * k, 60.0 + k))
        got += focal(b, b.pose(PERIOD * (k - 20)))
    assert got == [60.0 + k for k in range(40)]


def test_a_lost_info_delays_an_image_by_a_bound_and_a_silent_topic_only_once() -> None:
    b = Bench(camera_wait_s=0.1)
    b.inputs.add_info(0, zoomed(0, 60.0))
    b.pose(0)
    assert focal(b, b.image(0)) == [60.0]
    b.pose(50)
    assert b.image(50) == [], "every image so far had a camera_info of its own"
    assert focal(b, b.inputs.add_info(0, zoomed(100, 80.0))) == [80.0], "a later one came"
    b.pose(100)
    assert focal(b, b.image(100)) == [80.0]
    b.pose(150)
    assert b.image(150) == [] and b.pose(240) == []
    assert focal(b, b.pose(251)) == [80.0], "the bound passed by the poses' time"
    b.pose(300)
    assert focal(b, b.image(300)) == [80.0], "not waited for again"
    b.inputs.add_info(0, zoomed(300, 90.0))
    b.pose(350)
    assert b.image(350) == [], "until one has its own again"


def test_the_wait_for_an_info_ends_by_the_clock_where_nothing_else_comes() -> None:
    b = Bench(camera_wait_s=0.1)
    b.inputs.add_info(0, zoomed(0, 60.0))
    b.pose(0)
    assert focal(b, b.image(0, arrived_s=5.0)) == [60.0]
    b.pose(500)
    assert b.image(500, arrived_s=5.5) == [] and b.inputs.due(5.55) == []
    assert stamps(b.inputs.due(5.61)) == [500]


def test_a_camera_that_seldom_publishes_its_info_delays_nothing() -> None:
    b = Bench()
    b.inputs.add_info(0, zoomed(-5, 60.0))
    for k in range(20):
        b.pose(PERIOD * k)
        assert stamps(b.image(PERIOD * k)) == [PERIOD * k]
