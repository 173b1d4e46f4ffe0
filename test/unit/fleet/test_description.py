"""Fleet descriptions: the shipped ones load, wrong ones are refused with a sentence, specifications follow them."""

from pathlib import Path

import pytest
import yaml

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict, load_fleet, parse_override
from rsdfm_ros.fleet.specification import environment_of, node_specifications
from rsdfm_ros.model.manifest import FORMAT
from support.places import ROOT

TINY = f"random:{ROOT / 'test/support/tiny.yaml'}"


@pytest.mark.parametrize("path", sorted((ROOT / "config/fleet").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_shipped_descriptions_load(path: Path) -> None:
    assert load_fleet(path).name == path.stem


def test_defaults_are_those_of_the_dataclasses() -> None:
    assert fleet_from_dict({}) == FleetDescription()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"uavs": 0}, "uavs: expected 1 to 64, got 0"),
        ({"uavs": "four"}, "uavs: expected an integer, got 'four'"),
        ({"uavs": True}, "uavs: expected an integer, got True"),
        ({"drones": 4}, "unknown setting drones"),
        ({"world": {"sed": 1}}, "unknown setting world.sed"),
        ({"world": 3}, "world.: expected a mapping"),
        ({"world": {"kind": "real"}}, "world.kind: expected `simulation` or `gazebo`"),
        ({"world": {"lockstep": "yes"}}, "world.lockstep: expected true or false"),
        ({"uav": {"budget_bytes": 10}}, "uav.budget_bytes: expected 1000 to 10000000"),
        ({"uav": {"parameters": [1]}}, "uav.parameters: expected a mapping"),
        ({"network": {"domain": 400}}, "network.domain: expected -1 to 232"),
        ({"network": {"transport": "x; rm"}}, "network.transport"),
        (
            {"network": {"transport": "UDPv4"}},
            "'UDPv4' would have no effect with network.discovery_range LOCALHOST",
        ),
        ({"name": "My Fleet"}, "name: expected lower-case"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values: dict, sentence: str) -> None:
    with pytest.raises(FleetDescriptionError, match=sentence.replace("(", r"\(")):
        fleet_from_dict(values)


def test_a_transport_is_taken_where_it_has_an_effect() -> None:
    fleet = fleet_from_dict({"network": {"discovery_range": "SUBNET", "transport": "UDPv4"}})
    assert environment_of(fleet)["FASTDDS_BUILTIN_TRANSPORTS"] == "UDPv4"


def test_a_file_that_is_no_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[1, 2]")
    (tmp_path / "b.yaml").write_text("a: [")
    for name, words in (("a", "expected a mapping"), ("b", "cannot read"), ("c", "cannot read")):
        with pytest.raises(FleetDescriptionError, match=words):
            load_fleet(tmp_path / f"{name}.yaml")


def test_overrides_reach_nested_settings() -> None:
    path = ROOT / "config/fleet/demo.yaml"
    fleet = load_fleet(path, dict([parse_override("world.frames=7"), parse_override("uavs=2")]))
    assert (fleet.world.frames, fleet.uavs, fleet.agents) == (7, 2, ("uav1", "uav2"))
    with pytest.raises(FleetDescriptionError, match="name=value"):
        parse_override("frames")
    with pytest.raises(FleetDescriptionError, match="not a group"):
        load_fleet(path, {"uavs.frames": 3})


def test_a_composed_fleet_is_one_process_per_uav_plus_world_and_evaluator() -> None:
    fleet = fleet_from_dict({"uavs": 3, "model": TINY, "network": {"domain": 7}})
    specs = node_specifications(fleet, "out")
    assert [s.name for s in specs] == ["evaluator", "uav1", "uav2", "uav3", "sim"]
    assert all(s.environment["ROS_DOMAIN_ID"] == "7" for s in specs)
    assert specs[1].namespace == "/uav1" and specs[1].parameters["features_reliability"] == "reliable"
    assert specs[0].parameters["map_bounds_m"] == [-32.0, -32.0, 32.0, 32.0]
    assert yaml.safe_load(yaml.safe_dump(dict(specs[0].parameters))) == specs[0].parameters


@pytest.mark.parametrize(
    ("world", "images", "features"),
    [
        ({}, "reliable", "reliable"),
        ({"lockstep": False}, "reliable", "best_effort"),
        ({"kind": "none"}, "best_effort", "best_effort"),
    ],
)
def test_images_of_a_simulated_world_are_never_lost_on_their_way(
    world: dict[str, object], images: str, features: str
) -> None:
    specs = node_specifications(fleet_from_dict({"uavs": 2, "model": TINY, "world": world}), "out")
    for spec in (s for s in specs if "image_reliability" in s.parameters):
        assert spec.parameters["image_reliability"] == images, spec.name
        assert spec.parameters["features_reliability"] == features, spec.name


def test_a_fleet_of_single_nodes_has_a_process_per_node_and_fuses_through_topics() -> None:
    fleet = fleet_from_dict(
        {"uavs": 1, "model": TINY, "uav": {"composed": False}, "evaluator": {"enabled": False}}
    )
    specs = node_specifications(fleet)
    assert [s.executable for s in specs if s.role == "uav"] == [
        "encoder_node",
        "collaboration_node",
        "detection_head_node",
        "segmentation_head_node",
        "trajectory_head_node",
    ]
    assert all(s.parameters["publish_fused"] for s in specs if s.role == "uav")


def test_an_unreadable_model_is_refused_before_anything_starts() -> None:
    with pytest.raises(FleetDescriptionError, match=r"manifest\.yaml"):
        node_specifications(fleet_from_dict({"model": "no/such/folder"}))


@pytest.mark.parametrize("config", [5, {"name": "a", "colour": 3}, {"name": "a", "channels": "many"}])
def test_a_damaged_manifest_is_refused_with_the_name_of_its_model(tmp_path: Path, config: object) -> None:
    manifest = {"format": FORMAT, "config": config, "weights_sha256": "0" * 64}
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(FleetDescriptionError, match=r"its manifest\.yaml is damaged: "):
        node_specifications(fleet_from_dict({"model": str(tmp_path)}))


def test_former_names_of_node_parameters_work_with_a_warning() -> None:
    with pytest.warns(
        FutureWarning, match=r"uav\.parameters\.resemblance is called uav\.parameters\.map_consistency"
    ):
        fleet = fleet_from_dict({"uav": {"parameters": {"resemblance": 0.3}}})
    assert fleet.uav.parameters == {"map_consistency": 0.3}
    with pytest.raises(FleetDescriptionError, match="both are given"):
        fleet_from_dict({"members": [{"parameters": {"resemblance": 0.3, "map_consistency": 0.3}}]})
