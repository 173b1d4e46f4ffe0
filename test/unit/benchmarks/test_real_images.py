"""Real aerial images: what is read, heights against a surface model that is known, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyproj
import pytest
from benchmarks import real_images
from benchmarks.aerial import measure as measured
from benchmarks.aerial.folder import AerialImage, load_folder
from benchmarks.aerial.measure import assumed_ground, figures, looks, measure
from benchmarks.aerial.opensfm import load_project
from benchmarks.aerial.surface import Surface, load_surface
from benchmarks.errors import BenchError
from PIL import Image as Pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from rsdfm_ros.geometry.camera import project, viewing_rays
from rsdfm_ros.geometry.height_grid import GroundError
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, rotation_vector, transform
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import save_model
from support.tiny_model import CONFIG

EAST, NORTH, CELL = 292_500.0, 2_731_000.0, 0.5
SIZE = (400, 480)
"""Rows and columns of the surface model: 200 m to the south and 240 m to the east of its corner."""
K = np.array([[300.0, 0.0, 240.0], [0.0, 300.0, 135.0], [0.0, 0.0, 1.0]])


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(100.0 + 0.05 * (x - EAST) - 0.03 * (y - NORTH))


def in_box(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A house of 12 m x 12 m, 3 m high."""
    return np.asarray((np.abs(x - EAST - 120) < 6) & (np.abs(y - NORTH + 100) < 6))


def write_surface(path: Path, *, gap: bool = False, point: bool = False) -> None:
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    shift = 0.0 if point else 0.5
    x, y = EAST + (column + shift) * CELL, NORTH - (row + shift) * CELL
    heights = (slope(x, y) + 3.0 * in_box(x, y)).astype(np.float32)
    if gap:
        heights[:30] = -9999.0
        heights[30:40] = np.nan
    tags = ImageFileDirectory_v2()
    for number, kind, value in (
        (33550, 12, (CELL, CELL, 0.0)),
        (33922, 12, (0.0, 0.0, 0.0, EAST, NORTH, 0.0)),
        (34735, 3, (1, 1, 0, 1, 1025, 0, 1, 2 if point else 1)),
        (42113, 2, "-9999"),
    ):
        tags.tagtype[number], tags[number] = kind, value
    Pillow.fromarray(heights).save(path, tiffinfo=tags)


def camera() -> np.ndarray:
    """50 m above the house's place, 50 m south of it, 45° down to the north."""
    R = rotation_vector([0.0, 0.0, np.pi / 2]) @ rotation_vector([0.0, np.pi / 4, 0.0]) @ R_BODY_OPTICAL
    ground = float(slope(np.array(EAST + 120), np.array(NORTH - 150)))
    return transform(R, [EAST + 120, NORTH - 150, ground + 50])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set/images").mkdir(parents=True)
    here = tmp_path / "set"
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 255, (27, 48, 3), np.uint8), (480, 270))
    cv2.imwrite(str(here / "images/a.png"), pixels)
    write_surface(here / "dsm.tif")
    (here / "poses.txt").write_text("a.png " + " ".join(f"{v:.9f}" for v in camera().ravel()))
    (here / "camera.json").write_text(json.dumps({"K": K.tolist()}))
    return here


@pytest.fixture
def model() -> Perception:
    return Perception.random(CONFIG)


@pytest.mark.parametrize("point", [False, True])
def test_a_geotiff_gives_the_heights_at_their_places(tmp_path: Path, point: bool) -> None:
    write_surface(tmp_path / "dsm.tif", point=point)
    surface = load_surface(tmp_path / "dsm.tif")
    rng = np.random.default_rng(1)
    xy = np.column_stack([EAST + rng.uniform(5, 230, 300), NORTH - rng.uniform(5, 190, 300)])
    xy = xy[np.hypot(xy[:, 0] - EAST - 120, xy[:, 1] - NORTH + 100) > 12]
    np.testing.assert_allclose(surface.grid.elevation(xy), slope(*xy.T), atol=1e-3)
    house = np.array([[EAST + 120.0, NORTH - 100.0]])
    np.testing.assert_allclose(surface.grid.elevation(house), slope(*house.T) + 3, atol=1e-3)


def test_gaps_of_a_surface_are_filled_and_known_as_gaps(tmp_path: Path) -> None:
    write_surface(tmp_path / "dsm.tif", gap=True)
    surface = load_surface(tmp_path / "dsm.tif")
    xy = np.array(
        [[EAST + 100, NORTH - 10], [EAST + 100, NORTH - 18], [EAST + 100, NORTH - 30], [EAST - 50, NORTH]]
    )
    assert surface.known(xy).tolist() == [False, False, True, False]
    assert abs(surface.grid.elevation(xy[:1])[0] - slope(xy[0, 0], np.array(NORTH - 20.25))) < 0.1


