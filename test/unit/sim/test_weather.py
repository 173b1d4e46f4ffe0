"""Images of other styles, weathers and cameras against their ground truth."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.sim.camera.sensor import motion_blur, noise
from rsdfm_ros.sim.config import WEATHERS, FlightConfig, Range, SimConfig, WorldConfig
from rsdfm_ros.sim.world import World

SMALL = SimConfig(width_px=160, height_px=90, max_frames=6)
VARIED = WorldConfig(
    style="mixed",
    weather="mixed",
    vehicles=(40, 80),
    people=(10, 10),
    turn_deg=(0, 360),
    blur_ms=(5, 15),
    noise=(0.5, 1),
)
_PIXELS = """
import hashlib
from rsdfm_ros.sim.config import SimConfig, WorldConfig
from rsdfm_ros.sim.world import World
config = SimConfig(width_px=160, height_px=90, max_frames=6, world=WorldConfig(
    style="mixed", weather="mixed", vehicles=(40, 80), people=(10, 10), turn_deg=(0, 360), blur_ms=(5, 15),
    noise=(0.5, 1)))
with World(14, uavs=1, config=config) as world:
    print(hashlib.sha256(world.frame(2).views[0].image.tobytes()).hexdigest())
"""


def images(weather: str, seed: int = 3) -> WorldFrame:
    config = replace(SMALL, world=WorldConfig(style="oldtown", weather=weather))
    with World(seed, 2, config) as world:
        return world.frame(4, depth=True, ids=True)


@pytest.fixture(scope="module")
def frames() -> dict[str, WorldFrame]:
    return {weather: images(weather) for weather in WEATHERS}


def test_weather_changes_pictures_and_nothing_else(frames: dict[str, WorldFrame]) -> None:
    clear = frames["clear"]
    for weather, frame in frames.items():
        if weather == "clear":
            continue
        for a, b in zip(clear.views, frame.views, strict=True):
            assert np.abs(a.image.astype(int) - b.image).mean() > 8, weather
            np.testing.assert_array_equal(a.T_map_camera, b.T_map_camera)
            np.testing.assert_array_equal(a.ids, b.ids)
            np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(clear.objects.centres, frame.objects.centres)
        np.testing.assert_array_equal(clear.objects.visibility, frame.objects.visibility)


def test_haze_takes_contrast_from_what_is_far(frames: dict[str, WorldFrame]) -> None:
    for clear, haze in zip(frames["clear"].views, frames["haze"].views, strict=True):
        assert clear.depth is not None
        middle = float(np.median(clear.depth))
        ratio = [
            float(haze.image[part].std() / clear.image[part].std())
            for part in (clear.depth < middle, clear.depth >= middle)
        ]
        assert ratio[1] < ratio[0] < 1.0


def test_the_night_is_dark_but_for_its_lamps(frames: dict[str, WorldFrame]) -> None:
    for clear, night in zip(frames["clear"].views, frames["night"].views, strict=True):
        assert night.image.mean() < 0.6 * clear.image.mean()
        assert np.percentile(night.image, 99) > 3 * night.image.mean()


@pytest.fixture(scope="module", params=[("carpark", "night"), ("suburb", "low-sun"), ("rural", "haze")])
def varied(request: pytest.FixtureRequest) -> Iterator[tuple[World, WorldFrame]]:
    style, weather = request.param
    world = WorldConfig(style=style, weather=weather, people=(20, 20), turn_deg=(33, 33), vehicles=(60, 60))
    flight = FlightConfig(altitude_m=(25, 60), pitch_deg=(35, 60), motion="lively")
    with World(9005, 3, SimConfig(max_frames=6, fov_deg=(60, 90), world=world, flight=flight)) as w:
        yield w, w.frame(5, depth=True, ids=True)


def test_boxes_project_onto_the_pixels_of_their_vehicles(varied: tuple[World, WorldFrame]) -> None:
    o = varied[1].objects
    corners, errors = box_corners(o.centres, o.sizes, o.yaws), []
    for a, view in enumerate(varied[1].views):
        assert view.ids is not None
        for n, (p, far) in enumerate(zip(*project(corners, view.K, view.T_map_camera), strict=True)):
            low, high = p.min(0), p.max(0)
            outside = low[0] < 2 or low[1] < 2 or high[0] > 478 or high[1] > 268 or far.min() < 1
            if outside or o.visibility[n, a] < 0.85 or high[0] - low[0] < 8:
                continue
            v, u = np.nonzero(view.ids == o.ids[n])
            errors.append([u.min() - low[0], v.min() - low[1], high[0] - u.max() - 1, high[1] - v.max() - 1])
    inset = np.array(errors)
    assert len(inset) > 8 and inset.min() > -1.6
    assert np.median(inset, axis=0).max() < 2.2, "boxes fit tightly"


def test_depth_unprojects_into_the_boxes(varied: tuple[World, WorldFrame]) -> None:
    o, checked = varied[1].objects, 0
    for view in varied[1].views:
        assert view.depth is not None and view.ids is not None
        v, u = np.mgrid[0:270, 0:480] + 0.5
        f = view.K[0, 0]
        rays = np.stack([(u - view.K[0, 2]) / f, (v - view.K[1, 2]) / f, np.ones_like(u)], -1)
        points = (rays * view.depth[..., None]) @ view.T_map_camera[:3, :3].T + view.T_map_camera[:3, 3]
        for n in range(len(o)):
            mask = view.ids == o.ids[n]
            if mask.sum() < 30:
                continue
            c, s = np.cos(o.yaws[n]), np.sin(o.yaws[n])
            local = (points[mask] - o.centres[n]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
            assert np.all(np.abs(local) < 0.5 * o.sizes[n] + 0.25)
            checked += 1
    assert checked > 10


def test_the_same_seed_gives_the_same_varied_pixels_in_another_process() -> None:
    with World(14, uavs=1, config=replace(SMALL, world=VARIED)) as w:
        w.frame(5)
        here = hashlib.sha256(w.frame(2).views[0].image.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", _PIXELS], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_people_are_seen_but_are_no_objects() -> None:
    def frame(people: Range) -> WorldFrame:
        config = SimConfig(
            max_frames=2, flight=FlightConfig(altitude_m=(30, 30)), world=WorldConfig(people=people)
        )
        with World(5, 2, config) as world:
            return world.frame(1, ids=True)

    none, many = frame((0, 0)), frame((60, 60))
    np.testing.assert_array_equal(none.objects.centres, many.objects.centres)
    differ = [
        np.abs(a.image.astype(int) - b.image).max(-1) > 30
        for a, b in zip(none.views, many.views, strict=True)
    ]
    assert sum(int(d.sum()) for d in differ) > 60


def test_a_camera_at_rest_blurs_nothing_and_a_turning_one_smears_along_its_path() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[30, 40] = 255
    depth = np.full((60, 80), 50.0, np.float32)
    K = np.array([[60.0, 0, 40], [0, 60.0, 30], [0, 0, 1]])
    still = np.zeros((60, 80, 3), np.float32)
    np.testing.assert_array_equal(motion_blur(image, depth, K, np.eye(4), still), image)
    yaw, T = 0.1, np.eye(4)
    T[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    smeared = motion_blur(image, depth, K, T, still)[..., 0]
    v, u = np.nonzero(smeared > 5)
    assert set(v) <= {29, 30, 31} and 5 <= np.ptp(u) <= 9, "six pixels of turn, level"
    moved = still.copy()
    moved[28:33, 35:46, 1] = 5.0  # six pixels down, whatever shows there
    v, u = np.nonzero(motion_blur(image, depth, K, np.eye(4), moved)[..., 0] > 5)
    assert set(u) == {40} and np.ptp(v) >= 3


def test_noise_grows_with_its_strength_and_with_brightness() -> None:
    grey = np.full((200, 200, 3), 60, np.uint8)
    bright = np.full((200, 200, 3), 200, np.uint8)

    def spread(image: np.ndarray, strength: float) -> float:
        return float(noise(image, strength, np.random.default_rng(0)).astype(float).std())

    assert spread(grey, 0.5) < spread(grey, 1.0) < spread(bright, 1.0) < 6
    assert abs(noise(grey, 1.0, np.random.default_rng(0)).mean() - 60) < 0.2
