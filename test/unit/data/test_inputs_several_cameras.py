"""Images of several cameras belong together, and a camera that fails does not stop the others."""

from __future__ import annotations

import pytest

from support.input_bench import SIZE, TWO, Bench, K, ms, stamps
from support.input_messages import (
    info,
    rgb,
)


def test_pictures_of_one_instant_are_given_out_together_with_their_own_poses() -> None:
    b = Bench(**TWO)
    b.infos()
    b.pose(0, 0.0)
    b.pose(100, 1.0)
    assert b.image(20, camera=1, shade=2) == []
    (matched,) = b.image(30, camera=0, shade=1)
    assert matched.stamp_ns == ms(30)  # of the first camera
    first, second = b.inputs.views(matched)
    assert first.image[0, 0, 0] == 1 and second.image[0, 0, 0] == 2
    # Every camera by its own stamp and extrinsics: 0.3 + 1 and 0.2 - 1 metres.
    assert first.T_map_camera[0, 3] == pytest.approx(1.3)
    assert second.T_map_camera[0, 3] == pytest.approx(-0.8)


def test_a_missing_camera_costs_a_bounded_wait_and_then_none() -> None:
    b = Bench(camera_wait_s=0.1, **TWO)
    b.infos()
    for k in range(40):
        b.pose(100 * k)
    assert b.image(0, camera=0, arrived_s=0.0) == []
    assert b.inputs.due(0.05) == []
    (matched,) = b.inputs.due(0.11)
    assert len(b.inputs.views(matched)) == 1
    # Both, then the rear one falls silent: after a second nobody waits for it any more.
    assert b.image(500, camera=0, arrived_s=0.5) == []
    assert stamps(b.image(500, camera=1, arrived_s=0.51)) == [500]
    assert b.image(1000, camera=0, arrived_s=1.0) == []
    assert stamps(b.inputs.due(1.2)) == [1000]
    assert stamps(b.image(2000, camera=0, arrived_s=2.0)) == [2000]
    # It is waited for again as soon as it delivers.
    assert stamps(b.image(2500, camera=1, arrived_s=2.5)) == []
    assert stamps(b.image(2500, camera=0, arrived_s=2.51)) == [2500]
    assert b.image(3000, camera=0, arrived_s=3.0) == []


def test_a_picture_that_comes_after_its_group_was_given_out_makes_no_second_map() -> None:
    b = Bench(camera_tolerance_s=0.02, camera_wait_s=0.1, **TWO)
    b.infos()
    for t in (0, 100, 200):
        b.pose(t)
    b.image(0, camera=0, arrived_s=0.0)
    assert stamps(b.inputs.due(0.1)) == [0]
    b.image(5, camera=1, arrived_s=0.3)
    assert b.inputs.due(0.5) == [] and b.refused == {"camera_late": 1}
    b.image(100, camera=0, arrived_s=0.6)
    assert stamps(b.image(105, camera=1, arrived_s=0.61)) == [100]


def test_a_camera_that_skips_a_frame_is_not_waited_for() -> None:
    b = Bench(camera_wait_s=60.0, **TWO)
    b.infos()
    for k in range(10):
        b.pose(100 * k)
    assert b.image(0, camera=0) == []
    assert b.image(100, camera=0) == []
    got = b.image(100, camera=1)
    assert stamps(got) == [0, 100] and [len(m.images) for m in got] == [1, 2]


def test_pictures_farther_apart_than_the_tolerance_are_not_mixed() -> None:
    b = Bench(camera_tolerance_s=0.02, camera_wait_s=0.1, **TWO)
    b.infos()
    for t in (0, 100, 200):
        b.pose(t)
    b.image(0, camera=0, arrived_s=0.0)
    got = b.image(50, camera=1, arrived_s=0.05)
    assert [len(m.images) for m in got] == [1] and stamps(got) == [0]
    assert stamps(b.inputs.due(1.0)) == [50]


def test_a_broken_camera_does_not_take_the_other_with_it() -> None:
    b = Bench(**TWO)
    b.infos()
    b.pose(0)
    message = rgb(ms(0), 7, SIZE)
    message.encoding = "broken"
    b.inputs.add_image(1, message, 0.0)
    (matched,) = b.image(0, camera=0)
    assert len(b.inputs.views(matched)) == 1 and b.refused == {"image_encoding": 1}
    c = Bench(**TWO)
    c.inputs.add_info(0, info(K, SIZE))
    c.pose(0)
    c.image(0, camera=1)
    (matched,) = c.image(0, camera=0)
    assert len(matched.images) == 1 and c.refused == {"no_camera_info": 1}
