"""A fleet in Gazebo: what the bridge carries, how UAVs are steered, which processes a description asks for."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from rsdfm_ros.cli import main
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.reading import fleet_from_dict, load_fleet
from rsdfm_ros.fleet.gazebo import check_world, gazebo_arguments, write_gazebo
from rsdfm_ros.fleet.specification import node_specifications
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.bridge import GZ_TO_ROS, ROS_TO_GZ, bridge_entries, bridge_yaml
from rsdfm_ros.sim.gazebo.gimbal import (
    MAX_SPEED_MPS,
    PITCH_LIMITS_RAD,
    Track,
    camera_pose,
    planned,
    posture_of,
    steer,
)

#: Pairs of ros_gz_bridge's table (README.md of ros_gz_bridge, jazzy and kilted).
PAIRS = {
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
    "sensor_msgs/msg/Image": "gz.msgs.Image",
    "sensor_msgs/msg/CameraInfo": "gz.msgs.CameraInfo",
    "sensor_msgs/msg/Imu": "gz.msgs.IMU",
    "sensor_msgs/msg/JointState": "gz.msgs.Model",
    "nav_msgs/msg/Odometry": "gz.msgs.Odometry",
    "geometry_msgs/msg/Twist": "gz.msgs.Twist",
    "std_msgs/msg/Float64": "gz.msgs.Double",
    "tf2_msgs/msg/TFMessage": "gz.msgs.Pose_V",
}
KEYS = {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction", "lazy"}


@pytest.mark.parametrize("n", [1, 2, 8])
def test_the_bridge_carries_every_topic_once_in_one_direction_with_types_that_fit(n: int) -> None:
    spaces = {f"uav{k + 1}": f"/team/uav{k + 1}" for k in range(n)}
    rows = yaml.safe_load(bridge_yaml(bridge_entries(spaces)))
    assert len(rows) == 1 + 9 * n
    for row in rows:
        assert set(row) <= KEYS and PAIRS[row["ros_type_name"]] == row["gz_type_name"]
        assert row["direction"] in (GZ_TO_ROS, ROS_TO_GZ) and row["ros_topic_name"].startswith("/")
        assert row.get("lazy", True) is True
    counts = {key: Counter(row[key] for row in rows) for key in ("ros_topic_name", "gz_topic_name")}
    assert counts["ros_topic_name"].pop("/tf") == n, "the UAVs share it"
    assert all(max(c.values()) == 1 for c in counts.values())
    to_gazebo = {r["ros_topic_name"] for r in rows if r["direction"] == ROS_TO_GZ}
    wanted = {"cmd_vel", "gimbal/pitch/command", "gimbal/roll/command"}
    assert to_gazebo == {f"{s}/{t}" for s in spaces.values() for t in wanted}


def test_gazebos_side_of_the_bridge_has_the_names_that_gz_sim_makes_from_the_model() -> None:
    rows = {e.ros_topic: e.gz_topic for e in bridge_entries({"uav1": "/uav1"}, world="w")}
    assert rows == {
        "/clock": "/clock",
        "/uav1/camera/image_raw": "/world/w/model/uav1/link/camera_link/sensor/camera/image",
        "/uav1/gazebo/camera_info": "/world/w/model/uav1/link/camera_link/sensor/camera/camera_info",
        "/uav1/odometry": "/model/uav1/odometry",
        "/uav1/joint_states": "/world/w/model/uav1/joint_state",
        "/tf": "/model/uav1/pose",
        "/uav1/imu": "/world/w/model/uav1/link/base_link/sensor/imu/imu",
        "/uav1/cmd_vel": "/model/uav1/cmd_vel",
        "/uav1/gimbal/pitch/command": "/model/uav1/joint/gimbal_pitch/0/cmd_pos",
        "/uav1/gimbal/roll/command": "/model/uav1/joint/gimbal_roll/0/cmd_pos",
    }


@pytest.mark.parametrize("t", [0.0, 3.7, 29.5])
def test_posture_and_camera_pose_are_inverse_to_each_other(t: float) -> None:
    for flight in make_flights(9000, 4):
        T = flight.T_map_camera(t)
        p = posture_of(T)
        base = np.eye(4)
        base[:2, :2] = [[math.cos(p.yaw), -math.sin(p.yaw)], [math.sin(p.yaw), math.cos(p.yaw)]]
        base[:3, 3] = p.position
        np.testing.assert_allclose(camera_pose(base, p.pitch, p.roll), T, atol=1e-9)
        assert math.radians(30) < p.pitch < PITCH_LIMITS_RAD[1], "down is positive"


def test_a_uav_on_its_flight_is_commanded_the_planned_velocity_in_its_own_frame() -> None:
    flight = make_flights(9000, 1)[0]
    here, soon = planned(flight, 10.0), planned(flight, 10.01)
    base = np.eye(4)
    c, s = math.cos(here.yaw), math.sin(here.yaw)
    base[:2, :2], base[:3, 3] = [[c, -s], [s, c]], here.position
    command = steer(Track(flight), 10.0, base)
    np.testing.assert_allclose(
        base[:3, :3] @ command.linear, (soon.position - here.position) / 0.01, atol=0.02
    )
    assert command.angular[2] == pytest.approx((soon.yaw - here.yaw) / 0.01, abs=2e-3)
    assert (command.pitch, command.roll) == pytest.approx((here.pitch, here.roll))


def test_a_track_is_the_flight_without_computing_it_at_every_instant() -> None:
    for flight in make_flights(9000, 4):
        track = Track(flight)
        for t in np.arange(0.15, 60.0, 0.73):
            (values, rates), p = track.at(t), planned(flight, t)
            np.testing.assert_allclose(values[:3], p.position, atol=1e-4)
            assert abs(math.remainder(values[3] - p.yaw, math.tau)) < 1e-5
            np.testing.assert_allclose(values[4:], [p.pitch, p.roll], atol=1e-5)
            speed = (planned(flight, t + 1e-3).position - planned(flight, t - 1e-3).position) / 2e-3
            np.testing.assert_allclose(rates[:3], speed, atol=5e-3)


def test_a_uav_far_away_and_tilted_comes_back_at_a_bounded_speed() -> None:
    flight = make_flights(9000, 1)[0]
    base = np.eye(4)
    base[1:3, 1:3] = [[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]]
    base[:3, 3] = planned(flight, 0.0).position + np.array([500.0, 0.0, 0.0])
    command = steer(Track(flight), 0.0, base)
    assert np.linalg.norm(command.linear) == pytest.approx(MAX_SPEED_MPS)
    assert (base[:3, :3] @ command.linear)[0] < 0
    assert (base[:3, :3] @ command.angular)[0] < 0, "turns back about the axis of its tilt"


def test_before_the_start_a_uav_waits() -> None:
    flight = make_flights(9000, 1)[0]
    base = np.eye(4)
    base[:3, 3] = planned(flight, 0.0).position
    assert planned(flight, -5.0).yaw == planned(flight, 0.0).yaw
    assert np.linalg.norm(steer(Track(flight), -5.0, base).linear) == 0.0


def test_a_description_with_gazebo_asks_for_flight_truth_and_an_evaluator_that_ends(root: Path) -> None:
    overrides = {"model": f"random:{root / 'test/support/tiny.yaml'}", "uavs": 2, "world.start_s": 12.5}
    fleet = load_fleet(root / "config/fleet/gazebo.yaml", overrides)
    specs = {s.executable: s for s in node_specifications(fleet)}
    assert set(specs) == {"evaluator_node", "uav_node", "gazebo_truth_node", "gazebo_flight_node"}
    shared = {"use_sim_time": True, "seed": 9000, "agents": ["uav1", "uav2"], "start_s": 12.5}
    assert shared.items() <= dict(specs["gazebo_flight_node"].parameters).items()
    assert {**shared, "frames": 60}.items() <= dict(specs["gazebo_truth_node"].parameters).items()
    assert specs["evaluator_node"].parameters["frames"] == 60
    assert specs["uav_node"].parameters["use_sim_time"] is True
    assert specs["uav_node"].parameters["image_reliability"] == "best_effort"


@pytest.mark.parametrize(
    ("world", "sentence"),
    [({"start_s": 0.3}, "world.start_s: expected a multiple of 0.5 s"), ({"start_s": -1.0}, "world.start_s")],
)
def test_a_start_beside_the_frames_is_refused(world: dict, sentence: str) -> None:
    with pytest.raises(FleetDescriptionError, match=sentence):
        fleet_from_dict({"world": {"kind": "gazebo", **world}})


def test_nine_uavs_are_refused() -> None:
    with pytest.raises(FleetDescriptionError, match="uavs: expected 1 to 8"):
        fleet_from_dict({"uavs": 9, "world": {"kind": "gazebo"}})


def test_a_world_made_for_another_fleet_is_refused(tmp_path: Path) -> None:
    def fleet(**world: object) -> object:
        return fleet_from_dict({"uavs": 2, "world": {"kind": "gazebo", "frames": 10, **world}})

    write_gazebo(fleet(), tmp_path, ground_px=64)
    check_world(fleet(), tmp_path)
    check_world(fleet(frames=5), tmp_path)
    for other, what in (({"seed": 1}, "seed"), ({"start_s": 1.0}, "start_s"), ({"frames": 11}, "frames")):
        with pytest.raises(FleetDescriptionError, match=f"made for {what}"):
            check_world(fleet(**other), tmp_path)
    (tmp_path / "world.sdf").write_text("<sdf/>")
    with pytest.raises(FleetDescriptionError, match="not made by"):
        check_world(fleet(), tmp_path)
    with pytest.raises(FleetDescriptionError, match="no world in"):
        check_world(fleet(), tmp_path / "nowhere")


def test_gazebo_runs_at_once_and_without_a_window_when_asked() -> None:
    assert gazebo_arguments(Path("/w"), headless=False) == ["-r", "-v", "2", "/w/world.sdf"]
    shown = gazebo_arguments(Path("/w"), headless=True)
    assert shown == ["-r", "-s", "--headless-rendering", "-v", "2", "/w/world.sdf"]


def test_the_command_writes_a_world_and_says_how_to_start_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--seed", "5", "--uavs", "1", "--frames", "4", "--ground-px", "64", "--out", str(tmp_path)]
    assert main(["gazebo", *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"world.sdf", "bridge.yaml", "models/rsdfm_uav/model.sdf"} <= set(told["files"])
    assert all((tmp_path / name).is_file() for name in told["files"])
    assert main(["gazebo", *arguments, "--force"]) == 0
    out = capsys.readouterr().out
    assert "ros2 launch rsdfm_ros gazebo.launch.py seed:=5 uavs:=1" in out and f"{tmp_path}/world.sdf" in out
    assert main(["gazebo", *arguments[:-4], "--ground-px", "9", "--out", str(tmp_path)]) == 2
    assert "--ground-px: expected 64 to 3072" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["gazebo", *arguments[:-1], str(tmp_path / "file")]) == 2
    assert "file is a file; expected a folder" in capsys.readouterr().err
