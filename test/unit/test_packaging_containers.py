"""Containers, workflow and repositories name files, packages and distributions that exist."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

DISTRIBUTIONS = ("jazzy", "kilted")


def test_the_container_copies_files_that_exist_and_starts_what_is_there(root: Path) -> None:
    text = (root / "docker/Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!\.)(\S+) ", text, re.MULTILINE)
    assert copied == ["package.xml", "requirements/workspace.txt", "docker/entrypoint.sh"]
    assert all((root / name).is_file() for name in copied)
    launched = re.findall(r'"(\w+\.launch\.py)"', text)
    assert launched and all((root / "launch" / name).is_file() for name in launched)
    assert (root / "docker/entrypoint.sh").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(root / "docker/entrypoint.sh")], check=True)


def test_the_container_leaves_out_what_is_built_here(root: Path) -> None:
    ignored = set((root / ".dockerignore").read_text().split())
    built = {
        line.rstrip("/")
        for line in (root / ".gitignore").read_text().split()
        if line in (".venv/", "build/", "install/", "log/", "out/")
    }
    assert built and built <= ignored and ".git" in ignored


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_development_container_of_a_distribution_is_built_from_the_same_file(
    root: Path, distribution: str
) -> None:
    path = root / ".devcontainer" / distribution / "devcontainer.json"
    content = json.loads(path.read_text())
    build = content["build"]
    dockerfile = (path.parent / build["dockerfile"]).resolve()
    assert dockerfile == root / "docker/Dockerfile" and (path.parent / build["context"]).resolve() == root
    assert f" AS {build['target']}\n" in dockerfile.read_text()
    assert build["args"] == {"ROS_DISTRO": distribution}
    assert content["workspaceFolder"] in content["workspaceMount"]


def test_the_workflow_runs_what_every_machine_runs(root: Path) -> None:
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text())
    steps = workflow["jobs"]["run"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
    for version in workflow["jobs"]["run"]["strategy"]["matrix"]["python"]:
        assert (3, 10) <= tuple(map(int, version.split("."))) <= (3, 13)


def test_package_xml_says_where_the_package_comes_from_and_how_it_is_tested(root: Path) -> None:
    package = ElementTree.parse(root / "package.xml").getroot()
    assert {url.get("type") for url in package.findall("url")} == {"website", "repository", "bugtracker"}
    assert [author.text for author in package.findall("author")]
    tests = {element.text for element in package.findall("test_depend")}
    needed = set(
        re.findall(
            r"find_package\((ament_cmake_(?:pytest|lint_\w+))\b", (root / "CMakeLists.txt").read_text()
        )
    )
    assert needed == {"ament_cmake_pytest", "ament_cmake_lint_cmake"} and needed <= tests


def test_repositories_have_a_version_each(root: Path) -> None:
    repositories = yaml.safe_load((root / "rsdfm_ros.repos").read_text())["repositories"]
    for entry in repositories.values():
        assert set(entry) == {"type", "url", "version"} and entry["url"].startswith("https://")
