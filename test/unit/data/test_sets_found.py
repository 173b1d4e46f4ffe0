"""Data sets as other people's tools make them: other separators, turned images, sets in part, wrong units."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from rsdfm_ros.cli import main
from rsdfm_ros.data.check import check
from rsdfm_ros.data.errors import DatasetError, TableError
from rsdfm_ros.data.nuscenes import Dataset, open_dataset
from rsdfm_ros.data.nuscenes.layout import read_layouts
from rsdfm_ros.data.terrain import save_height_grid, scene_grid_path
from rsdfm_ros.evaluation.scenes import open_scenes
from rsdfm_ros.geometry.height_grid import HeightGrid
from support import public_sets as sets

Rows = list[dict[str, Any]]
FRAMES = 8
"""As many as one scored frame needs."""


@pytest.fixture(scope="module")
def air(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_air_co_pred(tmp_path_factory.mktemp("air"), frames=FRAMES, scenes=("scene-0-9",))


@pytest.fixture
def root(air: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(air, tmp_path / "air"))


def rewrite(root: Path, table: str, change: Callable[[Rows], object]) -> None:
    path = root / "v1.0-trainval" / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def backslashes(rows: Rows) -> None:
    for row in rows:
        row["filename"] = row["filename"].replace("/", "\\")


def test_file_names_with_backslashes_are_read(air: Path, root: Path) -> None:
    rewrite(root, "sample_data", backslashes)
    layout = {"classes": {"road": 1}, "resolution_m": 0.5, "origin": [0, 0], "filename": "maps\\empty.png"}
    rewrite(root, "map", lambda rows: rows[0].update(layout))
    assert check(root, decode=True).grave == 0
    there, here = open_dataset(air).load(0, 0), open_dataset(root).load(0, 0)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(here.views, there.views, strict=True))
    (source,) = read_layouts(root, root / "v1.0-trainval").values()
    assert source.path == root / "maps" / "empty.png"


@pytest.mark.parametrize("name", ["..\\..\\secret.jpg", "samples\\..\\..\\x.jpg", "\\etc\\passwd"])
def test_file_names_with_backslashes_do_not_leave_the_folder(root: Path, name: str) -> None:
    rewrite(root, "sample_data", lambda rows: rows[0].update(filename=name))
    with pytest.raises(TableError, match="does not stay inside"):
        open_dataset(root)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_images_are_not_turned_by_their_exif_orientation(air: Path, root: Path, orientation: int) -> None:
    for path in (root / "samples" / "UAV_1").iterdir():
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        PIL.Image.open(path).save(path, "jpeg", quality=100, subsampling=0, exif=exif)
    assert check(root, decode=True).grave == 0
    for k in range(2):
        turned = open_dataset(root).load(0, k).views[0].image
        stored = open_dataset(air).load(0, k).views[0].image
        assert np.abs(turned.astype(int) - stored).max() <= 12


def without_bottom(rows: Rows) -> None:
    rows[:] = [row for row in rows if "BOTTOM" not in row["token"]]


def test_uav3d_without_its_bottom_cameras_is_uav3d(tmp_path: Path) -> None:
    root = sets.write_uav3d(tmp_path, frames=2, scenes=("scene_0001",))
    for table in ("sample_data", "calibrated_sensor", "sensor"):
        rewrite(root, table, without_bottom)
    report = check(root, decode=True)
    assert report.facts["description"] == "uav3d" and report.facts["uavs"] == 5 and report.grave == 0
    assert report.facts["height_over_ground_m"] == [60.0, 60.0]


def describe(root: Path) -> None:
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\nground_height_m: -50.0\n")


def no_annotations(root: Path) -> None:
    describe(root)
    for table in ("sample_annotation", "instance"):
        rewrite(root, table, lambda rows: rows.clear())


def other_categories(root: Path) -> None:
    describe(root)
    rewrite(root, "category", lambda rows: [row.update(name=f"fahrzeug.{n}") for n, row in enumerate(rows)])


def in_unit(per_microsecond: float) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for table in ("sample", "sample_data", "ego_pose"):
            rewrite(
                root,
                table,
                lambda rows: [row.update(timestamp=int(row["timestamp"] * per_microsecond)) for row in rows],
            )

    return change


def xyzw(root: Path) -> None:
    for table in ("ego_pose", "calibrated_sensor"):
        rewrite(
            root,
            table,
            lambda rows: [r.update(rotation=[*r["rotation"][1:], r["rotation"][0]]) for r in rows],
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_annotations, "no annotation is of one of our classes .*there are no annotations"),
        (other_categories, r"no annotation is of one of our classes .*fahrzeug\.0"),
        (in_unit(1e-6), "the same timestamp.*microseconds or nanoseconds"),
        (in_unit(1e-3), "key frames are 0.0005 s apart.*microseconds or nanoseconds"),
        (xyzw, "does description 'air-co-pred' fit"),
    ],
)
def test_an_evaluation_stops_where_the_check_finds_a_problem(
    root: Path, change: Callable[[Path], None], words: str
) -> None:
    assert open_scenes(root, 4, check=True)
    change(root)
    assert check(root).grave
    with pytest.raises(DatasetError, match=words) as caught:
        open_scenes(root, 4, check=True)
    assert f"`rsdfm data check {root}` lists all" in str(caught.value)


def test_only_the_scenes_that_are_evaluated_are_checked(tmp_path: Path) -> None:
    root = sets.write_air_co_pred(tmp_path, frames=FRAMES, scenes=("scene-0-9", "scene-0-19"))
    rewrite(root, "sample", lambda rows: rows[-1].update(timestamp=rows[-2]["timestamp"]))
    assert len(open_scenes(root, 4, scenes=1, check=True)) == 1
    with pytest.raises(DatasetError, match="scene-0-19: two samples have the same timestamp"):
        open_scenes(root, 4, check=True)


def test_training_refuses_what_the_check_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = sets.write_air_co_pred(tmp_path, frames=FRAMES, scenes=("scene-0-9",))
    rewrite(data, "sample", lambda rows: rows[-1].update(timestamp=rows[-2]["timestamp"]))
    config = Path(__file__).parents[2] / "support" / "tiny.yaml"
    words = ["train", "--data", str(data), "--out", str(tmp_path / "out"), "--config", str(config)]
    assert main(words) == 2
    assert "scene-0-9: two samples have the same timestamp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_scenes_of_one_name_are_told_and_share_no_terrain(tmp_path: Path) -> None:
    root = sets.write_air_co_pred(tmp_path, frames=2, scenes=("scene-0-9", "scene-0-19"))
    rewrite(root, "scene", lambda rows: rows[1].update(name="scene-0-9"))
    report = check(root)
    assert not report.grave and any("2 scenes are called 'scene-0-9'" in p.text for p in report.problems)
    save_height_grid(
        scene_grid_path(root, "scene-0-9"), HeightGrid(np.zeros((9, 9), np.float32), -80, -80, 20.0)
    )
    with pytest.raises(
        TableError, match=r"2 scenes are called 'scene-0-9', and .*_dem\.npz can be that of one only"
    ):
        open_dataset(root)


def test_scenes_of_two_data_sets_keep_their_own_terrain(tmp_path: Path) -> None:
    opened = []
    for number in range(2):
        root = sets.write_air_co_pred(tmp_path / str(number), frames=2, scenes=("scene-0-9",))
        heights = np.full((9, 9), -50.0 + 3.0 * number, np.float32)
        save_height_grid(scene_grid_path(root, "scene-0-9"), HeightGrid(heights, -80, -80, 20.0))
        opened.append(open_dataset(root))
    both = Dataset.together(opened)
    assert [float(grid.heights.mean()) for s in range(2) if (grid := both.dem(s))] == [0.0, 3.0]
