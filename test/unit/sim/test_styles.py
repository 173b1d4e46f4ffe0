"""Plans, traffic and people of every style of the simulated world, without rendering."""

import math
from dataclasses import replace

import numpy as np
import pytest
from shapely import STRtree
from shapely.affinity import rotate, translate
from shapely.geometry import Point, Polygon, box

from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.sim.appearance import CLUTTER_COLOURS, draw_appearance
from rsdfm_ros.sim.config import (
    CORE_M,
    HELD_OUT_STYLES,
    STYLES,
    WEATHERS,
    ConfigError,
    SimConfig,
    WorldConfig,
)
from rsdfm_ros.sim.draw import draw_world
from rsdfm_ros.sim.facades import FACADE_PX
from rsdfm_ros.sim.lanes import lane_graph
from rsdfm_ros.sim.people import draw_people
from rsdfm_ros.sim.plan import Clutter, Layout, Road
from rsdfm_ros.sim.population import Population, populate
from rsdfm_ros.sim.styles import make_plan
from rsdfm_ros.sim.styles.kit import walks
from rsdfm_ros.sim.traffic import HARDEST_BRAKING, MAX_ACCELERATION

OTHERS = [s for s in STYLES if s != "block"]
CONFIG = SimConfig(max_frames=24)
Mission = tuple[str, Layout, Population]


