"""Visual outputs of two UAVs over real DDS: published when there is a subscriber, and consistent with the task
outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nav_msgs.msg import Path as Track
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.nodes.core import qos, topics
from support.harness import TestWorld, believed, camera, flight, uav_spec

AGENTS = ["uav1", "uav2"]
VISUALS: dict[str, Any] = {
    "markers": MarkerArray,
    "paths": MarkerArray,
    "path": Track,
    "bev/contributors": Image,
    "debug/bev_image": Image,
}


def look(world: TestWorld) -> dict[str, list[Any]]:
    """Subscribe to all topics for views of uav1; the messages by topic."""
    got: dict[str, list[Any]] = {name: [] for name in VISUALS}
    for name, kind in VISUALS.items():
        assert name in topics.TOPICS
        world.node.create_subscription(kind, f"/uav1/{name}", got[name].append, qos.outputs())
    return got


def published(world: TestWorld, name: str) -> bool:
    return world.node.count_publishers(f"/uav1/{name}") == 1


def test_visuals_come_when_somebody_looks_and_fit_the_answers(
    tmp_path: Path, domain: int, model: Path
) -> None:
    specs = [uav_spec(a, model, domain, budget_bytes=6000) for a in AGENTS]
    with flight(AGENTS, specs, domain, tmp_path) as (world, _):
        world.until(lambda: world.connected(AGENTS), "the UAVs are connected")
        first = world.fly(0)  # nobody looks yet
        got = look(world)
        world.until(lambda: all(published(world, name) for name in VISUALS), "everything is on offer")
        shown, frame = [], 1
        while not all(got.values()):  # until the UAV knows that we look
            assert frame < 10, f"still missing: {[n for n, m in got.items() if not m]}"
            shown.append(world.fly(frame))
            frame += 1
        last = world.fly(frame)
        results = {
            name: world.got[f"/uav1/{name}"] for name in ("trajectories", "instance_mask", "occupancy")
        }
        world.until(
            lambda: (
                all(_stamp(m[-1]) == last for m in got.values()) and all(last in m for m in results.values())
            ),
            "all of the last frame came",
        )
        here = {name: messages[-1] for name, messages in got.items()}
        answers = {name: messages[last] for name, messages in results.items()}
        assert all(_stamp(m) > first for messages in got.values() for m in messages)
    tracks = task_messages.tracks_from_message(answers["trajectories"])
    lines = {m.id: m for m in here["paths"].markers if m.ns == "paths" and m.action == Marker.ADD}
    assert set(lines) == set(tracks.ids.tolist()) and len(lines) > 0
    for number, positions in zip(tracks.ids, tracks.positions, strict=True):
        np.testing.assert_allclose([(p.x, p.y) for p in lines[int(number)].points], positions)
    assert all(m.header.frame_id == "map" for m in here["markers"].markers)
    track = here["path"].poses
    assert [_stamp(p) for p in track][-1] == last and len(track) == frame + 1
    np.testing.assert_allclose(pose_matrix(track[-1].pose), believed(camera(1, frame)[1]), atol=1e-9)
    who = np.frombuffer(here["bev/contributors"].data, np.uint8)
    assert set(np.unique(who)) == {0, 1, 2}, "with one peer a cell is unseen, the UAV's own, or the peer's"
    info, image = answers["occupancy"].info, here["debug/bev_image"]
    assert (image.width, image.height) == (4 * info.width, 4 * info.height) and image.encoding == "rgb8"
    pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    mask = np.frombuffer(answers["instance_mask"].data, "<u2").reshape(info.height, info.width)
    assert len(np.unique(pixels[::4, ::4][mask > 0], axis=0)) >= min(len(np.unique(mask)) - 1, 2)


def _stamp(message: Any) -> int:
    if isinstance(message, MarkerArray):
        return max((stamp_ns(m.header.stamp) for m in message.markers), default=-1)
    return stamp_ns(message.header.stamp)
