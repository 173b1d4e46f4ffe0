"""TF without tf2: chains, branches, what is missing and what is impossible."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.transforms import TransformTree
from rsdfm_ros.geometry.rotations import inverse
from rsdfm_ros.geometry.rotations import transform as rigid
from rsdfm_ros.geometry.uncertainty import (
    interpolate,
)
from support.input_messages import NS, transform
from support.random_poses import random_pose, reason


def ms(t: float) -> int:
    return 10 * NS + round(t * 1e6)


def tree() -> TransformTree:
    return TransformTree(tolerance_ns=NS // 50, max_gap_ns=NS // 5)


def test_transforms_are_chained_through_fixed_and_moving_frames() -> None:
    T_map_odom, T_base_gimbal, T_gimbal_camera = random_pose(), random_pose(1), random_pose(1)
    first, second = random_pose(), random_pose()
    t = tree()
    t.add(transform("map", "odom", T_map_odom), fixed=True)
    t.add(transform("gimbal", "camera", T_gimbal_camera), fixed=True)
    assert not t.ready("map", "camera", ms(50))
    for at, T in ((0, first), (100, second)):
        t.add(transform("odom", "base_link", T, ms(at)), fixed=False)
    t.add(transform("base_link", "gimbal", T_base_gimbal, ms(0)), fixed=False)
    assert not t.ready("map", "camera", ms(50)) and t.ready("map", "base_link", ms(50))
    t.add(transform("base_link", "gimbal", T_base_gimbal, ms(90)), fixed=False)
    expected = T_map_odom @ interpolate(first, second, 0.5) @ T_base_gimbal @ T_gimbal_camera
    np.testing.assert_allclose(t.at("map", "/camera", ms(50)), expected, atol=1e-9)
    np.testing.assert_allclose(t.at("camera", "map", ms(50)), inverse(expected), atol=1e-9)
    np.testing.assert_allclose(
        t.at("base_link", "camera", ms(50)), T_base_gimbal @ T_gimbal_camera, atol=1e-9
    )


def test_branches_meet_at_their_nearest_common_frame() -> None:
    a, b = random_pose(), random_pose()
    t = tree()
    t.add(transform("base_link", "left", a), fixed=True)
    t.add(transform("base_link", "right", b), fixed=True)
    t.add(transform("map", "base_link", random_pose(), ms(0)), fixed=False)
    # Nothing that moves lies between them: no time is needed.
    assert t.ready("left", "right", ms(99_999))
    np.testing.assert_allclose(t.at("left", "right", ms(0)), inverse(a) @ b, atol=1e-9)


def test_unconnected_frames_are_named() -> None:
    t = tree()
    t.add(transform("map", "base_link", random_pose()), fixed=True)
    assert not t.ready("map", "camera", ms(0))
    with pytest.raises(MessageError, match=r"TF does not know 'camera'; it knows \['base_link', 'map'\]"):
        t.at("map", "camera", ms(0))
    t.add(transform("world", "camera", random_pose()), fixed=True)
    with pytest.raises(MessageError, match="does not connect"):
        t.at("map", "camera", ms(0))


def test_loops_and_impossible_transforms_are_refused() -> None:
    t = tree()
    t.add(transform("a", "b", random_pose()), fixed=True)
    t.add(transform("b", "a", random_pose()), fixed=True)
    assert reason(t.ready, "a", "c", ms(0)) == "transform"
    t = tree()
    same = transform("a", "a", random_pose())
    with pytest.raises(MessageError):
        t.add(same, fixed=True)
    with pytest.raises(MessageError):
        t.add(transform("", "a", random_pose()), fixed=True)
    with pytest.raises(MessageError) as caught:
        t.add(transform("map", "a", random_pose(), 0), fixed=False)
    assert caught.value.reason == "stamp_zero"
    nan = transform("map", "a", rigid(np.eye(3), [np.nan, 0, 0]))
    with pytest.raises(MessageError):
        t.add(nan, fixed=True)
    for k in range(1000):
        t.add(transform("map", f"f{k}", np.eye(4)), fixed=True)
    with pytest.raises(MessageError, match="1000 frames"):
        t.add(transform("map", "one_more", np.eye(4)), fixed=True)


def test_a_frame_that_changes_its_parent_or_kind_starts_anew() -> None:
    t = tree()
    t.add(transform("map", "base_link", np.eye(4), ms(0)), fixed=False)
    with pytest.raises(MessageError, match="'map' and 'odom', of which 'odom' is used"):
        t.add(transform("odom", "base_link", rigid(np.eye(3), [1, 0, 0])), fixed=True)
    assert not t.ready("map", "base_link", ms(0))
    assert t.at("odom", "base_link", ms(0))[0, 3] == 1
    t.add(transform("map", "gimbal", np.eye(4), ms(0)), fixed=False)
    t.clear()
    assert t.ready("odom", "base_link", ms(0)) and not t.ready("map", "gimbal", ms(0))


def test_a_moving_frame_with_two_parents_keeps_the_first_and_says_so() -> None:
    t = tree()
    for k in range(4):
        t.add(transform("map", "base_link", rigid(np.eye(3), [k, 0, 0]), ms(50 * k)), fixed=False)
        with pytest.raises(
            MessageError, match="'base_link' has two parents, 'map' and 'odom', of which 'map'"
        ) as caught:
            t.add(transform("odom", "base_link", np.eye(4), ms(50 * k + 10)), fixed=False)
        assert caught.value.reason == "two_parents"
    assert t.at("map", "base_link", ms(125))[0, 3] == pytest.approx(2.5)
    # Where the first is not published any longer, the frame moves on.
    assert t.add(transform("odom", "base_link", np.eye(4), ms(1500)), fixed=False) is False
    assert t.ready("odom", "base_link", ms(1400)) and not t.ready("map", "base_link", ms(1400))


def test_of_two_fixed_parents_the_newest_counts_and_is_told() -> None:
    t = tree()
    t.add(transform("base_link", "camera", rigid(np.eye(3), [1, 0, 0])), fixed=True)
    t.add(transform("base_link", "camera", rigid(np.eye(3), [2, 0, 0])), fixed=True)
    with pytest.raises(MessageError, match="'base_link' and 'gimbal', of which 'gimbal' is used"):
        t.add(transform("gimbal", "camera", rigid(np.eye(3), [3, 0, 0])), fixed=True)
    assert t.at("gimbal", "camera", ms(0))[0, 3] == 3
