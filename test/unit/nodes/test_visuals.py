"""Markers, images, tracks and frames for people: right, complete, and quick enough for a thousand objects."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import rotation_vector, transform
from rsdfm_ros.nodes.convert import images
from rsdfm_ros.nodes.convert.markers import MarkerSet, box_markers, path_markers
from rsdfm_ros.nodes.uav.frames.lattice_frame import lattice_transform

NS = 12_345_678_901
WINDOW = Window(-8, -16, 16, 40, 0.5)


def boxes(n: int, speed: float = 3.0) -> Boxes:
    rng = np.random.default_rng(n)
    return Boxes(
        classes=np.arange(n) % 4,
        scores=np.linspace(1.0, 0.3, n),
        centres=rng.uniform(-4, 4, (n, 3)),
        sizes=np.tile([4.0, 2.0, 1.5], (n, 1)),
        yaws=rng.uniform(-np.pi, np.pi, n),
        velocities=np.tile([0.0, speed], (n, 1)),
        ids=np.arange(n) + 5,
    )


def tracks(*ids: int) -> Tracks:
    positions = np.array([[[i + k, -k] for k in range(5)] for i in ids], float).reshape(-1, 5, 2)
    return Tracks(np.array(ids, np.int64), positions, np.full(len(ids), 0.5))


def named(message: MarkerArray, ns: str, action: int = Marker.ADD) -> dict[int, Marker]:
    return {m.id: m for m in message.markers if m.ns == ns and m.action == action}


def test_a_box_is_a_cube_a_heading_a_label_and_the_way_of_the_coming_second() -> None:
    one = Boxes(
        np.array([2]), np.array([0.876]), np.array([[10.0, 20, 1]]), np.array([[8.0, 2, 3]]),
        np.array([np.pi / 2]), np.array([[0.0, 5.0]]), np.array([42]),
    )  # fmt: skip
    message = MarkerSet("map").update(box_markers(one), NS, 5.0)
    assert {m.ns for m in message.markers} == {"boxes/truck", "heading/truck", "velocity", "labels"}
    for marker in message.markers:
        assert marker.header.frame_id == "map" and marker.header.stamp.sec == 12
        assert marker.lifetime.sec == 5 and marker.color.a > 0
    cube, heading = named(message, "boxes/truck")[42], named(message, "heading/truck")[42]
    assert cube.type == Marker.CUBE and (cube.scale.x, cube.scale.y, cube.scale.z) == (8.0, 2.0, 3.0)
    assert cube.pose.orientation.z == pytest.approx(np.sin(np.pi / 4))
    start, end = heading.points
    assert (start.x, start.y) == (10, 20) and end.x == pytest.approx(10) and end.y == pytest.approx(24.8)
    assert start.z == pytest.approx(2.55)  # on the roof
    arrow = named(message, "velocity")[42]
    assert arrow.type == Marker.ARROW and (arrow.points[1].x, arrow.points[1].y) == (10, 25)
    assert named(message, "labels")[42].text == "truck #42 0.88"
    back = deserialize_message(serialize_message(message), MarkerArray)
    assert [(m.ns, m.id, m.type, m.points, m.pose) for m in back.markers] == [
        (m.ns, m.id, m.type, m.points, m.pose) for m in message.markers
    ]


def test_what_stands_has_no_velocity_arrow_and_nothing_is_nothing() -> None:
    assert not [m for m in box_markers(boxes(5, speed=0.2)) if m.ns == "velocity"]
    assert box_markers(boxes(0)) == [] and path_markers(tracks()) == []
    assert MarkerSet("map").update([], NS, 1.0).markers == []


def test_what_is_gone_is_deleted_by_name_and_the_rest_is_moved_in_place() -> None:
    shown = MarkerSet("map")
    first = shown.update(path_markers(tracks(3, 7, 9)), NS, 5.0)
    second = shown.update(path_markers(tracks(7, 11)), NS + 1, 5.0)
    assert set(named(first, "paths")) == {3, 7, 9} and set(named(second, "paths")) == {7, 11}
    assert (
        set(named(second, "paths", Marker.DELETE)) == {3, 9} == set(named(second, "path_ids", Marker.DELETE))
    )
    assert all(m.action != Marker.DELETEALL for m in second.markers)
    third = shown.update([], NS + 2, 5.0)
    assert {(m.ns, m.id) for m in third.markers} == {(n, i) for n in ("paths", "path_ids") for i in (7, 11)}
    assert all(m.action == Marker.DELETE for m in third.markers)
    assert shown.update([], NS + 3, 5.0).markers == []


def test_paths_keep_the_id_and_the_positions_of_their_trajectory() -> None:
    message = MarkerSet("map").update(path_markers(tracks(7)), NS, 0.0)
    line = named(message, "paths")[7]
    assert [(p.x, p.y) for p in line.points] == [(7.0 + k, -1.0 * k) for k in range(5)]
    assert named(message, "path_ids")[7].text == "#7 0.50" and line.lifetime.sec == line.lifetime.nanosec == 0


def test_a_thousand_objects_have_markers_of_their_own() -> None:
    message = MarkerSet("map").update(box_markers(boxes(1000)), NS, 5.0)
    assert len({(m.ns, m.id) for m in message.markers}) == len(message.markers) == 4000


def test_contributors_are_a_picture_with_north_up() -> None:
    dominant = np.zeros(WINDOW.shape, np.uint8)
    dominant[2, -1] = 3  # third cell from the west, northernmost
    message = images.contributors_to_message(dominant, NS, "map")
    assert (message.encoding, message.width, message.height, message.step) == ("mono8", 16, 40, 16)
    assert message.header.frame_id == "map" and message.header.stamp.nanosec == 345_678_901
    image = np.frombuffer(message.data, np.uint8).reshape(40, 16)
    assert image[0, 2] == 3 and image.sum() == 3


def test_the_picture_of_the_map_shows_unseen_seen_probable_and_found() -> None:
    ids, probability = np.zeros(WINDOW.shape, np.int32), np.zeros(WINDOW.shape, np.float32)
    visible = np.zeros((8, 20), bool)
    visible[:4] = True  # the western half
    probability[1, 1] = 1.0
    ids[0, 39] = 5
    image = images.bev_image(ids, probability, visible, None, WINDOW)
    s = images.SCALE
    assert image.shape == (40 * s, 16 * s, 3)
    assert tuple(image[s * 20, -1]) == images.UNSEEN and tuple(image[s * 20, 0]) == images.SEEN
    assert tuple(image[s * 38 + 1, s + 1]) == images.HOT
    assert tuple(image[0, 0]) == tuple(images.instance_colours(np.array([5]))[0])


def test_the_boxes_of_the_picture_lie_where_they_are_with_a_line_to_the_front() -> None:
    one = Boxes(
        np.array([0]), np.array([1.0]), np.array([[0.0, 2, 1]]), np.array([[4.0, 2, 1]]),
        np.array([0.0]), np.zeros((1, 2)),
    )  # fmt: skip
    empty = np.zeros(WINDOW.shape, np.int32)
    image = images.bev_image(empty, empty.astype(np.float32), np.ones(WINDOW.shape, bool), one, WINDOW)
    rows, columns = np.nonzero((image == images.OUTLINE).all(axis=-1))
    scale = images.SCALE / WINDOW.cell_size
    assert (columns.min(), columns.max()) == (2 * scale, 6 * scale)  # x -2…2 of a map that begins at -4
    assert (rows.min(), rows.max()) == (9 * scale, 11 * scale)  # y 3…1 below a map that ends at 12
    nose = columns[rows == 10 * scale]
    assert nose.min() == 2 * scale and (nose >= 4 * scale).sum() > (nose < 4 * scale).sum()


def test_a_track_is_the_last_poses_and_starts_anew_after_a_gap_or_a_step_back() -> None:
    track = images.CameraTrack("map")
    assert track.message().poses == []
    T = transform(rotation_vector([0.1, 0.2, 0.3]), [1, 2, 60])
    for n in range(images.TRACK_POSES + 5):
        track.add(T, NS + n)
    message = track.message()
    assert len(message.poses) == images.TRACK_POSES and message.header.frame_id == "map"
    assert message.header.stamp == message.poses[-1].header.stamp
    assert message.poses[0].pose.position.z == 60 and message.poses[0].header.frame_id == "map"
    track.add(T, NS)
    assert len(track.message().poses) == 1
    track.add(T, NS + images.TRACK_GAP_NS + 1)
    assert len(track.message().poses) == 1
    track.clear()
    assert track.message().poses == []


def test_the_lattice_frame_is_the_south_west_corner_of_the_maps() -> None:
    message = lattice_transform(WINDOW, agent="uav2", ns=NS, frame_id="map")
    assert (message.header.frame_id, message.child_frame_id) == ("map", "uav2/lattice")
    t, q = message.transform.translation, message.transform.rotation
    assert (t.x, t.y, t.z) == (-4.0, -8.0, 0.0) and (q.x, q.y, q.z, q.w) == (0, 0, 0, 1)
    assert message.header.stamp.sec == 12
