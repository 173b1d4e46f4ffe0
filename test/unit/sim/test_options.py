"""Cameras and flights by configuration, and how the configuration is recorded and given on the command line."""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation import scenes
from rsdfm_ros.evaluation.commands import evaluate as command
from rsdfm_ros.evaluation.commands.request import asked_protocol, asked_scenes, check_options
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.live import LiveWorld
from rsdfm_ros.evaluation.scenes import open_scenes, simulated_as
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import ConfigError, FlightConfig, SimConfig, WorldConfig, draw_cameras
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.sim.dataset.render import PARAMETERS_FILE
from rsdfm_ros.sim.dataset.simulate_command import add_arguments, run
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.record import changes, from_record, to_record
from rsdfm_ros.sim.world import CLEARANCE_M, World

LOW = FlightConfig(altitude_m=(20, 100), pitch_deg=(30, 70), motion="lively", spread_m=25)


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    world_options.add_arguments(parser)
    return parser.parse_args(words)


def pairs(low: float, high: float) -> st.SearchStrategy[tuple[float, float] | None]:
    number = st.floats(low, high)
    return st.none() | st.tuples(number, number).map(lambda p: (min(p), max(p)))


@given(
    pairs(15, 150), pairs(20, 85), pairs(20, 130), st.integers(32, 4096), st.sampled_from(["calm", "lively"])
)
def test_a_configuration_comes_back_from_its_record(
    altitude: tuple[float, float],
    pitch: tuple[float, float],
    fov: tuple[float, float],
    width: int,
    motion: str,
) -> None:
    config = SimConfig(width_px=width, fov_deg=fov, flight=FlightConfig(altitude, pitch, motion))
    assert from_record(json.loads(json.dumps(to_record(config)))) == config


def test_the_record_of_the_standard_world_is_what_earlier_versions_wrote() -> None:
    assert to_record(SimConfig()) == {
        "width_px": 480, "height_px": 270, "horizontal_fov_rad": math.radians(75.0), "frame_rate_hz": 2.0,
        "max_frames": 128, "label_extent_m": 100.0, "samples": 4,
    }  # fmt: skip
    assert changes(SimConfig()) == {} and from_record({}) == SimConfig()
    assert changes(SimConfig(flight=LOW)) == {
        "flight": {"altitude_m": [20, 100], "pitch_deg": [30, 70], "motion": "lively", "spread_m": 25}
    }


@pytest.mark.parametrize(
    "record", [{"wind": 3}, {"flight": {"wind": 3}}, {"flight": 3}, {"fov_deg": [1, 2, 3]}]
)
def test_a_record_of_another_version_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"camera\.(wind|flight|fov_deg)"):
        from_record(record)


@pytest.mark.parametrize("motion", ["calm", "lively"])
@pytest.mark.parametrize("altitude", [(20.0, 100.0), (50.0, 50.0), (95.0, 97.0)])
@pytest.mark.parametrize("pitch", [(30.0, 70.0), (45.0, 45.0)])
def test_flights_keep_the_limits_that_are_given(
    motion: str, altitude: tuple[float, float], pitch: tuple[float, float]
) -> None:
    config = FlightConfig(altitude, pitch, motion, spread_m=30)
    for f in make_flights(3, 8, config):
        poses = np.array([f.T_map_camera(t) for t in np.arange(0, 64, 0.1)])
        z, down = poses[:, 2, 3], np.degrees(np.arcsin(-poses[:, 2, 2]))
        assert z.min() >= altitude[0] - 1e-9 and z.max() <= altitude[1] + 1e-9
        assert down.min() >= pitch[0] - 1e-6 and down.max() <= pitch[1] + 1e-6


def test_lively_flights_are_faster_and_turn_more() -> None:
    def motion(name: str) -> tuple[float, float]:
        speeds, turns = [], []
        for seed in range(6):
            for f in make_flights(seed, 4, FlightConfig(motion=name)):
                poses = np.array([f.T_map_camera(t) for t in np.arange(0, 60, 0.1)])
                speeds.append(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).max() * 10)
                yaw = np.unwrap(np.arctan2(poses[:, 1, 2], poses[:, 0, 2]))
                turns.append(np.abs(np.diff(yaw)).max() * 10)
        return float(np.mean(speeds)), float(np.mean(turns))

    calm, lively = motion("calm"), motion("lively")
    assert lively[0] > 2 * calm[0] and lively[1] > 2 * calm[1]


def test_points_of_regard_spread_as_far_as_asked() -> None:
    def reach(spread: float) -> float:
        flights = [f for seed in range(8) for f in make_flights(seed, 4, FlightConfig(spread_m=spread))]
        return max(abs(t) for f in flights for t in f.target)

    assert 40 < reach(50) <= 50 and reach(0) == 0


@pytest.mark.parametrize("style", ["block", "oldtown"])
def test_low_flights_keep_clear_of_buildings(style: str) -> None:
    flight = FlightConfig(altitude_m=(19, 21))
    low = SimConfig(width_px=64, height_px=36, max_frames=120, flight=flight, world=WorldConfig(style=style))
    world = World(1, 3, low)
    for k in range(0, 120, 3):
        for T in world.poses(k):
            x, y, z = T[:3, 3]
            for b in world.layout().buildings:
                dx = max(b.footprint[0] - x, x - b.footprint[2], 0.0)
                dy = max(b.footprint[1] - y, y - b.footprint[3], 0.0)
                assert z > b.top_m or math.hypot(dx, dy) >= CLEARANCE_M - 0.1


