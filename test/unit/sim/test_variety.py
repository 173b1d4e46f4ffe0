"""Seasons, natural textures, vehicle bodies, distractors: other images, the same exact truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.geometry.camera import viewing_rays
from rsdfm_ros.sim.appearance import draw_appearance
from rsdfm_ros.sim.config import (
    SEASONS,
    STYLES,
    TEXTURES,
    ConfigError,
    FlightConfig,
    SimConfig,
    WorldConfig,
)
from rsdfm_ros.sim.dataset.world_options import parse
from rsdfm_ros.sim.draw import draw_world
from rsdfm_ros.sim.ground import paint_ground
from rsdfm_ros.sim.population import populate
from rsdfm_ros.sim.styles import make_plan
from rsdfm_ros.sim.variety.bodies import BODIES, varied, vehicle_parts
from rsdfm_ros.sim.variety.distractors import TALLEST_M, with_distractors
from rsdfm_ros.sim.variety.seasons import season_ground, season_of
from rsdfm_ros.sim.variety.textures import fractal, natural_ground, natural_roof, road_mask
from rsdfm_ros.sim.vehicles import make_vehicle
from rsdfm_ros.sim.world import World

SMALL = SimConfig(width_px=240, height_px=136, max_frames=4)
ALL = WorldConfig(style="suburb", season="winter", textures="natural", bodies="varied", distractors=(12, 12))


def frame(world: WorldConfig, seed: int = 5, k: int = 2) -> WorldFrame:
    with World(seed, 2, replace(SMALL, world=world)) as w:
        return w.frame(k, depth=True, ids=True)


@pytest.fixture(scope="module")
def usual() -> WorldFrame:
    return frame(WorldConfig(style="suburb"))


@pytest.mark.parametrize("change", [{"season": "autumn"}, {"season": "winter"}, {"textures": "natural"}])
def test_seasons_and_textures_change_images_and_nothing_else(
    usual: WorldFrame, change: dict[str, str]
) -> None:
    other = frame(WorldConfig(style="suburb", **change))  # type: ignore[arg-type]
    for a, b in zip(usual.views, other.views, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() > 1.5
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(usual.objects.centres, other.objects.centres)
    np.testing.assert_array_equal(usual.objects.visibility, other.objects.visibility)


def test_a_seed_gives_the_same_images_again() -> None:
    first, again = frame(ALL), frame(ALL)
    for a, b in zip(first.views, again.views, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def test_every_pixel_of_a_vehicle_lies_in_its_box() -> None:
    """The places that pixels with an id show, from the depth, in the frame of the box of that id."""
    seen = 0
    for seed in (5, 6):
        made = frame(replace(ALL, vehicles=(60, 60)), seed)
        objects = made.objects
        for view in made.views:
            assert view.depth is not None and view.ids is not None
            h, w = view.depth.shape
            pixels = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1)
            points = view.T_map_camera[:3, 3] + view.depth[..., None] * viewing_rays(
                pixels, view.K, view.T_map_camera
            )
            for n, number in enumerate(objects.ids):
                p = points[view.ids == number] - objects.centres[n]
                if not len(p):
                    continue
                c, s = math.cos(objects.yaws[n]), math.sin(objects.yaws[n])
                inside = np.column_stack([p[:, 0] * c + p[:, 1] * s, p[:, 1] * c - p[:, 0] * s, p[:, 2]])
                assert (np.abs(inside) < 0.5 * objects.sizes[n] + 0.25).all()
                seen += 1
    assert seen > 40


def test_standard_worlds_are_drawn_as_before() -> None:
    """Draws of worlds that are mixed in everything that there was before, recorded then."""
    config = WorldConfig(
        style="mixed", weather="mixed", terrain="mixed", vehicles=(20, 80), turn_deg=(0, 360)
    )
    draw = draw_world(7, config)
    assert (draw.style, draw.weather, draw.terrain) == ("highway", "haze", "steps")
    assert draw.words == {"style": "highway", "weather": "haze", "terrain": "steps"}
    assert (draw.season, draw.textures, draw.distractors) == ("summer", "plain", 0)
    layout = make_plan(3, "block")
    assert with_distractors(layout, 0, 3) == (layout, ())
    look = draw_appearance(3)
    assert season_of(look, "summer", 3) is look
    image, land = paint_ground(layout, 3)
    assert season_ground(image, land, layout, "summer", 3)[0] is image


def test_mixed_draws_every_season_and_texture_and_notes_them() -> None:
    config = WorldConfig(season="mixed", textures="mixed", distractors=(2, 9))
    draws = [draw_world(seed, config) for seed in range(40)]
    assert {d.season for d in draws} == set(SEASONS) and {d.textures for d in draws} == set(TEXTURES)
    numbers = {d.distractors for d in draws}
    assert numbers <= set(range(2, 10)) and len(numbers) > 5
    for d in draws:
        assert d.words.get("season", "summer") == d.season
        assert d.words.get("textures", "plain") == d.textures


def test_options_of_the_command_line_reach_the_world() -> None:
    given_ = {"season": "winter", "textures": "natural", "bodies": "varied", "distractors": "3:8"}
    world = parse(given_).world
    assert (world.season, world.textures, world.bodies, world.distractors) == (
        "winter",
        "natural",
        "varied",
        (3, 8),
    )
    for name in ("season", "textures", "bodies"):
        with pytest.raises(ConfigError, match=f"unknown {name} 'x'"):
            parse({name: "x"})
    with pytest.raises(ConfigError, match="distractors"):
        parse({"distractors": "50"})


NAMES = [(kind, name) for kind, known in BODIES.items() for name in known]


@given(st.sampled_from(NAMES), st.floats(0, 1), st.integers(0, 1000))
@settings(max_examples=120, deadline=None)
def test_the_boxes_of_a_body_fill_its_bounding_box(of: tuple[int, str], shape: float, seed: int) -> None:
    kind, name = of
    v = make_vehicle(np.random.default_rng(seed), kind)
    size = tuple(s * k for s, k in zip(v.size, BODIES[kind][name].scale, strict=True))
    boxes = vehicle_parts(replace(v, size=size, shape=shape, body=name))  # type: ignore[arg-type]
    low = np.array([p.low for p in boxes])
    high = np.array([p.high for p in boxes])
    assert (low < high).all() and len(boxes) > 6
    half = 0.5 * np.array(size)
    np.testing.assert_allclose(low.min(0), [-half[0], -half[1], 0], atol=1e-6)
    np.testing.assert_allclose(high.max(0), [half[0], half[1], size[2]], atol=1e-6)


def test_varied_vehicles_keep_their_class_and_fit_their_places() -> None:
    rng = np.random.default_rng(0)
    names: set[str] = set()
    for n in range(400):
        v = make_vehicle(rng, n % 4)
        other = varied(v, rng, v.size[0] + 0.3)
        assert other.kind == v.kind and other.body in BODIES[v.kind]
        assert other.size[0] <= v.size[0] + 0.3 + 1e-9
        names.add(other.body)
    assert names == {name for _, name in NAMES}
    layout = make_plan(4, "carpark")
    config = replace(SMALL, world=WorldConfig(style="carpark", bodies="varied"))
    p = populate(layout, 4, config)
    assert all(v.body in BODIES[v.kind] for v in p.specs) and len({v.body for v in p.specs}) > 8


@pytest.mark.parametrize("style", STYLES)
def test_distractors_stand_clear_of_roads_buildings_places_and_ways(style: str) -> None:
    layout = make_plan(11, style)
    made, tall = with_distractors(layout, 20, 11)
    things = made.clutter[len(layout.clutter) :]
    assert things or style == "oldtown"  # which has no room
    assert made.buildings == layout.buildings and made.streets == layout.streets
    assert max((c.z_m + c.height_m for c in things), default=0) <= TALLEST_M + 1.0
    assert all(c.z_m + c.height_m > 8 for c in tall)
    for c in things:
        if c.z_m > 4.5:  # jibs may reach over anything
            continue
        for x0, y0, x1, y1 in [*layout.road_rectangles(), *(b.footprint for b in layout.buildings)]:
            assert not (x0 < c.x < x1 and y0 < c.y < y1)
        for p in layout.places:
            assert math.hypot(c.x - p.x, c.y - p.y) > 0.5 * p.length_m
        for way in layout.walks:
            (ax, ay), (bx, by) = way.start, way.end
            length = math.dist(way.start, way.end)
            t = min(max(((c.x - ax) * (bx - ax) + (c.y - ay) * (by - ay)) / length**2, 0), 1)
            assert math.hypot(c.x - ax - t * (bx - ax), c.y - ay - t * (by - ay)) > 0.5


def test_flights_that_are_asked_for_keep_clear_of_cranes() -> None:
    world = WorldConfig(distractors=(30, 30))
    flight = FlightConfig(altitude_m=(20, 20), spread_m=40.0)
    checked = 0
    for seed in range(4):
        _, tall = with_distractors(make_plan(seed, "block"), 30, seed)
        with World(seed, 4, replace(SMALL, world=world, flight=flight)) as w:
            for k in range(4):
                for T in w.poses(k):
                    for c in tall:
                        near = math.hypot(T[0, 3] - c.x, T[1, 3] - c.y) < 0.5 * c.length_m + 5
                        assert not (near and T[2, 3] < c.z_m + c.height_m + 5)
                        checked += 1
    assert checked > 100


@pytest.mark.parametrize("tiles", [False, True])
def test_noise_of_textures_has_the_spectrum_of_natural_images(tiles: bool) -> None:
    noise = fractal(np.random.default_rng(1), 512, tiles=tiles).astype(np.float64)
    assert abs(noise.mean()) < 0.05 and noise.std() == pytest.approx(1, abs=0.05)
    window = 1.0 if tiles else np.hanning(512)[:, None] * np.hanning(512)
    power = np.abs(np.fft.fft2(noise * window)) ** 2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(512, 1 / 512), np.fft.fftfreq(512, 1 / 512)))
    bands = [(4, 8), (8, 16), (16, 32), (32, 64), (64, 128)]
    mean = [np.log(power[(f >= a) & (f < b)].mean()) for a, b in bands]
    slope = np.polyfit(np.log([a for a, _ in bands]), mean, 1)[0]
    assert -2.5 < slope < -1.5  # power as 1/f²


def test_textures_that_tile_have_no_seam() -> None:
    noise = fractal(np.random.default_rng(2), 256, tiles=True)
    inner = np.abs(np.diff(noise, axis=1)).mean()
    assert np.abs(noise[:, 0] - noise[:, -1]).mean() < 1.4 * inner
    assert np.abs(noise[0] - noise[-1]).mean() < 1.4 * inner
    tone = np.array([0.5, 0.4, 0.3])
    roof = natural_roof(tone, np.random.default_rng(3))
    assert roof.shape == (512, 512, 3) and np.abs(roof.mean((0, 1)) / 255 - tone).max() < 0.12


def test_winter_is_white_and_its_roads_are_cleared_and_autumn_is_not_green() -> None:
    layout = make_plan(5, "suburb")
    image, land = paint_ground(layout, 5)
    road = road_mask(len(image), layout) > 0
    white, white_land = season_ground(image, land, layout, "winter", 5)
    assert white[~road].mean() > image[~road].mean() + 50 and min(white_land) > 180
    assert white[road].mean() < white[~road].mean() - 30
    dry, _ = season_ground(image, land, layout, "autumn", 5)
    green = (image[..., 1] > image[..., 0].astype(int) + 10) & ~road
    assert (dry[green].astype(int)[:, 1] - dry[green][:, 0]).mean() < 5
    autumn, winter = (season_of(draw_appearance(5), name, 5).leaves for name in ("autumn", "winter"))
    assert all(rgb[1] < rgb[0] for rgb in autumn) and all(np.ptp(rgb) < 0.2 for rgb in winter)


def test_natural_ground_keeps_colours_and_adds_detail() -> None:
    layout = make_plan(5, "block")
    image, _ = paint_ground(layout, 5)
    natural = natural_ground(image, layout, 5)
    assert np.abs(natural.mean((0, 1)) - image.mean((0, 1))).max() < 15
    road = road_mask(len(image), layout) > 0
    assert natural[road].std() != image[road].std()
    painted = road & (image.min(-1) > 180)
    assert natural[painted].mean() < image[painted].mean() - 10  # worn