@pytest.fixture(
    scope="module", params=[(s, seed) for s in OTHERS for seed in (1, 2)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def mission(request: pytest.FixtureRequest) -> Mission:
    style, seed = request.param
    layout = make_plan(seed, style)
    return style, layout, populate(layout, seed, CONFIG, 90)


def footprints(p: Population, k: int) -> list[Polygon]:
    index = np.flatnonzero(p.ids[k] > 0)
    sizes = np.array([p.specs[i].size for i in index])
    centres = np.column_stack([p.poses[k, index, :2], 0.5 * sizes[:, 2]])
    return [Polygon(c[[0, 2, 6, 4], :2]) for c in box_corners(centres, sizes, p.poses[k, index, 2])]


def shape(c: Clutter) -> Polygon:
    if c.drum:
        return Point(c.x, c.y).buffer(0.5 * c.width_m)
    flat = box(-0.5 * c.length_m, -0.5 * c.width_m, 0.5 * c.length_m, 0.5 * c.width_m)
    return translate(rotate(flat, c.yaw, origin=(0, 0), use_radians=True), c.x, c.y)


def test_vehicles_touch_neither_each_other_nor_anything_that_stands(mission: Mission) -> None:
    _, layout, p = mission
    solid = [box(*b.footprint) for b in layout.buildings]
    solid += [box(t.x - 0.15, t.y - 0.15, t.x + 0.15, t.y + 0.15) for t in layout.trees]
    solid += [shape(c) for c in layout.clutter if c.z_m < 3.5]
    standing = STRtree(solid)
    for k in range(0, CONFIG.max_frames, 3):
        shapes = footprints(p, k)
        a, b = STRtree(shapes).query(shapes, predicate="intersects")
        assert not [(i, j) for i, j in zip(a, b, strict=True) if i < j], f"frame {k}"
        assert standing.query(shapes, predicate="intersects").shape[1] == 0, f"frame {k}"


def test_moving_vehicles_stay_on_the_roads_and_within_their_limits(mission: Mission) -> None:
    _, layout, p = mission
    roads = np.array(layout.road_rectangles())
    xy = p.poses[:, p.parked :, :2][p.ids[:, p.parked :] > 0]
    assert ((xy[:, None] > roads[None, :, :2]) & (xy[:, None] < roads[None, :, 2:])).all(-1).any(-1).all()
    speed = np.linalg.norm(p.velocities, axis=-1)
    assert speed.max() <= 12.1 * max(s.road.pace for s in layout.streets)
    same = (p.ids[1:] == p.ids[:-1]) & (p.ids[1:] > 0)
    change = (np.diff(speed, axis=0) * CONFIG.frame_rate_hz)[same]
    assert change.max() <= MAX_ACCELERATION + 0.1 and change.min() >= -HARDEST_BRAKING - 0.1


def test_nothing_appears_or_vanishes_near_the_middle(mission: Mission) -> None:
    p = mission[2]
    far = np.abs(p.poses[..., :2]).max(-1) > 70.0
    assert far[1:][(p.ids[1:] != p.ids[:-1]) & (p.ids[1:] > 0)].all()


def test_vehicles_follow_their_lanes(mission: Mission) -> None:
    _, layout, p = mission
    speed = np.linalg.norm(p.velocities, axis=-1)
    moving = (speed > 0.5) & (p.ids > 0)
    course = np.arctan2(p.velocities[..., 1], p.velocities[..., 0])[moving]
    assert np.abs((course - p.poses[..., 2][moving] + math.pi) % (2 * math.pi) - math.pi).max() < 0.12
    for e in lane_graph(layout):
        assert e.length_m > 0
        assert e.is_movement or e.node is None or e.outgoing, "a lane must lead somewhere"


def test_what_is_drawn_can_be_drawn(mission: Mission) -> None:
    style, layout, _ = mission
    assert {c.colour for c in layout.clutter} <= set(CLUTTER_COLOURS)
    assert all(f.shape == (FACADE_PX, FACADE_PX, 3) for f in draw_appearance(1, layout.palette).facades)
    assert all(b.footprint[2] > b.footprint[0] and b.footprint[3] > b.footprint[1] for b in layout.buildings)
    assert max((b.top_m for b in layout.buildings), default=0) < 29, "standard flights pass above"
    assert style == "rural" or len(layout.buildings) > 0


@pytest.mark.parametrize("style", OTHERS)
def test_a_plan_is_a_function_of_seed_and_style(style: str) -> None:
    assert make_plan(7, style) == make_plan(7, style)
    assert make_plan(7, style) != make_plan(8, style)


def in_core(p: Population) -> int:
    return int(((np.abs(p.poses[0, :, :2]).max(-1) < CORE_M) & (p.ids[0] > 0)).sum())


@pytest.mark.parametrize("style", STYLES)
def test_the_number_of_vehicles_follows_what_is_asked(style: str) -> None:
    one = SimConfig(max_frames=1)
    plans = [make_plan(seed, style) for seed in range(4)]
    means = [
        np.mean([in_core(populate(plan, seed, one, n)) for seed, plan in enumerate(plans)])
        for n in (10, 40, 120)
    ]
    assert 4 <= means[0] <= 18
    assert means[1] > 1.6 * means[0]
    assert means[2] > (1.0 if style == "rural" else 1.1) * means[1], "the country has room for few"
    if style in ("block", "carpark"):
        assert means[2] > 85


def test_several_lanes_cannot_cross() -> None:
    layout = make_plan(1, "oldtown")
    wide = tuple(replace(s, road=Road(lanes=2, half_width_m=9)) for s in layout.streets)
    with pytest.raises(ValueError, match="several lanes"):
        lane_graph(replace(layout, streets=wide))


def test_mixed_draws_every_style_and_weather_but_the_held_out() -> None:
    draws = [
        draw_world(seed, WorldConfig(style="mixed", weather="mixed", vehicles=(10, 120)))
        for seed in range(200)
    ]
    assert {d.style for d in draws} == set(STYLES) - set(HELD_OUT_STYLES)
    assert {d.weather for d in draws} == set(WEATHERS)
    counts = [d.vehicles for d in draws if d.vehicles is not None]
    assert min(counts) < 20 and max(counts) > 110
    assert draws[5] == draw_world(5, WorldConfig(style="mixed", weather="mixed", vehicles=(10, 120)))
    named = draw_world(5, WorldConfig(style="industrial", weather="mixed"))
    assert (named.style, named.weather) == ("industrial", draws[5].weather), (
        "one choice does not change another"
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"style": "moon"},
        {"weather": "hail"},
        {"vehicles": (5.0, 900.0)},
        {"people": (3.0, 1.0)},
        {"noise": (0.0, 9.0)},
    ],
)
def test_worlds_that_do_not_exist_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        WorldConfig(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("style", [s for s in STYLES if s != "rural"])
def test_people_walk_beside_the_lanes(style: str) -> None:
    layout = make_plan(3, style)
    people = draw_people(layout.walks or walks(layout.streets), 30, 3)
    assert len(people) == 30
    lanes = [s.rectangle(0.5 * s.road.median_m + s.road.lanes * s.road.lane_m) for s in layout.streets]
    for person in people:
        steps = np.array([person.pose(t)[:2] for t in np.arange(0, 60, 0.5)])
        assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 6.5 * 0.5 + 0.8
        if style != "carpark":
            assert not any(((steps > r[:2]) & (steps < r[2:])).all(1).any() for r in lanes)


def test_a_turned_population_is_the_same_seen_from_a_turned_frame() -> None:
    p = populate(make_plan(4), 4, SimConfig(max_frames=3))
    angle = 0.7
    q = p.turned(angle)
    R = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    np.testing.assert_allclose(q.poses[..., :2], np.einsum("ij,kvj->kvi", R, p.poses[..., :2]), atol=1e-9)
    np.testing.assert_allclose(q.velocities, np.einsum("ij,kvj->kvi", R, p.velocities), atol=1e-9)
    np.testing.assert_allclose(q.poses[..., 2] - p.poses[..., 2], angle)
    assert p.turned(0.0) is p
