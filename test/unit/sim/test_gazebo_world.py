"""The Gazebo world is the simulator's scene: vehicles and surfaces read back with nothing but an XML parser."""

from __future__ import annotations

import copy
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.sim.appearance import draw_appearance
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.gazebo.motion import HOLD_MS
from rsdfm_ros.sim.gazebo.vehicles import seconds
from rsdfm_ros.sim.gazebo.world import make_scene, world_sdf
from rsdfm_ros.sim.layout import make_layout
from rsdfm_ros.sim.population import Population, populate
from rsdfm_ros.sim.vehicles import parts
from support.actor_player import Actor, ServerHangs
from support.gazebo_files import (
    FRAMES,
    PERIOD_S,
    SEED,
    START_S,
    agents,
    read_obj,
    text,
    values,
    world_of,
    wrapped,
    written,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("gazebo"))


@pytest.fixture(scope="module")
def world(folder: Path) -> ET.Element:
    return world_of(folder)


@pytest.fixture(scope="module")
def population() -> Population:
    return populate(make_layout(SEED), SEED, SimConfig())


def test_moving_vehicles_are_where_the_traffic_has_them_at_every_frame(
    world: ET.Element, population: Population
) -> None:
    p, moving = population, world.findall("actor")
    assert [a.get("name", "").split("_")[0] for a in moving] == [
        f"vehicle{n}" for n in range(p.parked, len(p.specs))
    ]
    there = 0
    for index, actor in zip(range(p.parked, len(p.specs)), moving, strict=True):
        script = Actor(actor)
        assert script.delay_ms == START_S * 1000
        for k in range(FRAMES + FUTURE_STEPS):
            x, y, z, yaw = script.at(round(1000 * (START_S + k * PERIOD_S)))
            if p.ids[k, index] == 0:
                assert z < -50, "away: below the ground"
                continue
            there += 1
            assert abs(z) < 1e-9
            np.testing.assert_allclose((x, y), p.poses[k, index, :2], atol=1e-3)
            assert abs(wrapped(yaw - p.poses[k, index, 2])) < 1e-4
    assert there > 2000


