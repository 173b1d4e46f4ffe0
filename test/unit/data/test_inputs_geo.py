"""Poses from satellite fixes: the world frame against pyproj's own reference systems, agreement on its origin."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.origin import PATIENCE_S, SETTLE_S, OriginAgreement
from rsdfm_ros.data.messages.geo.world import GeoOrigin, GeoWorld
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.geometry.rotations import rotation_vector
from support.geo_messages import HERE, imu, moved, navsat, px4_attitude, px4_global, quaternion
from support.input_bench import Bench, ms
from support.input_messages import odometry, pose

pyproj = pytest.importorskip("pyproj")
ORIGIN = (*HERE, 420.0)
LEVEL = np.eye(3)


def bench(origin: tuple[float, ...] = ORIGIN, **given: object) -> Bench:
    b = Bench(pose_type="geo", geo_origin=origin, **given)
    b.infos()
    return b


def camera(b: Bench, fixes: list, attitudes: list, at_ms: int = 0):
    for attitude in attitudes:
        b.inputs.add_attitude(attitude)
    for fix in fixes:
        b.inputs.add_pose(fix)
    (matched,) = b.image(at_ms)
    (view,) = b.inputs.views(matched)
    return view


@pytest.mark.parametrize("place", [HERE, (-33.9, 151.2), (0.001, -179.9995), (78.2, 15.6)])
def test_the_world_is_east_north_up_of_pyprojs_own_geocentric_coordinates(place: tuple[float, float]) -> None:
    """EPSG:4979 to EPSG:4978, then east, north and up as differences of pyproj's own coordinates."""
    to_ecef = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
    world = GeoWorld(GeoOrigin(*place, 100.0))

    def ecef(lat: float, lon: float, h: float) -> np.ndarray:
        return np.array(to_ecef.transform(lon, lat, h))

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.linalg.norm(v)

    step = 1e-5
    up = unit(ecef(*place, 200.0) - ecef(*place, 0.0))
    north = unit(ecef(place[0] + step, place[1], 100.0) - ecef(place[0] - step, place[1], 100.0))
    axes = np.stack([np.cross(north, up), north, up])
    rng = np.random.default_rng(5)
    for _ in range(20):
        lat, lon = place[0] + rng.uniform(-0.02, 0.02), place[1] + rng.uniform(-0.02, 0.02)
        h = rng.uniform(0, 300)
        expected = axes @ (ecef(lat, lon, h) - ecef(*place, 100.0))
        np.testing.assert_allclose(world.position(lat, lon, h), expected, atol=5e-4)
        local = unit(ecef(lat, lon, h + 50) - ecef(lat, lon, h - 50))
        R = world.R_world_local(world.position(lat, lon, h))
        np.testing.assert_allclose(R[:, 2], axes @ local, atol=1e-7)
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_two_uavs_that_start_300_m_apart_see_one_place_where_it_is() -> None:
    """The distance is that of pyproj's geodesic; a third point has the same coordinates for both."""
    first, second = HERE, moved(HERE, 57.0, 300.0)
    one, two = OriginAgreement(None, needs_altitude=True), OriginAgreement(None, needs_altitude=True)
    one.propose(GeoOrigin(*first, 420.0, ms(0)), 0.0)
    assert one.propose(GeoOrigin(*first, 420.0, ms(100)), PATIENCE_S)
    assert two.hear(one.origin, PATIENCE_S + 0.1) and two.origin == one.origin
    positions = []
    for place, agreement in ((first, one), (second, two)):
        b = bench(origin=())
        assert b.image(0) == []  # waits for the origin
        b.inputs.add_attitude(imu(LEVEL, ms(0)))
        assert b.inputs.add_pose(navsat(place, 450.0, ms(0))) == []
        (matched,) = b.inputs.set_geo_origin(agreement.origin)
        (view,) = b.inputs.views(matched)
        positions.append(view.T_map_camera[:3, 3])
    apart = positions[1] - positions[0]
    at_height = 300.0 * (1 + 450.0 / 6.38e6)  # the geodesic runs along the ellipsoid
    assert np.linalg.norm(apart) == pytest.approx(at_height, abs=1e-3)
    assert np.degrees(np.arctan2(apart[0], apart[1])) == pytest.approx(57.0, abs=0.01)
    assert positions[0][2] == pytest.approx(30.0, abs=1e-6)


