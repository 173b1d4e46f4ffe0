"""`rsdfm calibrate mount`: an angle that was put into the poses of a bag comes back as extrinsics."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros import cli
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.messages.poses import extrinsics
from rsdfm_ros.evaluation.bags.evaluate import load_perception
from rsdfm_ros.evaluation.calibration import mount_of_bag
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.mounting import MountSighting
from rsdfm_ros.geometry.rotations import rotation_vector
from support.bag_data import AGENTS, START_NS, camera_pose, frame, make_bag, shifted
from support.places import TINY
from support.sightings import seen_with

MOUNT = np.deg2rad([1.0, 0.0, 0.0])
INSTANTS, PERIOD_NS = 30, 10 * 10**9


def turned(T: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    out = T.copy()
    out[:3, :3] = T[:3, :3] @ rotation_vector(rotation)
    return out


def true_pose(agent: str, k: int) -> np.ndarray:
    """Headings swing, so that mounting and heading are told apart."""
    T = camera_pose(AGENTS.index(agent), 0)
    T[:3, :3] = rotation_vector([0, 0, 0.4 * np.sin(0.5 * k + AGENTS.index(agent))]) @ T[:3, :3]
    return T


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uav1 believes that its camera is where it is not: by one degree about its right axis. Images every 10 s."""
    folder = tmp_path_factory.mktemp("mount") / "bag"
    with BagWriter(folder) as writer:
        for k in range(INSTANTS):
            made = shifted(frame(k))
            views = tuple(
                replace(
                    v,
                    T_map_camera=turned(true_pose(v.agent, k), -MOUNT * (v.agent == "uav1")),
                    covariance=np.diag([1e-4] * 3 + [np.deg2rad(0.05) ** 2] * 3),
                )
                for v in made.views
            )
            write_frames(writer, [WorldFrame(k, START_NS + k * PERIOD_NS, views, made.objects)], AGENTS)
    return folder


@pytest.fixture
def detections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors that place 15 vehicles, to 0.25 m, where true cameras see them if believed ones are assumed."""
    rng = np.random.default_rng(1)

    def seen(agent, instant, sensors, ground):
        (view,) = sensors.input_of(agent.name).views(instant.images[agent.name])
        k = round((instant.stamp_ns - START_NS) / PERIOD_NS)
        xy = np.random.default_rng(k).uniform(-14, 14, (15, 2))
        xy = seen_with(xy + rng.normal(0, 0.25, xy.shape), true_pose(agent.name, k), view.T_map_camera)
        n = len(xy)
        boxes = Detections(
            np.zeros(n, np.int64),
            np.full(n, 0.9),
            np.column_stack([xy, np.full(n, 0.8)]),
            np.tile([4.5, 1.9, 1.6], (n, 1)),
            np.zeros(n),
            np.zeros((n, 2)),
        )
        return MountSighting(boxes, view.T_map_camera[:3, 3], view.covariance, view.T_map_camera[:3, :3])

    monkeypatch.setattr(mount_of_bag, "_seen", seen)


def test_one_degree_comes_back_as_extrinsics(
    bag: Path, detections: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["calibrate", "mount", str(bag), "--model", f"random:{TINY}:3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert np.abs(np.array(told["uav1"]["rotation_deg"]) - [1.0, 0, 0]).max() < 0.15
    assert np.abs(np.array(told["uav2"]["rotation_deg"])).max() < 0.15
    # Turned by the extrinsics, the believed pose is the true one.
    T = true_pose("uav1", 3)
    mended = turned(T, -MOUNT) @ extrinsics(told["uav1"]["extrinsics"])
    apart = np.rad2deg(np.arccos((np.trace(mended[:3, :3].T @ T[:3, :3]) - 1) / 2))
    assert apart < 0.2


def test_many_images_of_one_moment_are_no_certainty(
    bag: Path, detections: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sigma(persistence_s: float) -> float:
        monkeypatch.setattr(mount_of_bag, "PERSISTENCE_S", persistence_s)
        with open_bag(bag) as opened:
            mounts, _ = mount_of_bag.camera_mounts(opened, default_map(), load_perception(f"random:{TINY}:3"))
        return float(mounts[0].found.sigma.max())

    assert sigma(1000.0) > 2 * sigma(10.0)


def test_bags_that_do_not_tell_are_refused_in_a_sentence(
    tmp_path: Path, detections: None, capsys: pytest.CaptureFixture[str]
) -> None:
    few = make_bag(tmp_path / "few", frames=1)
    with open_bag(few) as opened:
        mounts, _ = mount_of_bag.camera_mounts(opened, default_map(), load_perception(f"random:{TINY}:3"))
    assert all("common objects" in m.problem for m in mounts)
    topics = tmp_path / "one.yaml"
    topics.write_text(
        "uavs: [uav1]\n"
        "uav: {cameras: {camera: {image: '/{uav}/camera/image_raw', info: '/{uav}/camera/camera_info'}}, "
        "pose: '/{uav}/pose'}\n"
    )
    words = ["calibrate", "mount", str(few), "--map", str(topics), "--model", f"random:{TINY}:3"]
    assert cli.main(words) == 2 and "two UAVs or more" in capsys.readouterr().err
