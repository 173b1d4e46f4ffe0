"""Sweeps: what is swept, what is kept, and the image of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.kinds import KINDS
from rsdfm_ros.evaluation.disturb import Disturbance, DisturbanceError
from rsdfm_ros.evaluation.protocol import Protocol
from rsdfm_ros.evaluation.report.sweep_plot import write_plot
from rsdfm_ros.evaluation.sweep import GRID, Case, SweepError, SweepFile, parse_sweeps, points_on, run_sweep

COMMON = {"model": "m", "seed": 8000, "methods": ["single", "rsdfm"]}
PROTOCOL = Protocol("m", "00", "simulated", ("s",), (8000,), 4, 4, (16,), 18_000, 0.5, 0.3)


class Counter:
    """Stands in for the evaluation: counts its calls, and is interrupted at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.cases: list[Case] = []
        self.titles: list[str] = []
        self.stop_at = stop_at

    def __call__(self, case: Case, title: str) -> tuple[Protocol, list[dict[str, Any]]]:
        if len(self.cases) == self.stop_at:
            raise KeyboardInterrupt
        self.cases.append(case)
        self.titles.append(title)
        gain = 0.2 - 0.2 * case.disturbance.loss
        rows = [{"method": "single", "iou_long": 0.5}, {"method": "rsdfm", "iou_long": 0.5 + gain}]
        rows[1]["gain_iou_long"] = gain
        return dataclasses.replace(PROTOCOL, disturbance=case.disturbance), rows


def axes(*texts: str, disturb: str = "") -> Any:
    return parse_sweeps(texts, disturb, 18_000, 4)


def test_axes_change_what_they_say_and_nothing_else() -> None:
    loss, pose, uavs, budget = axes(
        "loss=0, 0.5", "pose=0.5/1", "uavs=2", "budget_bytes=5000", disturb="seed=3"
    )
    plain = Case(Disturbance(seed=3), 18_000, 4)
    assert loss.values == ("0", "0.5") and loss.cases[0] == plain
    assert loss.cases[1].disturbance == Disturbance(loss=0.5, seed=3)
    assert pose.cases[0].disturbance == Disturbance(pose_sigma_m=0.5, pose_sigma_deg=1.0, seed=3)
    assert uavs.cases[0] == dataclasses.replace(plain, uavs=2)
    assert budget.cases[0] == dataclasses.replace(plain, budget_bytes=5_000)


def test_the_grid_holds_every_axis_and_can_be_narrowed() -> None:
    assert {a.name: a.values for a in axes("grid")} == GRID
    narrowed = {a.name: a.values for a in axes("grid", "loss=0.3")}
    assert narrowed == GRID | {"loss": ("0.3",)}
    bias = next(a for a in axes("grid") if a.name == "bias")
    assert bias.cases[-1].disturbance == Disturbance(pose_bias_m=2.5, pose_bias_deg=5.0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("loss", SweepError),
        ("loss=", SweepError),
        ("noise=1", SweepError),
        ("uavs=0", SweepError),
        ("uavs=two", SweepError),
        ("budget_bytes=-5", SweepError),
        ("pose=0.5", SweepError),
        ("pose=a/b", DisturbanceError),
        ("attack=fabricated", SweepError),
        ("attack=polite/1", DisturbanceError),
        ("loss=0,2", DisturbanceError),
        ("loss=x", DisturbanceError),
    ],
)
def test_what_cannot_be_swept_is_refused(text: str, error: type[RsdfmError]) -> None:
    with pytest.raises(error):
        axes(text)
    with pytest.raises(SweepError, match="twice"):
        axes("loss=0", "loss=1")


def test_every_case_is_evaluated_once_and_found_on_all_its_axes(tmp_path: Path) -> None:
    wanted, evaluate = axes("loss=0,0.5", "latency_ms=0,200"), Counter()
    file = SweepFile(tmp_path / "deep" / "sweep.json", COMMON, wanted)
    run_sweep(wanted, file, evaluate)
    assert evaluate.titles == ["1/3 loss=0", "2/3 loss=0.5", "3/3 latency_ms=200"]
    content = json.loads(file.path.read_text())
    assert [v for v, _ in points_on(content, "loss")] == ["0", "0.5"]
    assert [v for v, _ in points_on(content, "latency_ms")] == ["0", "200"]
    assert points_on(content, "loss")[1][1]["rsdfm"]["gain_iou_long"] == pytest.approx(0.1)
    assert content["points"][1]["protocol"]["disturbance"]["loss"] == 0.5
    assert points_on(content, "uavs") == []


