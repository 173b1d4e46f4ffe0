"""Sweeps over disturbances, budgets and numbers of UAVs: one evaluation per point, kept in a file as it goes.

A file holds `points`: the settings and the results of every method with their gains over `single`. The same command
goes on where an earlier one ended; another model, data or protocol is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.kinds import COLLUDING, KINDS
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.protocol import Protocol
from rsdfm_ros.outputs import write_json

GRID: dict[str, tuple[str, ...]] = {
    "loss": ("0", "0.01", "0.05", "0.1", "0.2", "0.5", "1"),
    "latency_ms": ("0", "100", "200", "400", "800"),
    "pose": ("0/0", "0.2/0.2", "0.5/0.5", "1/1", "2.5/5"),
    "bias": ("0/0", "0.2/0.2", "0.5/0.5", "1/1", "2.5/5"),
    "uavs": ("1", "2", "4", "8"),
    "budget_bytes": ("2000", "5000", "10000", "18000", "25000", "50000"),
    "attackers": ("0", "1", "2"),
    "drop_uavs": ("0", "1", "2", "3"),
    "attack": tuple(f"{kind}/{n}" for kind in KINDS for n in (1, 2) if (kind, n) != (COLLUDING, 1)),
}
"""The grid of evaluation, axis by axis; `pose` and `bias` are metres/degrees, `attack` is the kind/number of
attackers."""

_PAIRS = {
    "pose": ("pose_sigma_m", "pose_sigma_deg"),
    "bias": ("pose_bias_m", "pose_bias_deg"),
    "attack": ("attack_kind", "attackers"),
}
_NOISE = "metres/degrees as in 0.5/0.5"
_EXAMPLES = {"pose": _NOISE, "bias": _NOISE, "attack": "kind/number as in fabricated/1"}


class SweepError(RsdfmError):
    """A sweep that cannot be parsed, or a file of another one."""


@dataclass(frozen=True)
class Case:
    """Settings that one evaluation changes: the disturbance, and where not None the budget and the number of UAVs."""

    disturbance: Disturbance
    budget_bytes: int | None = None
    uavs: int | None = None

    def key(self) -> dict[str, Any]:
        """JSON-able; equal for equal cases."""
        out: dict[str, Any] = dataclasses.asdict(self.disturbance)
        return out | {"budget_bytes": self.budget_bytes, "uavs": self.uavs}


@dataclass(frozen=True)
class Axis:
    """One quantity that is swept: its values as written, and the case of each."""

    name: str
    values: tuple[str, ...]
    cases: tuple[Case, ...]


def parse_sweeps(texts: Sequence[str], disturb: str, budget_bytes: int, uavs: int) -> list[Axis]:
    """Axes of `name=value,value…`; `grid` stands for all of GRID. `disturb` holds for every case.

    Raises: SweepError, DisturbanceError.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if text.strip() == "grid":
            wanted |= GRID
        elif not equals or not values.strip(","):
            raise SweepError(
                f"cannot read --sweep {text!r}: expected grid, or name=value,value… as in loss=0,0.1,0.5"
            )
        elif name in wanted and "grid" not in texts:
            raise SweepError(f"{name} is swept twice")
        else:
            wanted[name] = tuple(dict.fromkeys(v.strip() for v in values.split(",") if v.strip()))
    base = parse_disturbance(disturb)
    return [
        Axis(name, values, tuple(_case(name, v, base, budget_bytes, uavs) for v in values))
        for name, values in wanted.items()
    ]


def _case(name: str, value: str, base: Disturbance, budget_bytes: int, uavs: int) -> Case:
    plain = Case(base, budget_bytes, uavs)
    if name in ("budget_bytes", "uavs"):
        if not value.isdecimal() or int(value) < 1:
            raise SweepError(f"{name}={value}: expected a positive whole number")
        return dataclasses.replace(plain, **{name: int(value)})
    if name in _PAIRS:
        first, slash, second = value.partition("/")
        if not slash:
            raise SweepError(f"{name}={value}: expected {_EXAMPLES[name]}")
        change = ",".join(f"{k}={v}" for k, v in zip(_PAIRS[name], (first, second), strict=True))
    elif name in {f.name for f in dataclasses.fields(Disturbance)}:
        change = f"{name}={value}"
    else:
        known = [f.name for f in dataclasses.fields(Disturbance)]
        raise SweepError(
            f"cannot sweep {name!r}: expected {', '.join([*known, *_PAIRS, 'budget_bytes', 'uavs'])}"
        )
    changed = parse_disturbance(change)
    names = [part.partition("=")[0] for part in change.split(",")]
    return dataclasses.replace(
        plain, disturbance=dataclasses.replace(base, **{n: getattr(changed, n) for n in names})
    )