def test_every_camera_draws_its_own_field_of_view() -> None:
    config = SimConfig(width_px=64, height_px=48, max_frames=2, fov_deg=(50, 100), flight=LOW)
    fovs = [2 * math.degrees(math.atan(32 / c.K[0, 0])) for c in draw_cameras(5, 8, config)]
    assert len(set(fovs)) == 8 and min(fovs) >= 50 and max(fovs) <= 100
    with World(5, 2, config) as world:
        frame = world.frame(1, depth=True)
    for view, camera in zip(frame.views, draw_cameras(5, 2, config), strict=True):
        np.testing.assert_array_equal(view.K, camera.K)
        assert view.image.shape == (48, 64, 3) and view.depth is not None
        v, u = np.mgrid[0:48, 0:64] + 0.5
        f = view.K[0, 0]
        rays = np.stack([(u - 32) / f, (v - 24) / f, np.ones_like(u)], -1)
        points = (rays * view.depth[..., None]) @ view.T_map_camera[:3, :3].T + view.T_map_camera[:3, 3]
        z = points[view.depth > 0][:, 2]
        assert z.min() > -0.4 and np.mean(np.abs(z) < 0.3) > 0.3, "the ground is flat through the right lens"


def test_options_become_a_configuration() -> None:
    args = options(
        "--altitude", "20:100", "--pitch", "45", "--fov", "50:100", "--size", "640x360", "--motion", "lively"
    )
    config = world_options.parse(world_options.given(args))
    assert (config.width_px, config.height_px, config.fov_deg) == (640, 360, (50.0, 100.0))
    assert config.flight == FlightConfig((20.0, 100.0), (45.0, 45.0), "lively")
    assert world_options.parse({}) == SimConfig()
    assert world_options.given(options()) == {}
    assert world_options.slug({}) == ""
    assert (
        world_options.slug(world_options.given(args))
        == "-size640x360-fov50_100-altitude20_100-pitch45-motionlively"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--altitude", "5"], "altitude 5:5 is out of range.*15 to 150 m"),
        (["--altitude", "80:30"], "LOW:HIGH"),
        (["--pitch", "a"], "--pitch a: expected a number, or LOW:HIGH"),
        (["--fov", "1:2:3"], "--fov"),
        (["--fov", "nan"], "fov"),
        (["--size", "640"], "WIDTHxHEIGHT"),
        (["--size", "8x8"], "32 to 4096 px"),
        (["--spread", "x"], "--spread x"),
        (["--motion", "wild"], "calm, lively"),
    ],
)
def test_options_out_of_range_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(RsdfmError, match=message):
        world_options.parse(world_options.given(options(*words)))


def test_a_dataset_says_how_it_was_simulated_and_evaluation_renders_it_alike(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["--out", str(tmp_path / "d"), "--frames", "7", "--uavs", "2", "--jobs", "1", "--size", "96x54"]
    args = parser.parse_args([*words, "--fov", "60:90", "--altitude", "25:35", "--pitch", "50"])
    assert run(args) == 0
    assert json.loads((tmp_path / "d" / PARAMETERS_FILE).read_text())["camera"]["fov_deg"] == [60.0, 90.0]
    config = simulated_as(tmp_path / "d")
    assert config == world_options.parse(world_options.given(args))
    stored = open_dataset(tmp_path / "d").load(0, 3)
    assert stored.views[0].K[0, 0] != stored.views[1].K[0, 0]
    (scene,) = open_scenes(tmp_path / "d", 2)
    earlier = scene.earlier(3, 0.5)
    scene.close()
    assert earlier is not None and earlier.views[0].image.shape == (54, 96, 3)
    before = open_dataset(tmp_path / "d").load(0, 2)
    for a, b in zip(earlier.views, before.views, strict=True):
        np.testing.assert_allclose(a.T_map_camera, b.T_map_camera, atol=1e-9)
        np.testing.assert_allclose(a.K, b.K)
        assert np.abs(a.image.astype(int) - b.image).mean() < 6, "the same image but for JPEG"
    plain = LiveWorld(0, 2)
    with pytest.raises(RsdfmError, match="simulated otherwise"):
        plain.before(stored, 0.1)
    plain.close()


def test_evaluation_simulates_the_world_that_is_asked_for_and_says_so(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "CACHE", tmp_path)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [
        "--scenes",
        "1",
        "--uavs",
        "1",
        "--frames",
        "8",
        "--size",
        "64x48",
        "--style",
        "oldtown",
        "--weather",
        "night",
    ]
    args = parser.parse_args(words)
    found, source = asked_scenes(args)
    folder = tmp_path / "eval-seed9000-uavs1-frames8-size64x48-styleoldtown-weathernight"
    assert source == "simulated" and found[0].dataset.path == folder
    assert simulated_as(folder) == world_options.parse(world_options.given(args))
    protocol = asked_protocol(args, Perception.load(root / "models" / "nano"), found, source, Disturbance())
    written = json.loads(json.dumps(protocol.to_dict()))
    assert written["world"] == {
        "width_px": 64,
        "height_px": 48,
        "world": {"style": "oldtown", "weather": "night"},
    }
    assert (written["styles"], written["weathers"], written["terrains"]) == (["oldtown"], ["night"], ["flat"])
    args.data = folder
    with pytest.raises(RsdfmError, match="--size is for scenes simulated now"):
        check_options(args)
