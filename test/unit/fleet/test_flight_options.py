"""What `rsdfm demo` flies, by its options; they are those of the description, with its limits."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from rsdfm_ros.fleet.commands import demo
from rsdfm_ros.fleet.commands.flight_options import flight_overrides
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import UavDescription
from rsdfm_ros.fleet.description.reading import load_fleet
from rsdfm_ros.fleet.specification import node_specifications
from rsdfm_ros.fleet.surroundings import surroundings_of
from support.places import ROOT

DEMO = ROOT / "config/fleet/demo.yaml"
TINY = f"random:{ROOT / 'test/support/tiny.yaml'}"


def flown(*words: str, **given: Any) -> FleetDescription:
    """The fleet of a command line."""
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return load_fleet(DEMO, {"model": TINY, **flight_overrides(parser.parse_args(words), given)})


def test_the_options_replace_settings_of_the_description() -> None:
    fleet = flown(
        *("--uavs", "2", "--seed", "9123", "--style", "industrial", "--weather", "night"),
        *("--budget-bytes", "2000"),
    )
    assert (fleet.uavs, fleet.uav.budget_bytes, fleet.in_lockstep) == (2, 2000, True)
    [world] = [s for s in node_specifications(fleet) if s.executable == "sim_node"]
    assert world.parameters["seed"] == 9123 and world.parameters["uavs"] == 2
    assert (world.parameters["style"], world.parameters["weather"]) == ("industrial", "night")


def test_without_options_the_demo_is_as_described() -> None:
    assert flown() == load_fleet(DEMO, {"model": TINY})


def test_a_rate_ends_the_lockstep_and_its_long_wait_for_peers() -> None:
    fleet = flown("--rate", "2")
    assert not fleet.in_lockstep and fleet.world.real_time_factor == 2.0
    assert fleet.uav.peer_wait_s == UavDescription().peer_wait_s < 1.0
    assert flown("--rate", "2", **{"uav.peer_wait_s": 0.4}).uav.peer_wait_s == 0.4
    assert flown("--rate", "max") == flown()


def test_the_map_of_the_page_is_that_of_the_style() -> None:
    usual = surroundings_of(flown("--seed", "9001"))
    other = surroundings_of(flown("--seed", "9001", "--style", "carpark"))
    assert usual is not None and other is not None and usual.buildings != other.buildings


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--uavs", "9"), "uavs: expected 1 to 8, got 9"),
        (("--uavs", "two"), "--uavs: expected an integer, got 'two'"),
        (("--seed", "-1"), "--seed: expected 0 to"),
        (("--style", "moon"), "--style: expected `block` or"),
        (("--weather", "snow"), "--weather: expected `clear` or"),
        (("--budget-bytes", "10"), "--budget-bytes: expected 1000 to"),
        (("--rate", "fast"), "rate: expected a number from 0.01 to 100, or `max`, got 'fast'"),
        (("--rate", "0"), "rate: expected a number"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_a_sentence(
    words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(FleetDescriptionError, match=sentence.replace("(", r"\(").replace(".", r"\.")):
        flown(*words)


def test_a_world_of_gazebo_has_the_standard_place() -> None:
    with pytest.raises(FleetDescriptionError, match=r"world\.style: expected `block` with a world"):
        load_fleet(DEMO, {"world.kind": "gazebo", "world.style": "suburb"})