def test_position_and_attitude_are_each_interpolated_at_the_time_of_the_image() -> None:
    """Fixes at 5 Hz, attitudes at 20 Hz, in between a turn that fixes alone would miss."""
    b = bench(pose_max_gap_s=0.1)
    fixes = [navsat(moved(HERE, 90.0, x), 430.0, ms(t)) for t, x in ((0, 0.0), (200, 2.0))]
    yaws = {0: 0.0, 50: 0.2, 100: 0.4, 150: 0.0, 200: 0.0}
    attitudes = [imu(rotation_vector([0, 0, yaw]), ms(t)) for t, yaw in yaws.items()]
    view = camera(b, fixes, attitudes, 75)
    np.testing.assert_allclose(view.T_map_camera[:3, 3], [0.75, 0.0, 10.0], atol=1e-4)
    np.testing.assert_allclose(view.T_map_camera[:3, :3], rotation_vector([0, 0, 0.3]), atol=1e-6)


def test_covariances_are_those_of_the_fix_and_the_attitude() -> None:
    b = bench(pose_sigma_m=9.0, pose_sigma_deg=9.0)
    view = camera(
        b,
        [navsat(HERE, 430.0, ms(0), np.diag([1.0, 4.0, 9.0]))],
        [imu(LEVEL, ms(0), np.diag([0.01, 0.02, 0.03]))],
    )
    np.testing.assert_allclose(np.diag(view.covariance), [1, 4, 9, 0.01, 0.02, 0.03], atol=1e-12)


def test_what_the_sources_do_not_know_is_assumed() -> None:
    b = bench(geo_attitude_type="quaternion", pose_sigma_m=0.5, pose_sigma_deg=2.0)
    view = camera(b, [navsat(HERE, 430.0, ms(0))], [quaternion(LEVEL, ms(0))])
    np.testing.assert_allclose(np.diag(view.covariance), [0.25] * 3 + [np.deg2rad(2) ** 2] * 3)


def test_every_source_of_fix_and_attitude_gives_the_same_camera() -> None:
    R = rotation_vector([0.1, -0.2, 0.9])
    body = np.eye(4)
    body[:3, :3] = R
    place = moved(HERE, 30.0, 40.0)
    fixes = {"navsat": navsat(place, 431.0, ms(0)), "px4": px4_global(place, 431.0, ms(0))}
    attitudes = {
        "imu": imu(R, ms(0)),
        "quaternion": quaternion(R, ms(0)),
        "pose": pose(body, ms(0)),
        "odometry": odometry(body, ms(0)),
        "px4": px4_attitude(R, ms(0)),
    }
    views = [
        camera(bench(geo_fix_type=f, geo_attitude_type=a), [fix], [attitude]).T_map_camera
        for f, fix in fixes.items()
        for a, attitude in attitudes.items()
    ]
    np.testing.assert_allclose(views[0][:3, :3], R, atol=1e-5)
    assert np.linalg.norm(views[0][:2, 3]) == pytest.approx(40.0, abs=0.01)
    for T in views[1:]:
        np.testing.assert_allclose(T, views[0], atol=1e-6)


def test_the_altitude_counts_from_what_the_parameter_says() -> None:
    def height(altitude_m: float, **given: object) -> float:
        return float(
            camera(bench(**given), [navsat(HERE, altitude_m, ms(0))], [imu(LEVEL, ms(0))]).T_map_camera[2, 3]
        )

    assert height(450.0) == pytest.approx(30.0)
    assert height(402.0, geo_altitude="geoid", geo_geoid_m=48.0) == pytest.approx(30.0)
    assert height(7.0, geo_altitude="takeoff", geo_takeoff_m=2.5) == pytest.approx(2.5)
    b = bench(geo_altitude="takeoff")
    view = camera(
        b,
        [navsat(HERE, 7.0, ms(0)), navsat(HERE, 37.0, ms(1000))],
        [imu(LEVEL, ms(k)) for k in range(0, 1001, 100)],
        500,
    )
    assert view.T_map_camera[2, 3] == pytest.approx(15.0)


