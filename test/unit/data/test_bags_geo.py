"""Bags with satellite fixes instead of poses: two UAVs that start 300 m apart, in one world without surveying."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.map_file import map_from_dict
from rsdfm_ros.data.bags.replay_plan import replay_plan
from rsdfm_ros.data.bags.sensors import Sensors
from support.bag_data import make_bag
from support.geo_bags import ORIGIN, geo_map, with_fixes

pytest.importorskip("pyproj")


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same flight with poses of a surveyed world, and with fixes and attitudes."""
    folder = tmp_path_factory.mktemp("geo")
    poses = make_bag(folder / "poses")
    return poses, with_fixes(poses, folder / "fixes")


def positions(path: Path, topic_map) -> dict[tuple[str, int], np.ndarray]:
    with open_bag(path) as bag:
        sensors = Sensors(bag, topic_map)
        out = {
            (uav, instant.stamp_ns): sensors.input_of(uav).views(matched)[0].T_map_camera
            for instant in sensors.instants()
            for uav, matched in instant.images.items()
        }
        assert not sensors.rejects, sensors.reasons
        return out


def test_fixes_give_the_poses_of_the_surveyed_world(flown: tuple[Path, Path]) -> None:
    surveyed = positions(flown[0], map_from_dict(geo_map(fixes=False)))
    found = positions(flown[1], map_from_dict(geo_map(inputs={"geo_origin": list(ORIGIN)})))
    assert found.keys() == surveyed.keys() and len(found) == 8
    for key, T in surveyed.items():
        np.testing.assert_allclose(found[key], T, atol=2e-3)


def test_without_an_origin_both_uavs_share_that_of_the_first_fix(flown: tuple[Path, Path]) -> None:
    """The world is shifted as a whole: relative poses of the UAVs are those of the surveyed one."""
    surveyed = positions(flown[0], map_from_dict(geo_map(fixes=False)))
    found = positions(flown[1], map_from_dict(geo_map()))
    first = min(ns for _, ns in found)
    np.testing.assert_allclose(found["uav1", first][:3, 3], 0.0, atol=1e-3)
    shift = surveyed["uav1", first][:3, 3]
    for key, T in surveyed.items():
        np.testing.assert_allclose(found[key][:3, 3] + shift, T[:3, 3], atol=5e-3)


def test_a_recorded_origin_is_the_bags(flown: tuple[Path, Path], tmp_path: Path) -> None:
    recorded = with_fixes(flown[0], tmp_path / "told", origin=ORIGIN)
    surveyed = positions(flown[0], map_from_dict(geo_map(fixes=False)))
    for key, T in positions(recorded, map_from_dict(geo_map())).items():
        np.testing.assert_allclose(T, surveyed[key], atol=2e-3)


def test_a_replay_plays_fix_and_attitude_with_one_origin(flown: tuple[Path, Path]) -> None:
    with open_bag(flown[1]) as bag:
        plan = replay_plan(bag, map_from_dict(geo_map()))
    assert {o.topic for o in plan.outputs.values()} >= {"uav1/fix", "uav1/attitude", "uav2/fix"}
    one, two = plan.parameters["uav1"], plan.parameters["uav2"]
    assert one["pose_type"] == "geo" and one["geo_attitude_type"] == "imu"
    assert one["geo_origin"] == two["geo_origin"] and len(one["geo_origin"]) == 3


def test_missing_attitudes_are_named(flown: tuple[Path, Path]) -> None:
    topics = geo_map()
    topics["uav"]["attitude"] = "/{uav}/nothing"
    with open_bag(flown[1]) as bag:
        missing = bag_info(bag, map_from_dict(topics))["missing"]
    assert any("attitudes of uav1" in m and "/uav1/nothing" in m for m in missing)
