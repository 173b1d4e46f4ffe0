"""Bad, late, changing and too many inputs over real middleware: the encoder node works again afterwards."""

from __future__ import annotations

import array
import threading
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy")
import torch

from rsdfm_ros.nodes.convert import sensors as convert
from support import encoder_bench
from support.encoder_bench import (
    SIZE,
    START_NS,
    STEP_NS,
    Bench,
    K,
    camera_image,
    camera_pose,
    same,
    two_cameras,
)

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context


def test_the_node_works_again_after_every_kind_of_bad_input(bench: Callable[..., Bench]) -> None:
    b = bench(max_speed_mps=30.0).start()
    nan, far = camera_pose(), camera_pose()
    nan[0, 3], far[0, 3] = np.nan, 5000.0
    b.pose(0)
    b.info()
    zero = convert.image_to_message(camera_image(), 0, "camera")
    b.publish("camera/image_raw", zero)
    b.refused("stamp_zero")
    n = 1
    for reason, changes in (
        ("image_encoding", {"encoding": "jpeg2000"}),
        ("image_size", {"step": 5}),
        ("image_size", {"height": 0}),
        ("image_size", {"data": array.array("B", b"")}),
        ("camera_info_size", {"height": 32, "data": array.array("B", bytes(32 * 288))}),
    ):
        before = b.node.health.rejects[reason]
        b.pose(n)
        b.image(n, **changes)
        b.refused(reason, before + 1)
        n += 1
    b.pose(n, nan)
    b.refused("pose_not_finite")
    b.pose(n, far)
    b.refused("pose_jump")
    b.pose(n, frame_id="somewhere")
    b.refused("frame_id")
    assert b.own == []
    b.pose(n)
    b.image(n)
    good = b.answered(1)
    b.image(n)
    b.refused("image_repeated")
    b.pose(0)
    b.refused("pose_old" if n * STEP_NS > 1_000_000_000 else "pose_repeated")
    b.image(n - 1)
    b.refused("old_stamp")
    broken = convert.intrinsics_to_message(K, SIZE, START_NS, "camera")
    broken.k = np.full(9, np.nan)
    b.publish("camera/camera_info", broken)
    b.pose(n + 1)
    b.image(n + 1)
    b.refused("camera_info")
    b.info(stamp=START_NS + (n + 2) * STEP_NS)
    b.pose(n + 2)
    b.image(n + 2)
    assert same(b.answered(2), good)
    assert b.node.health.counts["errors"] == 0
    b.until(lambda: len({p.frame for p in b.packets}) == 2, "both images were sent")


def test_a_picture_waits_for_its_pose_and_the_pose_is_interpolated(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    b.info()
    start, end = camera_pose(), camera_pose()
    end[0, 3] += 2.0
    b.pose(0, start)
    message = convert.image_to_message(camera_image(), START_NS + STEP_NS // 4, "camera")
    b.publish("camera/image_raw", message)
    b.until(lambda: b.node.health.counts["images"] == 1, "the image came")
    assert b.own == []
    b.pose(1, end)
    b.answered(1)
    b.until(lambda: bool(b.packets), "a packet came")
    assert b.packets[0].camera_pose.position.x == pytest.approx(start[0, 3] + 0.5)


def test_a_camera_that_changes_its_size_and_focal_length_is_followed(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    for n, scale in enumerate((1, 2, 1)):
        stamp = START_NS + n * STEP_NS
        size = (SIZE[0] * scale, SIZE[1] * scale)
        k = np.diag([scale, scale, 1.0]) @ K
        b.publish("camera/camera_info", convert.intrinsics_to_message(k, size, stamp, "camera"))
        b.pose(n)
        large = np.repeat(np.repeat(camera_image(), scale, axis=0), scale, axis=1)
        b.publish("camera/image_raw", convert.image_to_message(large, stamp, "camera"))
        b.answered(n + 1)
    assert torch.equal(b.own[0].bev.features, b.own[2].bev.features)
    assert torch.allclose(b.own[0].bev.features, b.own[1].bev.features, atol=1e-4)


def test_pictures_faster_than_the_pipeline_are_dropped_counted_and_the_newest_answered(
    bench: Callable[..., Bench],
) -> None:
    b = bench().start()
    b.info()
    for n in range(12):
        b.pose(n)
    arrived = threading.Event()
    b.node.worker.submit("encode", lambda: arrived.wait(60))  # an image that takes until all others are here
    for n in range(12):
        b.image(n)
    b.until(lambda: b.node.health.counts["images_dropped"] >= 1, "one took the place of another")
    arrived.set()
    b.until(lambda: b.own and b.own[-1].stamp_ns == START_NS + 11 * STEP_NS, "the newest is answered")
    taken = b.node.health.counts
    assert taken["images_dropped"] >= 1 and len(b.own) + taken["images_dropped"] == taken["images"]


def test_the_inputs_survive_a_cycle_of_the_lifecycle(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    for n in range(3):
        b.info(stamp=START_NS + n)
        b.pose(n)
        b.image(n)
        b.answered(n + 1)
        b.node.trigger_deactivate()
        assert not b.node.ready
        b.node.trigger_activate()
        assert b.node.ready
        publishers = b._publishers.values()
        b.until(
            lambda publishers=publishers: all(p.get_subscription_count() for p in publishers),
            "connected again",
        )


def test_missing_inputs_are_named(bench: Callable[..., Bench]) -> None:
    b = two_cameras(bench)
    topics = set(b.node.expectations._inputs)
    prefix = b.node.get_namespace()
    expected = ("pose", "front/camera_info", "front/image_raw", "left/camera_info", "left/image_raw")
    assert topics == {f"{prefix}/{topic}" for topic in expected}
