"""The checklist of docs/tutorials/two_drones.md over a running fleet: each step with what to mend.

It is made of the diagnostics that the nodes publish: statuses as live_check prints them, with `values`, the UAV
(`agent`), how far the stamps of its diagnostics were behind this computer's clock (`behind_s`, the least), and how
often it took images (`images_hz`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsdfm_ros.doctor.checks import Check

TUTORIAL = "docs/tutorials/two_drones.md"
LEAST_IMAGES_HZ = 2.0
APART_S, BEHIND_S = 0.1, 1.0
"""Clocks: UAVs among each other, and to this computer."""
OTHER_CLOCK_S = 3600.0
"""Farther behind, stamps are those of a simulation or replay."""
MOST_MOVED_M, MOST_TURNED_DEG = 0.5, 0.5
_PLACES = ("geo_origin", "geo_origin_conflict", "geo_far", "geo_no_fix", "frame_id")

Statuses = Sequence[Mapping[str, Any]]


def checklist(statuses: Statuses) -> Iterator[Check]:
    """One check per step, in the order of the tutorial; nothing where no node was heard."""
    if not statuses:
        return
    yield _topics(statuses)
    yield _rates(statuses)
    yield _clocks(statuses)
    yield _image_times(statuses)
    yield _world(statuses)
    peers = [s for s in statuses if _concern(s).startswith("peer ")]
    yield _overlap(statuses, peers)
    yield _residuals(peers)


def _check(step: str, wrong: Sequence[str], fine: str, cure: str) -> Check:
    name = f"step: {step}"
    return Check(name, "warning", "; ".join(wrong), cure) if wrong else Check(name, "ok", fine)


def _topics(statuses: Statuses) -> Check:
    wrong = [f"{_agent(s)}: {s['message']}" for s in statuses if _concern(s) == "inputs" and s["level"]]
    return _check(
        "topics", wrong, "all inputs come", "remap the topic, or mend its quality of service or its driver"
    )


def _rates(statuses: Statuses) -> Check:
    rates = {_agent(s): float(s["images_hz"]) for s in statuses if s.get("images_hz") is not None}
    wrong = [f"{a}: {hz:.1f} images per second" for a, hz in sorted(rates.items()) if hz < LEAST_IMAGES_HZ]
    shown = ", ".join(f"{a} {hz:.1f}" for a, hz in sorted(rates.items()))
    cure = f"let the camera publish at {LEAST_IMAGES_HZ:g} Hz and more"
    return _check("rates", wrong, f"images per second: {shown or 'not told'}", cure)


def _clocks(statuses: Statuses) -> Check:
    behind: dict[str, float] = {}
    uavs = _uavs(statuses)  # evaluators and the like run by another clock in a simulation
    for status in statuses:
        if status.get("behind_s") is not None and _agent(status) in uavs:
            agent, lag_s = _agent(status), float(status["behind_s"])
            behind[agent] = min(behind.get(agent, lag_s), lag_s)
    real = {agent: s for agent, s in sorted(behind.items()) if abs(s) < OTHER_CLOCK_S}
    shown = ", ".join(f"{agent} {s:+.3f} s" for agent, s in real.items())
    if behind and not real:
        return _check("clocks", [], "stamps are those of a simulation or replay", "")
    wrong = []
    if real and max(real.values()) - min(real.values()) > APART_S:
        wrong.append(f"clocks of the UAVs are more than {APART_S:g} s apart: behind this one {shown}")
    elif real and max(map(abs, real.values())) > BEHIND_S:
        wrong.append(f"clocks are more than {BEHIND_S:g} s from that of this computer: {shown}")
    if len(real) < len(behind):
        wrong.append(f"of other clocks: {', '.join(sorted(behind.keys() - real.keys()))}")
    cure = "run chrony on all computers, and time synchronisation between autopilot and computer"
    return _check("clocks", wrong, f"behind this computer: {shown or 'not told'}", cure)


def _image_times(statuses: Statuses) -> Check:
    found = [s for s in statuses if _concern(s) == "image time"]
    wrong = [f"{_agent(s)}: {s['message']}" for s in found if s["level"]]
    fine = (
        "; ".join(f"{_agent(s)}: {s['message']}" for s in found) or "not watched (set watch_image_time: true)"
    )
    return _check("time of images", wrong, fine, "record a flight and run `rsdfm calibrate time BAG`")


def _world(statuses: Statuses) -> Check:
    wrong = []
    for status in statuses:
        if _concern(status) == "refused":
            numbers = {r: v for r, v in status.get("values", {}).items() if r in _PLACES}
            wrong += [f"{_agent(status)}: {v} times {r}" for r, v in sorted(numbers.items())]
    cure = "give all UAVs the same geo_origin, or the pose_origin of each (docs/inputs.md)"
    return _check("world", wrong, "poses are in one frame", cure)


def _overlap(statuses: Statuses, peers: Statuses) -> Check:
    wrong = [f"{_agent(s)}: {_concern(s)} {s['message']}" for s in peers if s["level"]]
    if len(_uavs(statuses)) > 1 and not peers:
        wrong.append("no UAV hears another one")
    common = [s for s in peers if "common_objects" in s.get("values", {})]
    if peers and not wrong and not common:
        wrong.append(
            "UAVs hear each other and correct no pose by common objects: there are too few, or poses count as exact"
        )
    shown = ", ".join(
        f"{_agent(s)} and {_concern(s)[5:]}: {s['values']['common_objects']} common objects" for s in common
    )
    cure = (
        "check the radio (docs/rmw.md); fly closer and look at the same ground, over vehicles; set pose_sigma_m and "
        "pose_sigma_deg where the poses have no covariance"
    )
    return _check("overlap", wrong, shown or "one UAV alone", cure)


def _residuals(peers: Statuses) -> Check:
    wrong, shown = [], []
    for status in peers:
        values = status.get("values", {})
        moved, turned = _number(values.get("moved_m")), _number(values.get("turned_deg"))
        if moved is None or turned is None:
            continue
        words = f"{_agent(status)} moves {_concern(status)} by {moved:.2f} m and {turned:.2f}°"
        shown.append(words)
        if moved > MOST_MOVED_M or turned > MOST_TURNED_DEG:
            wrong.append(words)
    cure = (
        "record a flight and run `rsdfm calibrate mount BAG`; check geo_altitude, and pose_sigma_m, "
        "pose_sigma_deg against what the autopilot reaches"
    )
    return _check("residuals", wrong, "; ".join(shown) or "no common objects yet", cure)


def _uavs(statuses: Statuses) -> set[str]:
    return {_agent(s) for s in statuses if _concern(s) == "pipeline"}


def _concern(status: Mapping[str, Any]) -> str:
    return str(status["name"]).partition(": ")[2]


def _agent(status: Mapping[str, Any]) -> str:
    return str(status.get("agent") or status["name"].partition(":")[0])


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
