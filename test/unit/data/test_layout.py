"""Layout masks: written in the map table, read back, added to what was simulated without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros import cli
from rsdfm_ros.data.errors import DatasetError, MissingFileError, TableError
from rsdfm_ros.data.layout_map import LAYOUT_CLASSES, layout_of_rectangles
from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.outputs import OutputError
from rsdfm_ros.sim.config import WorldConfig
from rsdfm_ros.sim.dataset import simulate_command
from rsdfm_ros.sim.dataset.add_layout import add_layout
from rsdfm_ros.sim.layout import make_layout
from rsdfm_ros.sim.layout_map import layout_map, layout_of_seed
from support.fake_world import arguments, built_world, fake_world, small_layout


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes (seeds 100 to 102) simulated without layouts."""
    root = tmp_path_factory.mktemp("bare")
    assert simulate_command.run(arguments(root), make_world=fake_world) == 0
    return root


def test_what_is_simulated_has_its_layout(tmp_path: Path) -> None:
    assert simulate_command.run(arguments(tmp_path), make_world=built_world) == 0
    dataset = open_dataset(tmp_path)
    for n in range(3):
        found, expected = dataset.layout(n), small_layout(100 + n)
        assert found is not None and found.classes == LAYOUT_CLASSES
        np.testing.assert_array_equal(found.bits, expected.bits)
        assert found.origin == expected.origin and found.resolution_m == expected.resolution_m
    rows = json.loads((tmp_path / "v1.0-trainval/map.json").read_text())
    assert len(rows) == 3 and not (tmp_path / "maps/empty.png").exists()
    # As documented: north up, column = x, value = sum of the classes.
    mask = cv2.imread(str(tmp_path / rows[0]["filename"]), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint8 and mask.shape == (32, 32)
    column, row = int((3.0 + 8) / 0.5), 31 - int((1.2 + 8) / 0.5)
    assert mask[row, column] == 3 and mask[row, 31 - column] == 1 and mask[31 - row, column] == 0


def test_layouts_are_added_in_place_and_stay(bare: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "copy"
    shutil.copytree(bare, root)
    assert open_dataset(root).layout(0) is None
    before = open_dataset(root).load(1, 2)
    assert add_layout(root, layout_of=small_layout) == 3
    dataset = open_dataset(root)
    np.testing.assert_array_equal(dataset.layout(1).bits, small_layout(101).bits)  # type: ignore[union-attr]
    np.testing.assert_array_equal(dataset.load(1, 2).views[0].image, before.views[0].image)
    assert add_layout(root, layout_of=small_layout) == 0
    # The same simulation goes on from there and keeps them.
    assert simulate_command.run(arguments(root, "--scenes", "4"), make_world=built_world) == 0
    assert all(open_dataset(root).layout(n) is not None for n in range(4))


def test_layouts_are_added_beside_a_data_set_that_stays_as_it_is(bare: Path, tmp_path: Path) -> None:
    files = {p: p.stat().st_mtime_ns for p in bare.rglob("*") if p.is_file()}
    out = tmp_path / "with"
    assert add_layout(bare, out, layout_of=small_layout) == 3
    assert {p: p.stat().st_mtime_ns for p in bare.rglob("*") if p.is_file()} == files
    one, two = open_dataset(bare), open_dataset(out)
    assert one.layout(2) is None and two.layout(2) is not None and two.scenes == one.scenes
    np.testing.assert_array_equal(one.load(0, 0).views[1].image, two.load(0, 0).views[1].image)
    assert (out / "samples").is_symlink()
    with pytest.raises(OutputError, match="holds finished results; --force replaces them"):
        add_layout(bare, out)
    for place in (bare, bare.parent):  # the images would be replaced by links to themselves
        with pytest.raises(DatasetError, match="holds the images of"):
            add_layout(bare, place, force=True)
    assert add_layout(bare, out, force=True, layout_of=small_layout) == 3 and (out / "samples").is_symlink()
    with pytest.raises(DatasetError, match="no finished simulated scene"):
        add_layout(tmp_path / "nothing")


def test_the_command_adds_the_layouts_of_the_simulator(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["data", "layout", str(bare), "--out", str(out)]) == 0
    assert "layouts of 3 scenes" in capsys.readouterr().err
    found = open_dataset(out).layout(1)
    assert found is not None
    np.testing.assert_array_equal(found.bits, layout_of_seed(101).bits)


def test_a_world_of_any_style_has_its_own_layout_turned_with_it() -> None:
    config = WorldConfig(style="oldtown", turn_deg=(30.0, 30.0))
    turned, straight = layout_of_seed(5, config), layout_of_seed(5, WorldConfig(style="oldtown"))
    rng = np.random.default_rng(0)
    plan = rng.uniform(-60, 60, (4000, 2))
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    there, _ = turned.at(plan @ np.array([[c, s], [-s, c]]), LAYOUT_CLASSES)
    here, _ = straight.at(plan, LAYOUT_CLASSES)
    assert (there == here).mean() > 0.98 and here.any(axis=1).all()
    assert not np.array_equal(straight.bits, layout_of_seed(5).bits)


def test_the_layout_of_a_world_is_its_roads_and_buildings() -> None:
    plan = make_layout(7)
    layout = layout_map(plan)
    for building in plan.buildings[:20]:
        x0, y0, x1, y1 = building.footprint
        found, known = layout.at(np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]), LAYOUT_CLASSES)
        assert found[:, 0].tolist() == [False, True] and known.all()
    for x0, y0, x1, y1 in plan.road_rectangles():
        middle = np.clip([(x0 + x1) / 2, (y0 + y1) / 2], -124, 124)
        assert layout.at(middle[None], ("road",))[0].all()
    share = layout.at(np.random.default_rng(0).uniform(-60, 60, (5000, 2)), LAYOUT_CLASSES)[0].mean(axis=1)
    assert 0.1 < share[0] < 0.6 and 0.05 < share[1] < 0.6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.25, 0.5, 1.0]))
