"""Access rules of a fleet: who may write and read what, as DDS Security decides it, in documents of its form."""

from __future__ import annotations

import fnmatch
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rsdfm_ros import cli
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.security.rules import Grant, grants

# Names and order of elements after the schemas of DDS Security 1.1 (omg_shared_ca_governance.xsd and _permissions.xsd).
DOMAIN_RULE = [
    "domains",
    "allow_unauthenticated_participants",
    "enable_join_access_control",
    "discovery_protection_kind",
    "liveliness_protection_kind",
    "rtps_protection_kind",
    "topic_access_rules",
]
TOPIC_RULE = [
    "topic_expression",
    "enable_discovery_protection",
    "enable_liveliness_protection",
    "enable_read_access_control",
    "enable_write_access_control",
    "metadata_protection_kind",
    "data_protection_kind",
]
KINDS = {f"{kind}{origin}" for kind in ("ENCRYPT", "SIGN") for origin in ("", "_WITH_ORIGIN_AUTHENTICATION")}
GRANT = ["subject_name", "validity", "allow_rule", "default"]


def by_enclave(**description: object) -> dict[str, Grant]:
    return {grant.enclave: grant for grant in grants(fleet_from_dict(description))}


def may(expressions: tuple[str, ...], topic: str) -> bool:
    """As DDS Security matches: fnmatch, * also across slashes."""
    return any(fnmatch.fnmatchcase(topic, expression) for expression in expressions)


def test_a_uav_writes_its_own_features_only_and_reads_those_of_its_peers() -> None:
    found = by_enclave(uavs=12, world={"kind": "none"})
    assert [*found] == [*(f"/uav{n}" for n in range(1, 13)), "/ground"]
    for enclave, grant in found.items():
        for n in range(1, 13):
            for topic in (f"rt/uav{n}/bev/features", f"rt/uav{n}/bev/demand"):
                assert may(grant.publish, topic) == (enclave == f"/uav{n}")
                assert may(grant.subscribe, topic)


def test_a_uav_does_what_its_nodes_need() -> None:
    grant = by_enclave(uavs=2)["/uav1"]
    for topic in ("status", "detections", "single/occupancy", "encoder_node/transition_event"):
        assert may(grant.publish, f"rt/uav1/{topic}")
    for topic in ("camera/image_raw", "camera/camera_info", "pose", "ground/range"):
        assert may(grant.subscribe, f"rt/uav1/{topic}")
    for topic in ("ros_discovery_info", "rt/diagnostics", "rt/rosout", "rt/parameter_events"):
        assert may(grant.publish, topic)
    assert may(grant.subscribe, "rt/clock") and not may(grant.publish, "rt/clock")
    for node in ("encoder_node", "collaboration_node"):
        assert may(grant.subscribe, f"rq/uav1/{node}/set_parametersRequest")
        assert may(grant.publish, f"rr/uav1/{node}/change_stateReply")


def test_nobody_calls_services_of_a_uav() -> None:
    found = by_enclave(uavs=3)
    for grant in found.values():
        for service in ("set_parameters", "change_state", "get_parameters", "set_parameters_atomically"):
            assert not may(grant.publish, f"rq/uav1/encoder_node/{service}Request")
    for grant in (found["/uav2"], found["/ground"]):
        assert not may(grant.publish, "rr/uav1/encoder_node/set_parametersReply")


def test_the_ground_station_reads_everything_and_writes_nothing_that_uavs_take() -> None:
    ground = by_enclave(uavs=2)["/ground"]
    for topic in ("rt/uav1/camera/image_raw", "rt/uav2/status", "rt/diagnostics", "rt/rosout"):
        assert may(ground.subscribe, topic)
    for topic in ("rt/uav1/pose", "rt/uav9/bev/features", "rt/clock", "rt/tf"):
        assert not may(ground.publish, topic)
    with pytest.raises(FleetDescriptionError, match="name of the ground station"):
        by_enclave(members=[{"name": "ground"}])


