"""A UAV begins an image when the one before it is answered: of those that come meanwhile the newest is next, and no
work is done on the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import AgentStatus, FeaturePacket

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.node_flight import Flight, matched_peers, stamp_of


def frame_of(message: Any) -> int:
    """Number of the frame of a message."""
    return round((stamps.stamp_ns(message.header.stamp) - stamp_of(0)) / (stamp_of(1) - stamp_of(0)))


class Bench:
    """A composed UAV, and what it sends and answers by number of the frame."""

    def __init__(self, flight: Flight, model: Path, **parameters: Any) -> None:
        self.flight, self.world = flight, flight.world
        reliable = {"image_reliability": "reliable", "features_reliability": "reliable"}
        options = self.world.options(
            model=str(model), liveliness_lease_s=60.0, send_boxes="never", **reliable, **parameters
        )
        self.uav = Uav(**options)
        self.world.add(*self.uav.nodes)
        self.world.up(*self.uav.nodes)
        self._packets = flight.keep(FeaturePacket, "/uav1/bev/features", qos.features("reliable", 60.0))
        self._status = flight.keep(AgentStatus, "/uav1/status")
        flight.sensors()
        self.world.until(
            lambda: flight.heard("/uav1/camera/image_raw", "/uav1/camera/camera_info", "/uav1/pose"),
            "the encoder listens",
        )
        out = {p.topic_name: p for p in self.uav.encoder.publishers}
        self.world.until(
            lambda: all(out[t].get_subscription_count() for t in ("/uav1/status", "/uav1/bev/features")),
            "the outputs are listened to",
        )

    @property
    def sent(self) -> list[int]:
        """Frames that were encoded, in their order."""
        found = [frame_of(p) for p in self._packets]
        return sorted(set(found), key=found.index)

    @property
    def answered(self) -> list[int]:
        """Frames that were answered."""
        return [frame_of(status) for status in self._status if status.frames_processed]

    def show(self, *frames: int) -> None:
        """Publish images one by one; returns when all have arrived."""
        images = self.uav.encoder.health.counts["images"]
        for number, frame in enumerate(frames, 1):
            self.flight.show(frame)
            self.world.until(
                lambda n=number: self.uav.encoder.health.counts["images"] == images + n, "the image comes"
            )

    def dropped(self) -> dict[str, int]:
        """Numbers of dropped work by step."""
        counts = self.uav.encoder.health.counts + self.uav.collaboration.health.counts
        return {n: counts[n] for n in ("images_dropped", "fusions_skipped", "answers_dropped") if counts[n]}


def test_however_fast_images_come_only_the_newest_is_begun_and_the_others_are_counted(
    flight: Flight, model: Path
) -> None:
    bench = Bench(flight, model)
    begun, go = threading.Event(), threading.Event()
    head = bench.uav.heads[0]
    head.work = lambda *arguments: (begun.set(), go.wait(60))  # type: ignore[method-assign, assignment]
    bench.show(0)
    bench.world.until(begun.is_set, "the first image is being answered")
    bench.show(1, 2, 3, 4, 5)
    assert bench.sent in ([], [0])
    go.set()
    bench.world.until(
        lambda: bench.answered == [0, 5] == bench.sent, "the first and the last one are answered"
    )
    assert bench.dropped() == {"images_dropped": 4}
    assert bench._status[-1].frames_dropped == 4


def test_while_an_image_waits_for_a_peer_none_is_begun_that_would_take_its_place(
    flight: Flight, model: Path
) -> None:
    flight.features("uav2")
    bench = Bench(flight, model, peer_wait_s=60.0)
    bench.world.until(lambda: matched_peers(bench.uav.collaboration) == ["uav2"], "the peer is connected")
    bench.show(0)
    bench.world.until(lambda: bench.sent == [0] and bench.uav.collaboration.waiting, "the first image waits")
    bench.show(1, 2)
    assert not bench.uav.worker.wait_idle(0.2) and bench.sent == [0] and bench.answered == []
    flight.send(0)
    bench.world.until(lambda: bench.answered == [0] and bench.sent == [0, 2], "the newest one is next")
    flight.send(2)
    bench.world.until(lambda: bench.answered == [0, 2], "it is answered, too")
    assert bench.dropped() == {"images_dropped": 1}


@pytest.mark.parametrize("how", ["clear", "deactivate"])
def test_when_the_image_that_waited_is_forgotten_the_next_one_is_begun(
    flight: Flight, model: Path, how: str
) -> None:
    flight.features("uav2")
    bench = Bench(flight, model, peer_wait_s=60.0)
    bench.world.until(lambda: matched_peers(bench.uav.collaboration) == ["uav2"], "the peer is connected")
    bench.show(0)
    bench.world.until(lambda: bench.sent == [0] and bench.uav.collaboration.waiting, "the first image waits")
    bench.show(1)
    if how == "clear":
        bench.uav.collaboration.clear()
    else:
        bench.uav.collaboration.trigger_deactivate()
    bench.world.until(lambda: bench.sent == [0, 1], "the next one is begun")