def test_a_cell_is_set_where_its_centre_is_in_a_rectangle(seed: int, resolution: float) -> None:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(-12, 12, (4, 2, 2)), axis=1).reshape(4, 4)
    layout = layout_of_rectangles({"road": [tuple(c) for c in corners]}, 8.0, resolution)
    x = -8.0 + resolution * (np.arange(round(16 / resolution)) + 0.5)
    gx, gy = np.meshgrid(x, x, indexing="ij")
    expected = np.zeros(gx.shape, bool)
    for x0, y0, x1, y1 in corners:
        expected |= (gx >= x0) & (gx < x1) & (gy >= y0) & (gy < y1)
    np.testing.assert_array_equal(layout.bits > 0, expected)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("classes", {"road": 3}, "power of two"),
        ("classes", {"road": 1, "building": 1}, "a value of its own"),
        ("classes", ["road"], "power of two"),
        ("resolution_m", 0, "metres per pixel"),
        ("resolution_m", "0.5", "metres per pixel"),
        ("origin", [1.0], "in metres"),
        ("origin", None, "in metres"),
        ("filename", "../elsewhere.png", "below the data set"),
        ("filename", "/etc/passwd", "below the data set"),
        ("log_tokens", "all", "list of tokens"),
    ],
)
def test_a_row_that_is_malformed_is_refused(
    bare: Path, tmp_path: Path, entry: str, value: Any, message: str
) -> None:
    out = tmp_path / "out"
    add_layout(bare, out, layout_of=small_layout)
    table = out / "v1.0-trainval/map.json"
    rows = json.loads(table.read_text())
    rows[0][entry] = value
    table.write_text(json.dumps(rows))
    with pytest.raises(TableError, match=message):
        open_dataset(out)


def test_a_mask_that_is_missing_or_damaged_is_named(bare: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    add_layout(bare, out, layout_of=small_layout)
    dataset = open_dataset(out)
    (out / "maps/scene-00100.png").write_bytes(b"no image")
    (out / "maps/scene-00101.png").unlink()
    cv2.imwrite(str(out / "maps/scene-00102.png"), np.zeros((4, 4, 3), np.uint8))
    for n, message in enumerate(("8-bit grey PNG", "cannot be read", "8-bit grey PNG")):
        with pytest.raises(MissingFileError, match=message):
            dataset.layout(n)


def test_the_devkit_opens_what_has_layouts(bare: Path, tmp_path: Path) -> None:
    nuscenes = pytest.importorskip("nuscenes.nuscenes")
    out = tmp_path / "out"
    add_layout(bare, out, layout_of=small_layout)
    opened = nuscenes.NuScenes(version="v1.0-trainval", dataroot=str(out), verbose=False)
    logs = [opened.get("log", scene["log_token"]) for scene in opened.scene]
    assert len({log["map_token"] for log in logs}) == 3