def test_the_bare_earth_is_the_slope_without_the_house(tmp_path: Path) -> None:
    write_surface(tmp_path / "dsm.tif")
    bare = load_surface(tmp_path / "dsm.tif").bare_earth()
    x, y = np.meshgrid(np.linspace(EAST + 40, EAST + 200, 30), np.linspace(NORTH - 160, NORTH - 40, 30))
    error = bare.elevation(np.stack([x, y], -1)) - slope(x, y)
    assert np.abs(error).max() < 0.8  # an opening cuts slopes by half its width at most
    assert np.abs(error - np.median(error)).max() < 0.3


def test_true_heights_are_those_of_the_surface_that_a_pixel_shows(folder: Path, model: Perception) -> None:
    data = load_folder(folder)
    (look,) = looks(data.images[0], data.surface, 1)
    heights = measure(model.on_ground(assumed_ground(look, "surface")), look)
    h, w = heights.true.shape
    roof = camera()[:3, 3] * 0 + [
        EAST + 120,
        NORTH - 100,
        float(slope(np.array(EAST + 120), np.array(NORTH - 100))) + 3,
    ]
    (u, v), _ = (a[0] for a in project(roof[None], K, camera()))
    at = int(v * h / 270), int(u * w / 480)
    lift = heights.true[at]
    assert lift == pytest.approx(3.0, abs=0.9)
    far = heights.true[h - 2, 2]  # beside the house
    assert abs(far) < 0.9 and lift - far == pytest.approx(3.0, abs=0.35)
    assert np.abs(heights.ground_error[heights.counts]).max() == 0.0
    # the look's frame has its origin on the ground in the middle of the image
    ray = viewing_rays(np.array([240.0, 135.0]), K, look.view.T_map_camera)
    t = -look.view.T_map_camera[2, 3] / ray[2]
    assert np.abs(look.view.T_map_camera[:3, 3] + t * ray)[:2].max() < 0.1


