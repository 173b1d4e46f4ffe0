"""Settings become declared parameters with descriptors; what is not allowed is refused with a sentence."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("rclpy")
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsdfm_ros.nodes.core.parameters import SettingError, declare
from rsdfm_ros.nodes.uav import settings
from rsdfm_ros.settings import setting
from support.own_domains import new_domain


@dataclasses.dataclass(frozen=True)
class Example:
    """Every kind of setting."""

    on: bool = setting(True, "a switch")
    count: int = setting(3, "a count", low=1, high=9, read_only=True)
    wait_s: float = setting(0.5, "a time, s", low=0.0, high=10.0)
    mode: str = setting("slow", "a mode", choices=("slow", "fast"))
    names: tuple[str, ...] = setting((), "names")
    offset: tuple[float, ...] = setting((0.0, 0.0), "an offset, m", length=(2,))


@pytest.fixture
def context():
    made = Context()
    rclpy.init(context=made, domain_id=new_domain())
    yield made
    rclpy.shutdown(context=made)


def declared(context: Context, **values: object) -> Example:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = Node("example", context=context, parameter_overrides=overrides, start_parameter_services=False)
    try:
        return declare(node, Example)
    finally:
        node.destroy_node()


def test_defaults_come_from_the_dataclass(context: Context) -> None:
    assert declared(context) == Example()


def test_values_reach_the_dataclass_typed(context: Context) -> None:
    values = {
        "on": False,
        "count": 9,
        "wait_s": 2.5,
        "mode": "fast",
        "names": ["a", "b"],
        "offset": [1.0, 2.0],
    }
    expected = Example(False, 9, 2.5, "fast", ("a", "b"), (1.0, 2.0))
    assert declared(context, **values) == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"on": "yes"}, "parameter on of example: expected true or false"),
        ({"count": 10}, "count of example: expected an integer such as 5, from 1 to 9"),
        ({"wait_s": 5}, "wait_s of example: expected a number with a decimal point"),
        ({"wait_s": -1.0}, "from 0.0 to 10.0"),
        ({"mode": "medium"}, "expected one of 'slow', 'fast', got 'medium'"),
        ({"names": [1, 2]}, "a list of texts"),
        ({"offset": [1.0]}, "with 2 elements"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(context: Context, values: dict, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence.replace("[", r"\[")):
        declared(context, **values)


def test_descriptors_carry_text_range_and_read_only(context: Context) -> None:
    node = Node("example", context=context, start_parameter_services=False)
    declare(node, Example)
    descriptor = node.describe_parameter("count")
    assert descriptor.read_only and descriptor.description == "a count"
    assert descriptor.additional_constraints.endswith("changed: never")
    assert not node.describe_parameter("wait_s").read_only
    assert (descriptor.integer_range[0].from_value, descriptor.integer_range[0].to_value) == (1, 9)
    node.destroy_node()


@pytest.mark.parametrize(
    "kind",
    [v for v in vars(settings).values() if isinstance(v, type) and dataclasses.is_dataclass(v)],
    ids=lambda k: k.__name__,
)
def test_every_node_can_declare_its_defaults(context: Context, kind: type) -> None:
    node = Node("example", context=context, start_parameter_services=False)
    assert declare(node, kind) == kind()
    node.destroy_node()