def test_px4_has_both_altitudes() -> None:
    for altitude, z in (("ellipsoid", 30.0), ("geoid", -18.0)):
        b = bench(geo_fix_type="px4", geo_altitude=altitude)
        view = camera(b, [px4_global(HERE, 450.0, ms(0), alt=402.0)], [imu(LEVEL, ms(0))])
        assert view.T_map_camera[2, 3] == pytest.approx(z, abs=1e-4)


def test_what_is_no_fix_is_refused_and_counted() -> None:
    b = bench()
    b.inputs.add_pose(navsat(HERE, 430.0, ms(0), status=-1))
    b.inputs.add_pose(navsat((0.0, 0.0), 0.0, ms(0)))
    b.inputs.add_pose(navsat((float("nan"), 8.0), 0.0, ms(0)))
    b.inputs.add_pose(navsat((91.0, 8.0), 0.0, ms(0)))
    b.inputs.add_pose(navsat(HERE, 430.0, ms(0), np.diag([1.0, -4.0, 9.0])))
    b.inputs.add_pose(navsat(HERE[::-1], 430.0, ms(0)))  # longitude first, as in GeoJSON
    b.inputs.add_attitude(imu(LEVEL, ms(0), unknown=True))
    assert b.refused == {
        "geo_no_fix": 2,
        "geo_fix": 2,
        "covariance": 1,
        "geo_far": 1,
        "attitude_unknown": 1,
    }
    view = camera(b, [navsat(HERE, 430.0, ms(0))], [imu(LEVEL, ms(0))])
    assert view.T_map_camera[2, 3] == pytest.approx(10.0)


def test_contradictory_settings_are_refused() -> None:
    for given in (
        {"geo_origin": (91.0, 0.0, 0.0)},
        {"geo_origin": (47.0, 8.0)},
        {"geo_origin": (47.0, 8.0, float("nan"))},
        {"geo_altitude": "sea"},
        {"geo_fix_type": "gps"},
        {"geo_attitude_type": "euler"},
    ):
        with pytest.raises(MessageError, match=next(iter(given))):
            InputConfig(**given).checked()


def test_of_several_proposals_all_take_the_earliest() -> None:
    a, b = GeoOrigin(*HERE, 420.0, ms(200)), GeoOrigin(*moved(HERE, 0.0, 300.0), 421.0, ms(100))
    one, two = OriginAgreement(None, needs_altitude=True), OriginAgreement(None, needs_altitude=True)
    for agreement, place in ((one, a), (two, b)):
        assert not agreement.propose(place, 0.0)
        assert agreement.propose(place, PATIENCE_S)
    assert one.hear(b, PATIENCE_S + 1) and not two.hear(a, PATIENCE_S + 1)
    assert one.origin == two.origin == b


def test_a_configured_origin_holds_for_the_others() -> None:
    configured = OriginAgreement(GeoOrigin(*HERE, 420.0), needs_altitude=True)
    other = OriginAgreement(None, needs_altitude=True)
    place = GeoOrigin(*moved(HERE, 0.0, 300.0), 421.0, ms(100))
    other.propose(place, 0.0)
    other.propose(place, PATIENCE_S)
    assert not configured.hear(other.origin, 4.0)
    assert other.hear(configured.origin, 4.0) and other.origin == configured.origin
    with pytest.raises(MessageError, match="same geo_origin"):
        configured.hear(GeoOrigin(*moved(HERE, 0.0, 1.0), 420.0), 5.0)


def test_the_world_does_not_move_in_flight() -> None:
    agreement = OriginAgreement(None, needs_altitude=True)
    mine = GeoOrigin(*HERE, 420.0, ms(5000))
    agreement.propose(mine, 0.0)
    agreement.propose(mine, PATIENCE_S)
    with pytest.raises(MessageError) as error:
        agreement.hear(GeoOrigin(*moved(HERE, 0.0, 300.0), 421.0, ms(100)), PATIENCE_S + SETTLE_S)
    assert error.value.reason == "geo_origin_conflict" and agreement.origin == mine


def test_an_origin_without_altitude_is_for_take_off_altitudes_only() -> None:
    heard = GeoOrigin(*HERE, float("nan"), ms(100))
    assert OriginAgreement(None, needs_altitude=False).hear(heard, 1.0)
    with pytest.raises(MessageError, match="geo_altitude"):
        OriginAgreement(None, needs_altitude=True).hear(heard, 1.0)
