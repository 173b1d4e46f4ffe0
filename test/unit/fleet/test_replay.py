"""A bag as the world of a fleet: which UAVs there are, how they are set, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsdfm_ros.cli import main
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import ReplayDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.replay import parse_rate, replay_fleet
from rsdfm_ros.fleet.specification import WORLD, node_specifications
from support.bag_data import make_bag
from support.places import TINY


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("bag") / "bag", 3)


def described() -> FleetDescription:
    return fleet_from_dict(
        {
            "uavs": 4,
            "model": f"random:{TINY}",
            "members": [{}, {"name": "uav2", "parameters": {"budget_bytes": 7000}}],
        }
    )


def test_the_bag_says_which_uavs_there_are(bag: Path) -> None:
    fleet, notes = replay_fleet(described(), ReplayDescription(bag=str(bag)))
    assert notes == [] and fleet.agents == ("uav1", "uav2") and fleet.world.kind == "replay"
    specs = {spec.name: spec for spec in node_specifications(fleet)}
    assert set(specs) == {"evaluator", "uav1", "uav2", "replay"}
    replay = specs["replay"]
    assert replay.role == WORLD and replay.executable == "replay_node"
    assert replay.parameters["bag"] == str(bag.absolute()) and replay.parameters["lockstep"] is True
    assert specs["uav2"].parameters["budget_bytes"] == 7000  # what was written for a UAV stays with it
    for name in ("uav1", "evaluator"):
        assert specs[name].parameters["use_sim_time"] is True
        assert specs[name].parameters["image_reliability"] == "reliable"
    assert specs["evaluator"].parameters["frames"] == 0  # it ends with the truth


def test_only_some_uavs_of_a_bag_are_run(bag: Path) -> None:
    fleet, notes = replay_fleet(described(), ReplayDescription(bag=str(bag)), uavs=["uav2"])
    specs = {spec.name: spec for spec in node_specifications(fleet)}
    assert notes == [] and set(specs) == {"evaluator", "uav2", "replay"}
    assert specs["replay"].parameters["agents"] == ["uav2"]
    assert specs["uav2"].parameters["budget_bytes"] == 7000
    with pytest.raises(RsdfmError, match="the bag has no uav7: it has uav1, uav2"):
        replay_fleet(described(), ReplayDescription(bag=str(bag)), uavs=["uav7"])


def test_a_rate_means_no_lockstep(bag: Path) -> None:
    fleet, _ = replay_fleet(described(), ReplayDescription(bag=str(bag)), rate=parse_rate("0.5"))
    specs = {spec.name: spec for spec in node_specifications(fleet)}
    assert specs["replay"].parameters["lockstep"] is False
    assert specs["replay"].parameters["real_time_factor"] == 0.5
    assert specs["uav1"].parameters["image_reliability"] == "reliable"
    assert specs["uav1"].parameters["features_reliability"] == "best_effort"


def test_without_truth_or_with_loops_nothing_is_judged(bag: Path, tmp_path: Path) -> None:
    fleet, notes = replay_fleet(described(), ReplayDescription(bag=str(bag), loops=2))
    assert not fleet.evaluator.enabled and notes == ["the answers are not scored"]
    with open_bag(bag) as opened, BagWriter(tmp_path / "blind") as writer:
        for message in opened.messages([t for t in opened.topics if t != "/ground_truth"]):
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
    fleet, notes = replay_fleet(described(), ReplayDescription(bag=str(tmp_path / "blind")))
    assert not fleet.evaluator.enabled and any("there is no truth" in n for n in notes)


def test_what_cannot_be_played_is_refused_with_a_sentence(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse_rate("max") is None
    for rate in ("fast", "1000", "nan", "-1"):
        with pytest.raises(FleetDescriptionError, match=r"0\.01 to 100, or `max`"):
            parse_rate(rate)
    with pytest.raises(BagError, match="does not exist"):
        replay_fleet(described(), ReplayDescription(bag="/nowhere"))
    with pytest.raises(FleetDescriptionError, match=r"replay.bag: expected the folder of a bag"):
        fleet_from_dict({"world": {"kind": "replay"}})
    assert main(["replay", "/nowhere"]) == 2
    assert "does not exist" in capsys.readouterr().err
