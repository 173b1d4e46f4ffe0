"""The generated pages say what the code says."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rsdfm_ros.fleet.description.reading import fleet_from_dict


def test_the_page_about_fleets_is_what_the_code_says(root: Path) -> None:
    script = runpy.run_path(str(root / "scripts" / "fleet_docs.py"))
    assert (root / "docs" / "fleet.md").read_text() == script["document"](), "run make docs"


def test_the_example_of_the_page_about_fleets_is_a_description(root: Path) -> None:
    script = runpy.run_path(str(root / "scripts" / "fleet_docs.py"))
    fleet = fleet_from_dict(yaml.safe_load(script["EXAMPLE"]))
    assert fleet.agents == ("alpha", "bravo")


def test_the_pages_about_topics_and_parameters_are_what_the_nodes_say(root: Path) -> None:
    pytest.importorskip("rclpy")
    # In a process of its own: every executable is started once, with all options on.
    command = [sys.executable, "scripts/node_docs.py", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_link_to_pages_that_exist(root: Path) -> None:
    for page in sorted((root / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_index_has_every_page_once(root: Path) -> None:
    docs = root / "docs"
    links = re.findall(r"^\| \[[^]]*\]\(([^)#]+)\)", (docs / "README.md").read_text(), re.MULTILINE)
    inside = [link for link in links if not link.startswith("../")]
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"README.md"}
    assert sorted(inside) == sorted(pages)


def test_the_guide_for_contributors_names_places_that_exist(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text()
    places = re.findall(r"`((?:src|test|config|msg|launch|docs|benchmarks)/[^`* ]*)`", text)
    assert len(places) > 30
    for place in places:
        path = re.sub(r"^src/(?!rsdfm_ros/)", "src/rsdfm_ros/", place)
        assert (root / path).exists(), f"CONTRIBUTING.md names {place}"
    for page in (root / "README.md", root / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (root / target).exists(), f"{page.name} links to {target}"


def test_the_pages_say_what_nodes_have_where_further_packages_are_installed(root: Path) -> None:
    for name in ("rclpy", "vision_msgs", "tf2_ros"):
        pytest.importorskip(name, reason=f"{name} is not installed: it comes with a ROS installation")
    program = (
        "import node_docs as n; n.usual_allocation()\n"
        "for name in n.WITH_OPTIONAL:\n"
        "    said = {row[:3] for row in n.OPTIONAL[name] if row[3] != 'px4_msgs'}\n"
        "    assert n.optional_topics(name) == said, (name, n.optional_topics(name))\n"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}
    environment["PYTHONPATH"] = f"{root / 'scripts'}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