def test_a_perfect_model_has_no_error_and_one_that_sees_no_height_that_of_zero(
    folder: Path, model: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_folder(folder)
    (look,) = looks(data.images[0], data.surface, 1)
    on_plane = model.on_ground(assumed_ground(look, "plane"))
    truth = measure(on_plane, look)
    top = 3.4
    shape = truth.true.shape
    for values, error in ((truth.true.clip(0, top), 0.0), (np.zeros(shape), None)):

        def stand_in(*_: Any, values: np.ndarray = values) -> tuple[np.ndarray, ...]:
            return np.zeros((*shape, 3)), values, np.ones(shape)

        monkeypatch.setattr(measured, "expected_places", stand_in)
        found = figures([measure(on_plane, look)], top)
        assert found["height_mae_m"] == pytest.approx(
            found["zero_mae_m"] if error is None else error, abs=1e-9
        )
        assert found["ground_mae_m"] is not None and 0.5 < found["ground_mae_m"] < 5
    assert found["correlation"] is None and found["pixels_scored"]


def test_parts_of_an_image_show_the_same_places(folder: Path) -> None:
    data = load_folder(folder)
    (whole,) = looks(data.images[0], data.surface, 1)
    parts = {look.name: look for look in looks(data.images[0], data.surface, 2)}
    assert set(parts) == {"a-00", "a-01", "a-10", "a-11"}
    part = parts["a-11"].view
    np.testing.assert_array_equal(part.image, whole.view.image[135:, 240:])
    for u, v in ((10.0, 20.0), (200.0, 100.0)):
        a = viewing_rays(np.array([u, v]), part.K, part.T_map_camera)
        b = viewing_rays(np.array([u + 240, v + 135]), whole.view.K, whole.view.T_map_camera)
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_distortion_is_taken_out(tmp_path: Path) -> None:
    distortion = np.array([-0.26, 0.1, 0.0007, 0.0003, -0.026])
    points = np.array([[-5.0, -3.0, 10.0], [4.0, 2.0, 10.0], [0.0, 0.0, 10.0]])
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    bent, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K - half, distortion)
    image = np.zeros((270, 480, 3), np.uint8)
    for u, v in bent[:, 0]:
        cv2.circle(image, (round(float(u)), round(float(v))), 3, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    pixels, straight = AerialImage(tmp_path / "a.png", K, distortion, np.eye(4)).read()
    expected, _ = project(points, straight, np.eye(4))
    for u, v in expected:
        near = pixels[int(v) - 2 : int(v) + 3, int(u) - 2 : int(u) + 3]
        assert near.mean() > 150


def test_a_project_of_opendronemap_gives_poses_and_intrinsics(tmp_path: Path) -> None:
    for name in ("opensfm", "odm_dem", "images"):
        (tmp_path / name).mkdir()
    write_surface(tmp_path / "odm_dem/dsm.tif")
    cv2.imwrite(str(tmp_path / "images/b.png"), np.zeros((270, 480, 3), np.uint8))
    utm = pyproj.Proj(proj="utm", zone=51, ellps="WGS84")
    lon, lat = utm(EAST + 20.3, NORTH - 60.4, inverse=True)
    T = camera()
    local = T[:3, 3] - [round(EAST + 20.3), round(NORTH - 60.4), 0.0]
    turn, _ = cv2.Rodrigues(T[:3, :3].T)
    shot = {
        "rotation": turn[:, 0].tolist(),
        "translation": (-T[:3, :3].T @ local).tolist(),
        "camera": "c",
    }
    lens = {"projection_type": "brown", "width": 480, "height": 270, "focal_x": 0.625, "focal_y": 0.625}
    lens |= {"c_x": 0.01, "c_y": -0.02, "k1": -0.2, "k2": 0.1, "p1": 0.001, "p2": 0.002, "k3": 0.0}
    model = {"cameras": {"c": lens}, "shots": {"b": shot, "missing": shot}}
    model["reference_lla"] = {"longitude": lon, "latitude": lat, "altitude": 0.0}  # type: ignore[dict-item]
    path = tmp_path / "opensfm/reconstruction.json"
    path.write_text(json.dumps([model]))
    (image,) = load_project(tmp_path).images
    np.testing.assert_allclose(image.T_world_camera, T, atol=1e-5)
    np.testing.assert_allclose(image.K, [[300, 0, 244.8], [0, 300, 125.4], [0, 0, 1]])
    assert image.distortion.tolist() == [-0.2, 0.1, 0.001, 0.002, 0.0]
    path.write_text("[{}]")
    with pytest.raises(BenchError, match="expected a reconstruction of OpenSfM"):
        load_project(tmp_path)


def test_the_command_writes_pictures_and_figures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path / "model", RSDFM(CONFIG), {})
    out = tmp_path / "out"
    assert real_images.main([str(folder), "--model", str(model), "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert set(result["figures"]) == {"surface", "plane"}
    assert result["figures"]["surface"]["pixels_scored"] > 100
    assert result["images"][0]["camera_height_m"] == pytest.approx(50, abs=1.5)
    picture = cv2.imread(str(out / "a.jpg"))
    assert picture is not None and picture.shape[1] == 3 * 640
    assert "heights against the surface model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "dsm.tif").unlink(), "lacks a surface model: expected dsm.tif or dsm.npz"),
        (lambda f: (f / "dsm.tif").write_bytes(b"II*\0junk"), "cannot read the surface model"),
        (lambda f: Pillow.new("F", (9, 9)).save(f / "dsm.tif"), "expected a GeoTIFF of one band"),
        (lambda f: (f / "images/a.png").unlink(), "lacks the image a.png"),
        (lambda f: (f / "camera.json").write_text('{"K": [1, 2]}'), 'expected {"K": 3 x 3 numbers'),
        (lambda f: (f / "camera.json").unlink(), "nothing says the camera matrix of a.png"),
        (lambda f: (f / "poses.txt").write_text("a.png 1 2 3"), "expected lines of"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, words: str
) -> None:
    change(folder)
    model = save_model(tmp_path / "model", RSDFM(CONFIG), {})
    assert real_images.main([str(folder), "--model", str(model), "--out", str(tmp_path / "o")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_an_image_that_looks_elsewhere_is_left_out(folder: Path) -> None:
    data = load_folder(folder)
    image = data.images[0]
    up = image.T_world_camera.copy()
    up[:3, :3] = rotation_vector([0.0, -0.5, 0.0]) @ R_BODY_OPTICAL
    surface: Surface = data.surface
    assert not list(looks(AerialImage(image.path, image.K, image.distortion, up), surface, 1))
    (look,) = looks(image, surface, 1)
    with pytest.raises(GroundError, match="unknown ground 'x'"):
        assumed_ground(look, "x")