def test_attacks_are_swept_by_kind_and_number() -> None:
    (attack,) = axes("attack=fabricated/1, erased/2", disturb="loss=0.1")
    assert [c.disturbance for c in attack.cases] == [
        Disturbance(loss=0.1, attackers=1, attack_kind="fabricated"),
        Disturbance(loss=0.1, attackers=2, attack_kind="erased"),
    ]
    assert {v.partition("/")[0] for v in GRID["attack"]} == set(KINDS)


def test_points_of_a_file_from_before_there_were_kinds_of_attack_are_found(tmp_path: Path) -> None:
    path, wanted = tmp_path / "sweep.json", axes("attackers=1")
    run_sweep(wanted, SweepFile(path, COMMON, wanted), Counter())
    content = json.loads(path.read_text())
    del content["points"][0]["case"]["attack_kind"]
    path.write_text(json.dumps(content))
    again = Counter()
    run_sweep(wanted, SweepFile(path, COMMON, wanted), again)
    assert again.cases == []


def test_an_interrupted_sweep_goes_on_where_it_ended(tmp_path: Path) -> None:
    path, wanted = tmp_path / "sweep.json", axes("loss=0,0.1,0.2,0.5")
    with pytest.raises(KeyboardInterrupt, match=r"2 of 4 points are saved in .*sweep\.json"):
        run_sweep(wanted, SweepFile(path, COMMON, wanted), Counter(stop_at=2))
    assert [v for v, _ in points_on(json.loads(path.read_text()), "loss")] == ["0", "0.1"]
    rest = Counter()
    run_sweep(wanted, SweepFile(path, COMMON, wanted), rest)
    assert rest.titles == ["3/4 loss=0.2", "4/4 loss=0.5"]
    more, again = axes("loss=1", "drop_uavs=1"), Counter()
    run_sweep(more, SweepFile(path, COMMON, more), again)
    assert len(again.cases) == 2
    assert [v for v, _ in points_on(json.loads(path.read_text()), "loss")] == ["0", "0.1", "0.2", "0.5", "1"]


def test_a_file_of_something_else_is_not_mixed_with(tmp_path: Path) -> None:
    path, wanted = tmp_path / "sweep.json", axes("loss=0")
    run_sweep(wanted, SweepFile(path, COMMON, wanted), Counter())
    with pytest.raises(SweepError, match="something else"):
        SweepFile(path, COMMON | {"seed": 9000}, wanted)
    for text in ("{", "[]", '{"results": []}'):
        path.write_text(text)
        with pytest.raises(SweepError):
            SweepFile(path, COMMON, wanted)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_plot_shows_every_axis(tmp_path: Path, ending: str) -> None:
    wanted = axes("loss=0,0.5", "pose=0/0,1/1", "attackers=1")
    file = SweepFile(tmp_path / "sweep.json", COMMON, wanted)
    run_sweep(wanted, file, Counter())
    out = tmp_path / "plots" / f"sweep.{ending}"
    write_plot(file.content, out)
    data = out.read_bytes()
    if ending == "svg":
        text = data.decode()
        assert all(word in text for word in ("lost messages", "pose noise", "attackers", "rsdfm", "0.5"))
        write_plot(file.content, tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == data
    else:
        assert data.startswith(b"\x89PNG")


def test_nothing_to_plot_and_unknown_endings_are_said(tmp_path: Path) -> None:
    wanted = axes("loss=0")
    file = SweepFile(tmp_path / "sweep.json", COMMON, wanted)
    with pytest.raises(RsdfmError, match="nothing"):
        write_plot(file.content, tmp_path / "a.svg")
    run_sweep(wanted, file, Counter())
    with pytest.raises(RsdfmError, match=r"a\.doc"):
        write_plot(file.content, tmp_path / "a.doc")
