"""Plug-in tasks in `rsdfm evaluate`: their figures, what is missing for them, the spread of seeds."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from rsdfm_ros.data.layout_map import LayoutMap, layout_of_rectangles
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth
from rsdfm_ros.evaluation.methods.by_name import check_methods
from rsdfm_ros.evaluation.report.spread import spread_table
from rsdfm_ros.evaluation.report.table import print_table
from rsdfm_ros.evaluation.scenes import LeakageError, missing_truth, refuse_training_data
from rsdfm_ros.evaluation.scores import MethodScore, results_of
from rsdfm_ros.evaluation.session import Watch, evaluate_scene
from rsdfm_ros.model.heads.layout import LayoutAnswer
from rsdfm_ros.model.perception import Perception
from support.painted import AREAS, UAVS, PaintedScene, run_scene, run_settings, tiny_perception

METHODS = ("single", "dense", "rsdfm")


class BuiltScene(PaintedScene):
    def layout(self) -> LayoutMap | None:
        return layout_of_rectangles({"road": [(-16, -4, 16, 4)], "building": [(6, 6, 12, 14)]}, 16.0)


class BareScene(PaintedScene):
    def layout(self) -> LayoutMap | None:
        return None


def perception_with(*heads: str) -> Perception:
    return Perception.random(dataclasses.replace(tiny_perception().config, heads=heads))


def scores(perception: Perception, scene: PaintedScene, watch: Watch | None = None) -> dict[str, MethodScore]:
    with ThreadPoolExecutor(2) as pool:
        return evaluate_scene(perception, scene, run_settings(methods=METHODS), pool, watch=watch)


def test_a_model_of_a_plug_in_alone_is_evaluated_by_its_figures() -> None:
    perception = perception_with("layout")
    said: dict[str, np.ndarray] = {}

    def watch(method: str, ego: int, k: int, prediction: FramePrediction, truth: FrameTruth) -> None:
        if (ego, k) == (0, 3):
            answer = prediction.answers["layout"]
            assert isinstance(answer, LayoutAnswer) and truth.layout is not None
            said[method] = answer.probability

    found = results_of(scores(perception, BuiltScene(), watch))
    assert not np.array_equal(said["single"], said["dense"])  # peers change the answer
    for row in found:
        for name in ("road", "building"):
            value = row[f"layout_{name}_iou"]
            assert value is not None and 0.0 <= value <= 1.0
            assert f"layout_{name}_iou_visible" in row and f"layout_{name}_iou_short" in row
        assert row["iou_long"] is None and row["map"] is None and row["ade"] is None
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_table(found, console)
    assert "layout road iou" in console.export_text()
    json.dumps(found, allow_nan=False)


def test_without_masks_the_figures_are_missing_and_that_is_said(tmp_path: Path) -> None:
    perception = perception_with("detection", "segmentation", "trajectory", "layout")
    found = results_of(scores(perception, BareScene()))
    assert not any(key.startswith("layout") for row in found for key in row)
    assert all(row["map"] is not None for row in found)

    class Scene:
        dataset = type("D", (), {"path": tmp_path})

        def layout(self) -> None:
            return None

    said = missing_truth(perception, [Scene()], "simulated")  # type: ignore[list-item]
    assert len(said) == 1 and f"rsdfm data layout {tmp_path}" in said[0]
    assert missing_truth(tiny_perception(), [Scene()], "simulated") == []  # type: ignore[list-item]


def test_methods_that_exchange_boxes_need_a_detector() -> None:
    perception = perception_with("layout")
    check_methods(perception, METHODS, Disturbance())
    check_methods(tiny_perception(), ("late",), Disturbance())
    with pytest.raises(RsdfmError, match=r"late exchange boxes.*no detection head.*dense"):
        check_methods(perception, ("single", "late"), Disturbance())
    with pytest.raises(RsdfmError, match="rsdfm exchange boxes"):
        check_methods(perception, METHODS, Disturbance(latency_ms=400.0))


def test_ids_over_time_and_distances_are_among_the_figures() -> None:
    found, _ = run_scene(tiny_perception())
    row = found["rsdfm"].result()
    assert {"idf1", "ids_kept", "id_changes_per_track", "breaks_per_track", "occlusions", "losses"} <= set(
        row
    )
    assert {"ap_0_30m", "ap_30_60m"} <= set(row)
    assert found["single"].areas.keys() == AREAS.keys() and UAVS > 1


def test_scenes_that_a_head_was_trained_on_are_refused() -> None:
    manifest = {
        "training": {"data": {"seeds": [1, 2]}},
        "added_heads": {"layout": {"data": {"seeds": [8, 9]}}},
    }
    refuse_training_data(manifest, [5, 6])
    for seed in (2, 9):
        with pytest.raises(LeakageError):
            refuse_training_data(manifest, [5, seed])


def result_file(path: Path, iou: float, **protocol: object) -> Path:
    rows = [
        {"method": "single", "iou_long": iou, "layout_road_iou": 0.5, "map": None},
        {"method": "rsdfm", "iou_long": iou + 0.2, "layout_road_iou": 0.75, "map": 0.5},
    ]
    path.write_text(json.dumps({"protocol": {"seeds": [9000], **protocol}, "results": rows}))
    return path


def test_the_spread_of_seeds_by_hand(tmp_path: Path) -> None:
    files = [result_file(tmp_path / f"{n}.json", iou) for n, iou in enumerate((0.50, 0.54))]
    table = spread_table(files).splitlines()
    assert table[0] == "| | single | rsdfm |"
    assert "| iou_long | 0.520 ± 0.020 | 0.720 ± 0.020 |" in table
    assert "| map | – | 0.500 ± 0.000 |" in table
    assert "| layout_road_iou | 0.500 ± 0.000 | 0.750 ± 0.000 |" in table


def test_results_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = result_file(tmp_path / "a.json", 0.5)
    with pytest.raises(RsdfmError, match="at least two"):
        spread_table([one])
    with pytest.raises(RsdfmError, match="differ in seeds"):
        spread_table([one, result_file(tmp_path / "b.json", 0.5, seeds=[1])])
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(RsdfmError, match="with protocol and results"):
        spread_table([one, tmp_path / "c.json"])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("latency_ms=400", "latency_ms=400,staggered=1"),
        ("latency_ms=700", "latency_ms=700,wait_ms=400"),
        ("loss=0.5", "loss=0.5,seed=1"),
        ("pose_sigma_m=1", "pose_sigma_m=2"),
        ("attackers=1", "attackers=2"),
        ("drop_uavs=1", "drop_uavs=2"),
    ],
)
def test_switches_matter_beside_each_other(one: str, two: str) -> None:
    from rsdfm_ros.evaluation.disturb import parse_disturbance

    perception = tiny_perception()
    answers = []
    for text in (one, two):
        from support.painted import Watcher

        watcher = Watcher()
        settings = run_settings(parse_disturbance(text), ("dense",))
        with ThreadPoolExecutor(2) as pool:
            evaluate_scene(perception, PaintedScene(), settings, pool, watch=watcher)
        answers.append(watcher.answers)
    assert any(not np.array_equal(answers[0][key], answers[1][key]) for key in answers[0])
