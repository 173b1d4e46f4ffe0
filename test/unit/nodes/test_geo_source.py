"""Satellite fixes over real middleware: encoder nodes agree on one origin, and see one place where it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pyproj")
from sensor_msgs.msg import Imu, NavSatFix

from rsdfm_ros.data.messages.geo import origin
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_matrix, transform
from rsdfm_ros.nodes.convert import sensors as convert
from support import encoder_bench
from support.encoder_bench import START_NS, Bench, camera_pose, numbers
from support.geo_messages import HERE, moved

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context
T_BODY_CAMERA = transform(R_BODY_OPTICAL, np.zeros(3))
T_MAP_BODY = camera_pose() @ np.linalg.inv(T_BODY_CAMERA)


def flying(bench: Callable[..., Bench], **given: object) -> Bench:
    b = bench(pose_type="geo", extrinsics=numbers(T_BODY_CAMERA), **given).start()
    b.info()
    return b


def imu() -> Imu:
    message = Imu()
    message.header.stamp = convert.time_of(START_NS)
    q = quaternion_from_matrix(T_MAP_BODY[:3, :3])
    o = message.orientation
    o.x, o.y, o.z, o.w = (float(v) for v in q)
    return message


def fix(place: tuple[float, float], altitude_m: float, n: int = 0) -> NavSatFix:
    message = NavSatFix(latitude=place[0], longitude=place[1], altitude=altitude_m)
    message.header.stamp = convert.time_of(START_NS + n * 50_000_000)
    return message


def sees(b: Bench, place: tuple[float, float], altitude_m: float) -> np.ndarray:
    """The camera's position when it answers an image."""
    b.publish("attitude", imu())
    b.publish("fix", fix(place, altitude_m))
    b.image()
    return b.answered(1).T_map_camera[:3, 3]


def test_two_uavs_300_m_apart_agree_over_the_latched_topic(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one proposes its fix; the second starts later and takes it, although it has a fix of its own."""
    first = flying(bench)
    monkeypatch.setattr(origin, "PATIENCE_S", 0.0)
    at_first = sees(first, HERE, 450.0)
    np.testing.assert_allclose(at_first, 0.0, atol=1e-6)
    monkeypatch.setattr(origin, "PATIENCE_S", 1000.0)
    second = flying(bench)
    at_second = sees(second, moved(HERE, 90.0, 300.0), 460.0)
    np.testing.assert_allclose(at_second, [300.0, 0.0, 10.0], atol=0.05)


def test_a_configured_origin_reaches_uavs_that_have_none_and_conflicts_are_counted(
    bench: Callable[..., Bench],
) -> None:
    lat, lon = moved(HERE, 0.0, 50.0)
    configured = flying(bench, geo_origin=[lat, lon, 400.0])
    open_one = flying(bench)
    np.testing.assert_allclose(sees(open_one, HERE, 430.0), [0.0, -50.0, 30.0], atol=0.05)
    other = flying(bench, geo_origin=[lat + 0.001, lon, 400.0])
    configured.refused("geo_origin_conflict")
    other.refused("geo_origin_conflict")


def test_an_image_without_an_origin_says_what_it_waits_for(
    bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]
) -> None:
    b = flying(bench, pose_wait_s=0.0)
    for n in range(8):
        b.image(n)
        b.until(lambda n=n: b.node.health.counts["images"] > n, "the image came")
    b.refused("no_pose")
    assert "the geo_origin of the fleet is not known yet" in capfd.readouterr().err
