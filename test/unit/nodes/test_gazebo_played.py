"""The stand-in for Gazebo shows what Gazebo would: traffic that moves in the world as written, and none in a world
whose scripts do not loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros.sim.gazebo.world import make_scene
from rsdfm_ros.sim.gazebo.write import write_world
from rsdfm_ros.sim.world import World
from support.gazebo_files import agents
from support.played_scene import PlayedScene

SEED, START_MS, FRAME_MS = 9001, 1000, 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gazebo")
    write_world(folder, make_scene(SEED, agents(1), 12, START_MS / 1000), ground_px=64)
    return folder


@pytest.fixture(scope="module")
def right() -> Iterator[World]:
    with World(SEED, 1) as world:
        yield world


def images(sdf: Path, world: World, *frames: int) -> list[np.ndarray]:
    """Images of the first UAV from its pose at frame 0, at the times of these frames."""
    scene = PlayedScene(sdf)
    try:
        return [scene.frame(START_MS + k * FRAME_MS, world.poses(0)).views[0].image for k in frames]
    finally:
        scene.close()


def test_the_traffic_of_the_written_world_is_the_simulators_at_every_frame(
    folder: Path, right: World
) -> None:
    scene = PlayedScene(folder / "world.sdf")
    assert max(scene.off_m(START_MS + k * FRAME_MS) for k in range(16)) < 2e-3
    scene.close()
    for k, seen in zip((0, 10), images(folder / "world.sdf", right, 0, 10), strict=True):
        expected = right.frame(k, poses=right.poses(0)).views[0].image
        differing = np.abs(seen.astype(int) - expected.astype(int)).max(-1) > 8
        assert differing.mean() < 2e-3, "vehicles stand within a millimetre"


def test_a_world_whose_scripts_do_not_loop_stands_still_in_every_image(
    folder: Path, right: World, tmp_path: Path
) -> None:
    text = (folder / "world.sdf").read_text()
    (tmp_path / "still.sdf").write_text(text.replace("<loop>true</loop>", "<loop>false</loop>"))
    before, after = images(tmp_path / "still.sdf", right, 0, 10)
    np.testing.assert_array_equal(before, after)
    before, after = images(folder / "world.sdf", right, 0, 10)
    assert (np.abs(before.astype(int) - after.astype(int)).max(-1) > 8).mean() > 5e-3
