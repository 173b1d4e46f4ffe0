"""Settings become declared parameters with descriptors; what is not allowed is refused with a sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsdfm_ros.nodes.core.parameters import SettingError, declare_leniently
from rsdfm_ros.nodes.mission import bag_settings, gazebo_settings
from rsdfm_ros.nodes.mission import settings as mission_settings
from rsdfm_ros.nodes.uav import settings
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
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


def declare(node: Node, kind: type) -> Any:
    """The values that a node was started with; SettingError for the first bad one."""
    found, problems = declare_leniently(node, kind)
    for sentence in problems.values():
        raise SettingError(sentence)
    return found


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
    {
        v.__name__: v
        for module in (settings, mission_settings, bag_settings, gazebo_settings)
        for v in vars(module).values()
        if isinstance(v, type) and dataclasses.is_dataclass(v)
    }.values(),
    ids=lambda k: k.__name__,
)
def test_every_node_can_declare_its_defaults(context: Context, kind: type) -> None:
    node = Node("example", context=context, start_parameter_services=False)
    assert declare(node, kind) == kind()
    node.destroy_node()


# --- parameters that were renamed -------------------------------------------------------------------------------------

RENAMED = [
    (EncoderNode, "pictures_rectified", "images_rectified", True),
    (CollaborationNode, "resemblance", "map_consistency", 0.25),
]


def started_with(tmp_path: Path, kind: type[Any], **values: object) -> Any:
    """A node that a person starts with a parameter file."""
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    context = Context()
    rclpy.init(args=["--ros-args", "--params-file", str(file)], context=context, domain_id=new_domain())
    return kind(context=context, namespace="/uav1")


@pytest.mark.parametrize(("kind", "old", "new", "value"), RENAMED, ids=[new for _, _, new, _ in RENAMED])
def test_a_former_name_in_a_file_works_with_one_warning_that_names_the_new_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: type[Any], old: str, new: str, value: object
) -> None:
    node = started_with(tmp_path, kind, **{old: value})
    try:
        assert getattr(node.settings, new) == value == node.get_parameter(new).value
        assert not node.has_parameter(old)
        said = [line for line in capfd.readouterr().err.splitlines() if old in line]
        assert len(said) == 1 and f"parameter {old} is called {new} now" in said[0], said
        later = node.set_parameters([Parameter(old, value=value)])[0]
        assert later.reason == f"{node.get_name()}: parameter {old} is called {new} now"
        assert node.set_parameters([Parameter(new, value=node.get_parameter(new).value)])[0].successful
    finally:
        node.destroy_node()
        rclpy.shutdown(context=node.context)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"pictures_rectified": True, "images_rectified": True},
            "pictures_rectified is called images_rectified now, and both are given: leave pictures_rectified out",
        ),
        ({"pictures_rectified": "yes"}, "pictures_rectified of encoder_node: expected true or false"),
    ],
)
def test_both_names_or_a_wrong_value_under_the_former_one_refuse_the_configuration(
    tmp_path: Path, values: dict[str, object], sentence: str
) -> None:
    node = started_with(tmp_path, EncoderNode, **values)
    try:
        node.trigger_configure()
        assert node.state == "unconfigured" and sentence in node.last_error
    finally:
        node.destroy_node()
        rclpy.shutdown(context=node.context)


def test_a_new_name_is_taken_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    node = started_with(tmp_path, EncoderNode, images_rectified=True)
    try:
        assert node.settings.images_rectified and "is called" not in capfd.readouterr().err
    finally:
        node.destroy_node()
        rclpy.shutdown(context=node.context)
