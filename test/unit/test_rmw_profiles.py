"""Middleware profiles of config/rmw: well-formed, explained, and read by Fast DDS without complaint."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from support.places import ROOT

FOLDER = ROOT / "config" / "rmw"
XML = sorted(FOLDER.glob("*.xml"))
NAMESPACES = {"fastdds": "{http://www.eprosima.com}dds", "cyclonedds": "{https://cdds.io/config}CycloneDDS"}
MAX_FRAME_PAYLOAD = 1472
"""Bytes of UDP payload in an Ethernet frame of 1500 bytes."""


def test_every_profile_is_explained() -> None:
    page = (ROOT / "docs/rmw.md").read_text()
    files = [path.name for path in FOLDER.iterdir()]
    assert len(files) == 6
    for name in files:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("path", XML, ids=lambda p: p.stem)
def test_xml_profiles_are_well_formed(path: Path) -> None:
    assert ET.parse(path).getroot().tag == NAMESPACES[path.stem.partition("_")[0]]


def test_messages_of_radio_profiles_fit_one_frame() -> None:
    fast = ET.parse(FOLDER / "fastdds_wireless.xml").find(".//{*}maxMessageSize")
    cyclone = ET.parse(FOLDER / "cyclonedds.xml").find(".//{*}MaxMessageSize")
    assert fast is not None and int(fast.text or 0) <= MAX_FRAME_PAYLOAD
    assert cyclone is not None and int((cyclone.text or "").removesuffix("B")) <= MAX_FRAME_PAYLOAD


@pytest.mark.parametrize("name", ["zenoh_router", "zenoh_nodes"])
def test_zenoh_environments_override_keys_with_json_values(name: str) -> None:
    lines = [line for line in (FOLDER / f"{name}.env").read_text().splitlines() if not line.startswith("#")]
    values = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert values["RMW_IMPLEMENTATION"] == "rmw_zenoh_cpp"
    overrides = dict(part.split("=", 1) for part in values["ZENOH_CONFIG_OVERRIDE"].split(";"))
    assert {key: type(json.loads(value)) for key, value in overrides.items()} == {
        "connect/endpoints": list,
        "listen/endpoints": list,
        "scouting/multicast/enabled": bool,
    }


def complaints(profile: Path) -> str:
    """What Fast DDS says about a profile while a node is made."""
    pytest.importorskip("rclpy")
    program = (
        "import rclpy\n"
        "rclpy.init()\n"
        "if 'fastrtps' not in rclpy.get_rmw_implementation_identifier(): raise SystemExit(77)\n"
        "rclpy.create_node('reader').destroy_node()\n"
        "rclpy.shutdown()\n"
    )
    environment = {**os.environ, "FASTDDS_DEFAULT_PROFILES_FILE": str(profile)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    if done.returncode == 77:
        pytest.skip("the middleware is not Fast DDS")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", [p for p in XML if p.stem.startswith("fastdds")], ids=lambda p: p.stem)
def test_fast_dds_reads_its_profiles_without_complaint(path: Path, tmp_path: Path) -> None:
    assert "XMLPARSER" not in complaints(path)
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(path.read_text().replace("</rtps>", "<unheard_of/></rtps>"))
    assert "XMLPARSER" in complaints(wrong)
