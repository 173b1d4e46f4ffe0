"""Video over real middleware: the encoder node answers images that were decoded in a thread of their own."""

from __future__ import annotations

import array
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("av")
from sensor_msgs.msg import CompressedImage

from rsdfm_ros.nodes.convert import sensors as convert
from support import encoder_bench
from support.encoder_bench import START_NS, STEP_NS, Bench
from support.videos import packets

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context


def test_a_node_answers_video_and_ends_its_thread(bench: Callable[..., Bench]) -> None:
    b = bench(image_transport="compressed", image_depth=60).start()
    b.info()
    for n, data in enumerate(packets("h264", 12, gop=4)):
        b.pose(n)
        message = CompressedImage(format="h264", data=array.array("B", data))
        message.header.stamp = convert.time_of(START_NS + n * STEP_NS)
        if n >= 2:  # the stream was joined late
            b.publish("camera/image_raw/compressed", message)
    own = b.answered(1)
    assert own.stamp_ns >= START_NS + 4 * STEP_NS and own.bev.visible.any()
    assert b.node.health.rejects["video_key_frame"] == 2
    (video,) = b.node._inputs._videos.values()
    b.node.clear()
    assert not video._thread.is_alive() and not b.node._inputs._videos