def test_between_frames_they_stay_close_to_the_traffic(world: ET.Element, population: Population) -> None:
    p = population
    fine = populate(make_layout(SEED), SEED, SimConfig(frame_rate_hz=10.0, max_frames=5 * 40))
    np.testing.assert_array_equal(fine.poses[::5], p.poses[:40])
    inside, ends = [], []
    for index, actor in zip(range(p.parked, len(p.specs)), world.findall("actor"), strict=True):
        script = Actor(actor)
        for k in range(200):
            whole = p.ids[k // 5, index] == p.ids[min(k // 5 + 1, 39), index] == fine.ids[k, index] > 0
            if whole and np.abs(fine.poses[k, index, :2]).max() < 100:
                x, y, z, yaw = script.at(round(1000 * START_S) + 100 * k)
                assert z == 0 and abs(wrapped(yaw - fine.poses[k, index, 2])) < 0.03
                error = math.hypot(x - fine.poses[k, index, 0], y - fine.poses[k, index, 1])
                now = script.delay_ms + 100 * k
                stay = next(e for e in script.trajectories if e.start_ms <= now <= e.end_ms)
                at_end = min(now - stay.start_ms, stay.end_ms - now) < 1000
                (ends if at_end else inside).append(error)
    assert len(inside) > 5000 and len(ends) > 100
    assert np.percentile(inside, 99) < 0.03 and max(inside) < 0.1 and max(ends) < 0.35


def test_headings_never_jump_within_a_stay(world: ET.Element) -> None:
    """gz-sim makes quaternions of them: a jump by a whole turn would change their sign, and spin the vehicle."""
    for actor in world.findall("actor"):
        for stay in Actor(actor).trajectories:
            assert np.abs(np.diff(stay.poses[:, 5])).max() < 1.5


def test_times_survive_the_cut_to_milliseconds() -> None:
    for time_ms in range(0, 70_000, 7):
        assert int(float(seconds(time_ms)) * 1000) == time_ms


def test_before_the_mission_they_wait_at_their_first_poses_and_afterwards_at_the_last(
    world: ET.Element,
) -> None:
    end_ms = round(1000 * (START_S + PERIOD_S * (FRAMES + FUTURE_STEPS - 1)))
    for element in world.findall("actor"):
        actor = Actor(element)
        np.testing.assert_array_equal(actor.at(0), actor.at(round(1000 * START_S)))
        for later_ms in (1, 500, 600_000, HOLD_MS):
            np.testing.assert_allclose(actor.at(end_ms + later_ms), actor.at(end_ms), atol=1e-9)
        hold = actor.trajectories[-1]
        assert (hold.start_ms, hold.end_ms) == (end_ms, end_ms + HOLD_MS)


def as_element(world: ET.Element, old: str, new: str) -> ET.Element:
    """The world with a piece of its text changed."""
    text_ = ET.tostring(world, encoding="unicode")
    assert old in text_
    return ET.fromstring(text_.replace(old, new))


def moves(actor: Actor) -> float:
    """Largest distance from its waiting place, m."""
    places = np.array([actor.at(t) for t in range(0, round(1000 * START_S) + 30_000, 2000)])
    return float(np.linalg.norm(places[:, :3] - places[0, :3], axis=1).max())


def test_a_script_that_does_not_loop_never_moves_as_in_gazebo(world: ET.Element) -> None:
    """The fault of worlds that were made with <loop>false</loop>: their scripts have a length of 0."""
    still = as_element(world, "<loop>true</loop>", "<loop>false</loop>")
    assert max(moves(Actor(a)) for a in still.findall("actor")) == 0
    assert sum(moves(Actor(a)) > 5 for a in world.findall("actor")) > 30


def test_a_script_that_loops_without_a_hold_jumps_back(world: ET.Element) -> None:
    for element in copy.deepcopy(world).findall("actor")[:10]:
        script = element.find("script")
        assert script is not None
        actor = Actor(element)
        end_ms = actor.trajectories[-1].start_ms
        script.remove(script.findall("trajectory")[-1])
        np.testing.assert_allclose(Actor(element).at(end_ms + 1), actor.at(actor.delay_ms + 1), atol=1e-9)


def test_a_mission_may_start_at_zero_where_a_script_that_does_not_loop_hangs_the_server() -> None:
    root = world_sdf(make_scene(SEED, agents(1), 4, 0.0))
    world = root.find("world")
    assert world is not None
    actors = [Actor(a) for a in world.findall("actor")]
    assert all(a.delay_ms == 0 for a in actors)
    assert max(float(np.abs(a.at(3000) - a.at(0)).max()) for a in actors) > 5
    still = as_element(world, "<loop>true</loop>", "<loop>false</loop>")
    with pytest.raises(ServerHangs):
        Actor(still.findall("actor")[0]).at(4)


def test_parked_vehicles_stand_where_the_scene_has_them(world: ET.Element, population: Population) -> None:
    p = population
    models = [m for m in world.findall("model") if m.get("name", "").startswith("vehicle")]
    assert len(models) == p.parked
    for index, model in enumerate(models):
        pose = values(model, "pose")
        np.testing.assert_allclose(pose[:2], p.poses[0, index, :2], atol=1e-3)
        assert abs(wrapped(pose[5] - p.poses[0, index, 2])) < 1e-4 and not pose[2:5].any()
        np.testing.assert_allclose(
            values(model, "link/collision/geometry/box/size"), p.specs[index].size, atol=1e-3
        )
        assert text(model, "static") == "true"


def test_every_vehicle_is_made_of_the_boxes_and_colours_of_its_kind(
    world: ET.Element, population: Population
) -> None:
    bodies = [
        e
        for e in (*world.findall("model"), *world.findall("actor"))
        if e.get("name", "").startswith("vehicle")
    ]
    for body, spec in zip(bodies, population.specs, strict=True):
        visuals = body.findall("link/visual")
        assert len(visuals) == len(parts(spec))
        for visual, part in zip(visuals, parts(spec), strict=True):
            centre, size = values(visual, "pose")[:3], values(visual, "geometry/box/size")
            np.testing.assert_allclose(centre - 0.5 * size, part.low, atol=1.1e-3)
            np.testing.assert_allclose(centre + 0.5 * size, part.high, atol=1.1e-3)
            for tone in ("diffuse", "ambient"):  # without the second, Ogre 1 draws black where the sun is not
                np.testing.assert_allclose(values(visual, f"material/{tone}")[:3], part.rgb, atol=1e-3)


def test_buildings_are_those_of_the_layout_as_blocks_and_as_meshes(world: ET.Element, folder: Path) -> None:
    layout = make_layout(SEED)
    blocks = world.findall("model[@name='buildings']/link/collision")
    corners = []
    for block, b in zip(blocks, layout.buildings, strict=True):
        centre, size = values(block, "pose")[:3], values(block, "geometry/box/size")
        low, high = centre - 0.5 * size, centre + 0.5 * size
        np.testing.assert_allclose(low, [*b.footprint[:2], 0.0], atol=2e-3)
        np.testing.assert_allclose(high, [*b.footprint[2:], b.height_m], atol=2e-3)
        x0, y0, x1, y1 = b.footprint
        corners += [(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (0.0, b.height_m)]
    drawn = [read_obj(p)[0] for p in sorted((folder / "meshes").glob("walls*.obj"))]
    assert {tuple(v) for v in np.round(np.concatenate(drawn), 1)} == {
        tuple(v) for v in np.round(np.round(np.array(corners), 2), 1)
    }


def test_trees_stand_where_the_layout_has_them(folder: Path) -> None:
    layout = make_layout(SEED)
    trunks, _ = read_obj(folder / "meshes/trunks.obj")
    crowns = np.concatenate([read_obj(p)[0] for p in sorted((folder / "meshes").glob("crowns*.obj"))])
    for tree in layout.trees:
        near = np.abs(trunks[:, :2] - (tree.x, tree.y)).max(1) < 0.16
        assert near.sum() >= 8
        apex = np.abs(crowns - (tree.x, tree.y, tree.height_m)).max(1) < 0.006
        assert apex.any()


def test_north_of_the_ground_is_the_upper_edge_of_its_picture(folder: Path) -> None:
    lines = [line.split() for line in (folder / "meshes/ground.obj").read_text().splitlines()]
    points = [tuple(map(float, rest[:2])) for tag, *rest in lines if tag == "v"]
    uvs = [tuple(map(float, rest)) for tag, *rest in lines if tag == "vt"]
    for (x, y), (u, v) in zip(points, uvs, strict=True):  # OBJ: v = 1 is the upper edge
        assert (x, y) == (-125 + 250 * u, -125 + 250 * v)


def test_sun_and_surfaces_are_the_simulators(world: ET.Element) -> None:
    appearance = draw_appearance(SEED)
    np.testing.assert_allclose(values(world, "light/direction"), -appearance.towards_sun, atol=1e-6)
    np.testing.assert_allclose(values(world, "light/diffuse")[:3], appearance.sun, atol=1e-3)
    for n, tone in enumerate(appearance.roofs):
        shown = values(world, f"model[@name='buildings']/link/visual[@name='roofs{n}']/material/diffuse")
        np.testing.assert_allclose(shown[:3], tone, atol=1e-3)