def test_namespaces_and_remapped_topics_are_followed() -> None:
    members = [
        {"name": "a", "remaps": {"bev/features": "/radio/a", "camera/image_raw": "/front/image"}},
        {"name": "b", "remaps": {"pose": "/team/a/pose"}},
    ]
    found = by_enclave(members=members, namespace_prefix="/team")
    a, b = found["/team/a"], found["/team/b"]
    assert (
        may(a.publish, "rt/radio/a") and may(b.subscribe, "rt/radio/a") and not may(b.publish, "rt/radio/a")
    )
    assert may(a.subscribe, "rt/front/image") and not may(b.subscribe, "rt/front/image")
    assert may(b.subscribe, "rt/team/a/pose") and not may(b.publish, "rt/team/a/pose")
    assert may(a.subscribe, "rt/team/b/bev/features")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    words = ["security", "init", "config/fleet/demo.yaml", "--out", str(tmp_path / "out"), "--domain", "7"]
    assert cli.main([*words, "--valid-from", "2026-01-01", "--valid-until", "2027-12-31"]) == 0
    return tmp_path / "out"


def test_the_governance_document_has_the_form_of_its_schema(written: Path) -> None:
    root = ET.parse(written / "governance.xml").getroot()
    rule = root.find("domain_access_rules/domain_rule")
    assert root.tag == "dds" and rule is not None
    assert [element.tag for element in rule] == DOMAIN_RULE and rule.findtext("domains/id") == "7"
    assert rule.findtext("allow_unauthenticated_participants") == "false"
    assert {element.text for element in rule if element.tag.endswith("protection_kind")} <= KINDS
    topics = rule.findall("topic_access_rules/topic_rule")
    expressions = [topic.findtext("topic_expression") for topic in topics]
    assert expressions == [*(f"rt/uav{n}/bev/features" for n in range(1, 5)), "*"]
    for topic in topics:
        assert [element.tag for element in topic] == TOPIC_RULE
        assert topic.findtext("enable_write_access_control") == "true"
        assert topic.findtext("metadata_protection_kind") in KINDS
        assert topic.findtext("data_protection_kind") in {"ENCRYPT", "SIGN", "NONE"}
    assert topics[0].findtext("metadata_protection_kind") == "ENCRYPT_WITH_ORIGIN_AUTHENTICATION"


def test_the_permissions_have_the_form_of_their_schema(written: Path) -> None:
    files = sorted(written.rglob("permissions.xml"))
    assert [f.parent.name for f in files] == ["ground", "uav1", "uav2", "uav3", "uav4"]
    for file in files:
        grant = ET.parse(file).getroot().find("permissions/grant")
        assert grant is not None and [element.tag for element in grant] == GRANT
        assert grant.get("name") == f"/{file.parent.name}"
        assert grant.findtext("subject_name") == f"CN=/{file.parent.name}"
        assert grant.findtext("validity/not_before") == "2026-01-01T00:00:00"
        assert grant.findtext("validity/not_after") == "2027-12-31T23:59:59"
        assert [e.tag for e in grant.find("allow_rule") or ()] == ["domains", "publish", "subscribe"]
        assert grant.findtext("allow_rule/domains/id") == "7" and grant.findtext("default") == "DENY"
        assert len(grant.findall("allow_rule/publish/topics/topic")) > 5


def test_the_same_fleet_gives_the_same_bytes_and_results_stay(written: Path, tmp_path: Path) -> None:
    before = {f.relative_to(written): f.read_bytes() for f in written.rglob("*.xml")}
    words = ["security", "init", "config/fleet/demo.yaml", "--out", str(written), "--domain", "7"]
    words += ["--valid-from", "2026-01-01", "--valid-until", "2027-12-31"]
    assert cli.main(words) == 2
    assert cli.main([*words, "--force"]) == 0
    assert {f.relative_to(written): f.read_bytes() for f in written.rglob("*.xml")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--domain", "233"], "--domain 233 is out of range"),
        (["--valid-from", "tomorrow"], "expected a day such as 2026-01-31"),
        (["--valid-from", "2030-01-01", "--valid-until", "2029-01-01"], "is before"),
    ],
)
def test_impossible_options_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["security", "init", "config/fleet/demo.yaml", "--out", str(tmp_path / "out")]
    assert cli.main([*common, *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
