"""The builder of typed settings: strict, with what was expected and what came; former names work with a warning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.settings import Builder, setting


class WrongPlan(RsdfmError):
    """Error class that the builder of these tests raises."""


@dataclass(frozen=True)
class Leg:
    """A part of a plan."""

    length_m: float = setting(words="a length in metres", low=0.0)
    via: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One field of every kind."""

    count: int = setting(2, "a count", low=1, high=9)
    speed_mps: float = setting(3.0, "a speed, m/s", low=0.0, renamed_from="velocity")
    mode: str = setting("slow", "a mode", choices=("slow", "fast"))
    on: bool = False
    area: tuple[int, int] = (4, 4)
    corners: tuple[float, ...] = setting((), length_of=3)
    legs: tuple[Leg, ...] = ()
    first: Leg | None = None
    named: Mapping[str, Leg] = setting(factory=dict)
    rules: Mapping[str, str] = setting(factory=dict, pattern="[a-z]+", words="lower-case letters")

    def check(self, where: str) -> None:
        if self.count > len(self.mode):
            raise WrongPlan(f"{where}count: more than the mode has letters")


STRICT = Builder(WrongPlan, "the plan")
LENIENT = Builder(WrongPlan, "the plan", lenient=True)


def test_values_become_what_the_fields_say() -> None:
    given = {
        "count": 3,
        "speed_mps": 2,
        "area": [5, 6],
        "corners": [1, 2, 3.5],
        "legs": [{"length_m": 1.0, "via": ["a"]}],
        "first": {"length_m": 2.0},
        "named": {"home": {"length_m": 3.0}},
        "rules": {"a": "b"},
    }
    plan = STRICT.build(Plan, given)
    assert plan == Plan(
        3,
        2.0,
        area=(5, 6),
        corners=(1.0, 2.0, 3.5),
        legs=(Leg(1.0, ("a",)),),
        first=Leg(2.0),
        named={"home": Leg(3.0)},
        rules={"a": "b"},
    )
    assert isinstance(plan.speed_mps, float) and STRICT.build(Plan, {"first": None}) == Plan()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1], "the plan: expected a mapping, got [1]"),
        ({"colour": 1}, "unknown setting colour; the plan can have: area, corners, count"),
        ({"first": {"lenght_m": 1}}, "unknown setting first.lenght_m; first can have: length_m, via"),
        ({"first": {}}, "first.length_m: expected a length in metres, got nothing"),
        ({"first": {"length_m": -1}}, "first.length_m: expected a length in metres, got -1"),
        ({"count": True}, "count: expected an integer, got True"),
        ({"count": "3"}, "count: expected an integer, got '3'"),
        ({"count": 3.0}, "count: expected an integer, got 3.0"),
        ({"count": 10}, "count: expected 1 to 9, got 10"),
        ({"count": 5}, "count: more than the mode has letters"),
        ({"speed_mps": math.nan}, "speed_mps: expected a finite number, got nan"),
        ({"mode": "medium"}, "mode: expected `slow` or `fast`, got 'medium'"),
        ({"mode": 3}, "mode: expected a text, got 3"),
        ({"on": 1}, "on: expected true or false, got 1"),
        ({"area": [1, 2, 3]}, "area: expected a list of 2, got [1, 2, 3]"),
        ({"corners": [1, 2]}, "corners: expected 3 numbers, or a multiple of that, got [1, 2]"),
        ({"corners": "abc"}, "corners: expected a list, got 'abc'"),
        ({"legs": [{"length_m": "far"}]}, "legs[0].length_m: expected a finite number, got 'far'"),
        ({"named": [1]}, "named: expected a mapping, got [1]"),
        ({"named": {1: {}}}, "named: expected a text, got 1"),
        ({"rules": {"A": "b"}}, "rules: expected lower-case letters, got 'A'"),
        ({"rules": {"a": "B"}}, "rules.a: expected lower-case letters, got 'B'"),
    ],
)
def test_a_refusal_says_where_what_was_expected_and_what_came(values: Any, sentence: str) -> None:
    with pytest.raises(WrongPlan) as refusal:
        STRICT.build(Plan, values)
    assert str(refusal.value).startswith(sentence)


def test_a_long_value_is_not_told_whole() -> None:
    with pytest.raises(WrongPlan) as refusal:
        STRICT.build(Plan, {"mode": "x" * 100_000})
    assert len(str(refusal.value)) < 300


def test_a_lenient_builder_reads_numbers_and_nothing_else() -> None:
    assert LENIENT.build(Plan, {"count": "3", "speed_mps": "1e-3"}) == Plan(3, 0.001)
    assert LENIENT.build(Plan, {"count": 4.0}).count == 4
    for wrong in ({"count": 2.5}, {"count": "many"}, {"count": True}, {"speed_mps": "inf"}, {"mode": 3}):
        with pytest.raises(WrongPlan, match="expected"):
            LENIENT.build(Plan, wrong)


def test_a_former_name_works_with_a_warning_and_not_beside_the_new_one() -> None:
    with pytest.warns(FutureWarning, match="velocity is called speed_mps now"):
        assert STRICT.build(Plan, {"velocity": 5.0}).speed_mps == 5.0
    with pytest.raises(WrongPlan, match="and both are given: leave velocity out"):
        STRICT.build(Plan, {"velocity": 5.0, "speed_mps": 5.0})


@pytest.mark.parametrize("count", [2**63, -(2**63), 10**90, "9" * 100, "9" * 101, "9" * 5000])
def test_integers_have_at_most_64_bits(count: Any) -> None:
    with pytest.raises(WrongPlan, match="count: expected an integer"):
        LENIENT.build(Plan, {"count": count})