Evaluate = Callable[[Case, str], tuple[Protocol, list[dict[str, Any]]]]
"""Evaluates a case, given also a few words for the progress bar: the protocol and a row per method."""


class SweepFile:
    """The results so far, on disk after every point. provenance: of the points that are added."""

    def __init__(
        self,
        path: Path,
        common: Mapping[str, Any],
        axes: Sequence[Axis],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._provenance = dict(provenance or {})
        self._content: dict[str, Any] = {"common": dict(common), "axes": [], "points": []}
        if path.exists():
            self._content = _read(path)
            self._content["common"].setdefault(
                "world", {}
            )  # files that were written before there were other worlds
            if self._content["common"] != self._content["common"] | dict(common):
                raise SweepError(
                    f"{path} holds a sweep of something else (another model, other scenes or methods): "
                    "give another --json, or delete it"
                )
        known = {axis["name"]: axis for axis in self._content["axes"]}
        for axis in axes:
            values = dict.fromkeys([*known.get(axis.name, {}).get("values", []), *axis.values])
            known[axis.name] = {"name": axis.name, "values": list(values)}
        self._content["axes"] = list(known.values())
        self._axes = tuple(axes)
        self._label()

    @property
    def content(self) -> dict[str, Any]:
        """Content of the file."""
        return self._content

    def find(self, case: Case) -> dict[str, Any] | None:
        """The point of a case that was evaluated before."""
        key, default = case.key(), dataclasses.asdict(Disturbance())  # older files lack newer disturbances
        return next((p for p in self._content["points"] if default | p["case"] == key), None)

    def add(self, case: Case, protocol: Protocol, results: list[dict[str, Any]]) -> None:
        """Keep a point, and write the file."""
        self._content["points"].append(
            {
                "case": case.key(),
                "protocol": protocol.to_dict(),
                "results": results,
                "provenance": self._provenance,
            }
        )
        self._label()
        self.write()

    def _label(self) -> None:
        """Note the axes and values of every point."""
        for axis in self._axes:
            for value, case in zip(axis.values, axis.cases, strict=True):
                point = self.find(case)
                if point is not None:
                    point.setdefault("on", {})[axis.name] = value

    def write(self) -> None:
        """Write the file in one step."""
        write_json(self.path, self._content, indent=1)


def run_sweep(axes: Sequence[Axis], file: SweepFile, evaluate: Evaluate) -> None:
    """Evaluates every case that the file does not hold yet.

    Raises: KeyboardInterrupt that names the saved points, after Ctrl-C; RsdfmError.
    """
    named = [(f"{a.name}={v}", c) for a in axes for v, c in zip(a.values, a.cases, strict=True)]
    count = len({json.dumps(c.key()) for _, c in named})
    done = len({json.dumps(c.key()) for _, c in named if file.find(c) is not None})
    try:
        for name, case in named:
            if file.find(case) is None:
                file.add(case, *evaluate(case, f"{done + 1}/{count} {name}"))
                done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {count} points are saved in {file.path}; the same command goes on from there"
        ) from None
    file.write()


def points_on(content: Mapping[str, Any], axis: str) -> list[tuple[str, dict[str, Any]]]:
    """The points of an axis in the order of its values: (value, rows by method)."""
    order = next((a["values"] for a in content["axes"] if a["name"] == axis), [])
    found = {p["on"][axis]: p for p in content["points"] if axis in p.get("on", {})}
    return [(v, {row["method"]: row for row in found[v]["results"]}) for v in order if v in found]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SweepError(f"{path} cannot be read: {error}: give another --json, or delete it") from error
    if not (isinstance(content, dict) and {"common", "axes", "points"} <= set(content)):
        raise SweepError(f"{path} is not the file of a sweep: give another --json")
    return content
