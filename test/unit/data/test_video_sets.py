"""Images with a table of poses become a data set without truth: for replay and for looking at it, not for scoring."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsdfm_ros.data import command
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.check import check
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.opening import open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.scenes import open_scenes
from rsdfm_ros.fleet.commands import bag_export
from rsdfm_ros.training import command as train_command
from support.public_sets import AIR_SIZE, air_eye

K = [110.0, 110.0, AIR_SIZE[1] / 2, AIR_SIZE[0] / 2]
RATE = 10


def pose(uav: int) -> np.ndarray:
    eye, T = air_eye(uav), np.eye(4)
    T[:3, :3], T[:3, 3] = eye.axes.T, eye.position
    return T


def write_flight(
    folder: Path, uav: int, *, images: int = 16, start: float = 1000.0, layout: str = "times"
) -> Path:
    """Images at 10 Hz and their table; returns the table."""
    folder.mkdir(parents=True)
    names, lines, rows = [], [], []
    for n in range(images):
        t = start + n / RATE
        name = f"{t:.3f}.png" if layout == "uavscenes" else f"frame_{n:04d}.png"
        assert cv2.imwrite(str(folder / name), air_eye(uav).image(n // 5)[..., ::-1])
        T, names = pose(uav), [*names, name]
        T = np.linalg.inv(T) if layout == "inverse" else T
        T = T @ FORWARD if layout == "forward" else T
        numbers = " ".join(f"{x:.9f}" for x in T.ravel()[: 12 if layout == "short" else 16])
        lines.append(f"{name} {'' if layout in ('short', 'plain') else t} {numbers}")
        matrix = [[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1]]
        rows.append({"OriginalImageName": name, "T4x4": T.tolist(), "P3x3": matrix})
    table = folder.parent / f"{folder.name}.{'json' if layout == 'uavscenes' else 'csv'}"
    title = "image,time,pose\n" if layout == "times" else ""
    table.write_text(json.dumps(rows) if layout == "uavscenes" else title + "\n".join(lines))
    return table


FORWARD = np.eye(4)
FORWARD[:3, :3] = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
"""A body that looks along x with z up, in the optical frame."""


def run(out: Path, *words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["convert", "video", "--out", str(out), *map(str, words)]))


INTRINSICS = ("--intrinsics", *K)
LAYOUTS: dict[str, tuple[object, ...]] = {
    "times": INTRINSICS,
    "uavscenes": (),
    "plain": (*INTRINSICS, "--rate", RATE),
    "short": (*INTRINSICS, "--rate", RATE),
    "inverse": (*INTRINSICS, "--poses", "world-to-camera"),
    "forward": (*INTRINSICS, "--axes", "forward"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_poses_come_through(layout: str, tmp_path: Path) -> None:
    table = write_flight(tmp_path / "a", 1, layout=layout)
    assert run(tmp_path / "set", "--uav", tmp_path / "a", table, *LAYOUTS[layout]) == 0
    dataset = open_dataset(tmp_path / "set")
    (info,) = dataset.scenes
    assert (info.name, info.frames, info.agents, info.truth) == ("video", 4, ("uav1",), False)
    assert [dataset.stamp_ns(0, k) for k in range(4)] == [0, 500_000_000, 1_000_000_000, 1_500_000_000]
    view = dataset.load(0, 2).views[0]
    expected = pose(1)
    expected[:3, 3] -= dataset.origin(0)
    np.testing.assert_allclose(view.T_map_camera, expected, atol=1e-6)
    assert (view.K[0, 0], view.K[1, 2]) == (K[0], K[3])
    assert np.abs(view.image.astype(int) - air_eye(1).image(2)).mean() < 4


def test_uavs_are_brought_together_in_time(tmp_path: Path) -> None:
    tables = [write_flight(tmp_path / "a", 1), write_flight(tmp_path / "b", 2, start=1000.53, images=9)]
    words = [w for name, t in zip("ab", tables, strict=True) for w in ("--uav", tmp_path / name, t)]
    assert run(tmp_path / "set", *words, *INTRINSICS) == 0
    dataset = open_dataset(tmp_path / "set")
    assert (dataset.scenes[0].agents, dataset.scenes[0].frames) == (("uav1", "uav2"), 2)
    late = write_flight(tmp_path / "c", 3, start=2000.0, images=2)
    with pytest.raises(RsdfmError, match="no images at the same time"):
        run(tmp_path / "other", *words, "--uav", tmp_path / "c", late, *INTRINSICS)


def test_a_set_without_truth_is_checked_replayed_and_neither_scored_nor_trained_on(tmp_path: Path) -> None:
    table = write_flight(tmp_path / "a", 1)
    root = tmp_path / "set"
    run(root, "--uav", tmp_path / "a", table, *INTRINSICS, "--ground-height", 2, "--scene", "street")
    report = check(root, decode=True)
    assert report.grave == 0
    assert report.facts["height_over_ground_m"] == [48.0, 48.0]
    assert [p.text for p in report.problems] == [
        "street has no truth: it is for replay (rsdfm bag export) and for looking at it"
    ]
    with pytest.raises(RsdfmError, match=r"street has no truth.*expected a data set with boxes"):
        open_scenes(root, 1, check=True)
    with pytest.raises(RsdfmError, match="street has no truth"):
        train_command._open([root])
    parser = argparse.ArgumentParser()
    bag_export.add_arguments(parser)
    assert bag_export.run(parser.parse_args(["--data", str(root), "--out", str(tmp_path / "bag")])) == 0
    with open_bag(tmp_path / "bag") as bag:
        topics = set(bag.topics)
    assert "/uav1/camera/image_raw" in topics
    assert "/ground_truth" not in topics


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no pose"),
        ("frame_0000.png 1 2 3", "line 1 has 4 columns"),
        ("frame_0000.png " + "1 " * 16, "line 1 is no rigid transform"),
        ("../x.png " + "1 " * 16, "file name without folders"),
        ("[1", "is no readable JSON"),
        ("{}", "expected a list"),
        ('[{"OriginalImageName": "a.png"}]', "row 0 lacks OriginalImageName or a T4x4"),
        ("other.png 0 " + " ".join(map(str, np.eye(4).ravel())), "holds none of the images"),
        (("frame_0000.png 0 " + " ".join(map(str, np.eye(4).ravel())) + "\n") * 2, "names an image twice"),
        ("frame_0000.png " + " ".join(map(str, np.eye(4).ravel())), "nothing says when frame_0000.png"),
        ("\udcff", "is no text in UTF-8"),
    ],
)
def test_tables_that_are_none_are_refused(text: str, words: str, tmp_path: Path) -> None:
    write_flight(tmp_path / "a", 1, images=1)
    table = tmp_path / "table"
    table.write_text(text, errors="surrogateescape")
    with pytest.raises(DatasetError, match=words):
        run(tmp_path / "set", "--uav", tmp_path / "a", table, *INTRINSICS)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--intrinsics", 0, 1, 2, 3), "expected focal lengths above 0"),
        ((), "nothing says the camera matrix"),
        ((*INTRINSICS, "--rate", 0), "--rate 0"),
        ((*INTRINSICS, "--scene", "../x"), "expected letters, digits"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(words: Any, sentence: str, tmp_path: Path) -> None:
    table = write_flight(tmp_path / "a", 1, images=1)
    with pytest.raises(RsdfmError, match=sentence):
        run(tmp_path / "set", "--uav", tmp_path / "a", table, *words)
