"""`rsdfm doctor --live` walks through the checklist of the tutorial: every step that fails says what to mend."""

from __future__ import annotations

import re
from types import SimpleNamespace as Message
from typing import Any

from rsdfm_ros.doctor.checklist import checklist
from rsdfm_ros.nodes.checks.live_check import MAX_VALUES, Heard
from support.places import ROOT

STEPS = ["topics", "rates", "clocks", "time of images", "world", "overlap", "residuals"]


def status(
    agent: str, concern: str, level: int = 0, message: str = "fine", **values: object
) -> dict[str, Any]:
    return {
        "name": f"/{agent}/uav_node: {concern}",
        "level": level,
        "message": message,
        "agent": agent,
        "values": {k: str(v) for k, v in values.items()},
        "behind_s": 0.01,
        "images_hz": 10.0 if concern == "pipeline" else None,
    }


def healthy() -> list[dict[str, Any]]:
    out = []
    for agent, peer in (("uav1", "uav2"), ("uav2", "uav1")):
        out += [
            status(agent, "inputs"),
            status(agent, "pipeline", images=100),
            status(agent, "image time", message="agree with the poses"),
            status(agent, "refused", no_pose=1),
            status(agent, f"peer {peer}", moved_m="0.12", turned_deg="0.10", common_objects=7),
        ]
    return out


def found(statuses: list[dict[str, Any]]) -> dict[str, Any]:
    return {c.name.removeprefix("step: "): c for c in checklist(statuses)}


def changed(concern: str, **changes: Any) -> dict[str, Any]:
    statuses = healthy()
    for one in statuses:
        if one["name"] == f"/uav1/uav_node: {concern}":
            one.update(changes)
    return found(statuses)


def test_a_healthy_fleet_passes_every_step() -> None:
    checks = found(healthy())
    assert list(checks) == STEPS and {c.status for c in checks.values()} == {"ok"}
    assert "7 common objects" in checks["overlap"].found


def test_every_step_that_fails_says_what_to_mend_and_no_other_does() -> None:
    cases = {
        "topics": changed("inputs", level=2, message="no fix on /uav1/fix for 5 s"),
        "rates": changed("pipeline", images_hz=0.5),
        "time of images": changed("image time", level=1, message="set image_time_offset_s to 0.040"),
        "world": changed("refused", values={"geo_origin_conflict": "3"}),
        "overlap": changed("peer uav2", level=1, message="late: not waited for"),
        "residuals": changed(
            "peer uav2", values={"moved_m": "1.90", "turned_deg": "1.10", "common_objects": "7"}
        ),
    }
    for step, checks in cases.items():
        assert [s for s, c in checks.items() if c.status != "ok"] == [step], step
        assert checks[step].cure and "uav1" in checks[step].found
    assert "calibrate mount" in cases["residuals"]["residuals"].cure
    assert "calibrate time" in cases["time of images"]["time of images"].cure


def test_clocks_of_uavs_are_compared() -> None:
    statuses = healthy()
    for one in statuses:
        if one["agent"] == "uav2":
            one["behind_s"] = 0.4
    checks = found(statuses)
    assert checks["clocks"].status == "warning" and "uav2 +0.400 s" in checks["clocks"].found
    for one in statuses:
        one["behind_s"] = 1.7e9
    evaluator = {**status("", "work"), "name": "/evaluator_node: work", "behind_s": 0.0}
    told = found([*statuses, evaluator])["clocks"]
    assert told.status == "ok" and "simulation or replay" in told.found


def test_uavs_without_a_common_object_are_told() -> None:
    statuses = [s for s in healthy() if "peer" not in s["name"]]
    assert found(statuses)["overlap"].status == "warning"
    alone = [s for s in statuses if s["agent"] == "uav1"]
    assert found(alone)["overlap"].status == "ok"
    silent = healthy()
    for one in silent:
        if "peer" in one["name"]:
            one["values"] = {}
    assert "correct no pose" in found(silent)["overlap"].found


def test_nobody_is_no_checklist() -> None:
    assert not list(checklist([]))


def test_what_is_heard_has_rates_lags_and_bounded_values() -> None:
    heard = Heard(clock=lambda: 1012.5)
    for sec, images in ((1000, 40), (1010, 90)):
        values = [Message(key="images", value=str(images))]
        values += [Message(key=f"k{n}", value="v" * 999) for n in range(1000)]
        one = Message(
            name="/uav1/uav_node: pipeline", level=b"\x00", message="works", hardware_id="uav1", values=values
        )
        heard.take(Message(header=Message(stamp=Message(sec=sec, nanosec=0)), status=[one]))
    (told,) = heard.statuses()
    assert told["images_hz"] == 5.0 and told["behind_s"] == 2.5 and told["agent"] == "uav1"
    assert len(told["values"]) <= MAX_VALUES and max(map(len, told["values"].values())) <= 100


def test_the_page_lists_the_steps_that_are_checked() -> None:
    page = (ROOT / "docs" / "tutorials" / "two_drones.md").read_text()
    table = page[page.index("## The checklist") :]
    assert re.findall(r"^\| ([a-z ]+) \|", table, re.M)[1:] == STEPS
