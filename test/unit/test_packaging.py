"""The package's metadata agrees with itself and with the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from rsdfm_ros import __version__, cli, start

#: Where the name to import is not the name to install.
_DISTRIBUTIONS = {
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "nuscenes": "nuscenes-devkit",
    "PIL": "pillow",
    "rerun": "rerun-sdk",
}
_ROS_PACKAGE = re.compile(
    r"rclpy|rosidl_\w+|launch|launch_ros|launch_testing\w*|ament_index_python|cv_bridge|tf2_\w+|\w+_(msgs|interfaces)"
)


def _sources(root: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]


def _tracked(root: Path) -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.splitlines() if (path := root / name).is_file()]


def test_all_versions_agree(root: Path) -> None:
    assert ElementTree.parse(root / "package.xml").findtext("version") == __version__
    changes = (root / "CHANGELOG.rst").read_text()
    assert re.search(rf"^{re.escape(__version__)} ", changes, re.MULTILINE)
    asked = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=root, capture_output=True, text=True, check=True
    )
    assert asked.stdout.split()[-1] == __version__


def test_package_xml_is_valid(root: Path) -> None:
    catkin_pkg = pytest.importorskip("catkin_pkg.package")
    package = catkin_pkg.parse_package(str(root))
    package.validate()
    assert package.licenses == ["Apache-2.0"]
    assert "Apache License" in (root / "LICENSE").read_text()


def test_package_xml_names_every_ros_package_that_the_code_imports(root: Path) -> None:
    declared = {e.text for e in ElementTree.parse(root / "package.xml").getroot() if e.tag.endswith("depend")}
    imported = {
        name for name in _third_party(_sources(root, "src", "launch")) if _ROS_PACKAGE.fullmatch(name)
    }
    assert imported <= declared, f"package.xml lacks {sorted(imported - declared)}"


def _third_party(files: list[Path]) -> set[str]:
    """Top-level modules that the files import and that are neither ours nor Python's."""
    found: set[str] = set()
    ours = {"rsdfm_ros", "scripts", "benchmarks", "support"} | {path.stem for path in files}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - ours - set(sys.stdlib_module_names)


def _named_in(path: Path) -> set[str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {re.split(r"[<>=\[; ]", line)[0].lower() for line in lines}


def test_requirements_name_every_package_that_the_code_imports(root: Path) -> None:
    folder = root / "requirements"
    core = _named_in(folder / "core.txt")
    everything = core.union(
        *(_named_in(folder / f"{name}.txt") for name in ("ros", "dev", "nodeps", "view", "bench"))
    )

    def needed(*folders: str) -> set[str]:
        names = {name for name in _third_party(_sources(root, *folders)) if not _ROS_PACKAGE.fullmatch(name)}
        return {_DISTRIBUTIONS.get(name, name).replace("_", "-") for name in names}

    engines = {"openvino"}  # the user installs and chooses them; the tests need them, too
    assert engines <= _named_in(folder / "dev.txt") and not engines & core
    lacking = sorted(needed("src") - core - engines)
    assert not lacking, f"core.txt lacks {lacking}"
    rest = needed("src", "test", "benchmarks", "scripts") - {"numpy", "catkin_pkg"}
    assert rest <= everything, f"requirements lack {sorted(rest - everything)}"


def test_every_node_that_cmake_makes_an_executable_of_is_started_by_its_name(root: Path) -> None:
    cmake = (root / "CMakeLists.txt").read_text()
    assert re.search(r"GLOB_RECURSE RSDFM_NODES [^)]*src/\$\{PROJECT_NAME\}/nodes/\*_node\.py\)", cmake)
    nodes = [p for p in (root / "src/rsdfm_ros/nodes").rglob("*_node.py") if "\ndef main" in p.read_text()]
    assert len({path.stem for path in nodes}) == len(nodes) > 10
    places = {".".join(path.relative_to(root / "src").parent.parts) for path in nodes}
    assert places == set(start.NODES)


def test_every_requirement_is_pinned(root: Path) -> None:
    pins = _named_in(root / "requirements" / "constraints.txt")
    for name in ("core", "ros", "dev", "nodeps", "view", "bench"):
        assert _named_in(root / "requirements" / f"{name}.txt") <= pins


def test_nothing_unpickles_evaluates_or_loads_unchecked(root: Path) -> None:
    for path in _sources(root, "src"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "yaml.load"), f"{path}:{node.lineno} calls {name}"
                if name == "torch.load":
                    safe = any(
                        k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords
                    )
                    assert safe, f"{path}:{node.lineno} calls torch.load without weights_only=True"


def test_no_tracked_file_names_a_particular_machine(root: Path) -> None:
    folders = "|".join(["work", "root", "home", "farm"])
    pattern = re.compile(
        rf"(^|[^A-Za-z0-9_.~>])/({folders})/|--(index|extra-index)-url|--find" + "-links", re.MULTILINE
    )
    for path in _tracked(root):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        match = pattern.search(text)
        assert match is None, f"{path} names {match.group() if match else ''}"


def test_the_readme_names_only_commands_and_targets_that_exist(root: Path) -> None:
    readme = (root / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    commands = set(cli.available_commands())
    assert set(re.findall(r"\bmake ([a-z]+)\b", readme)) <= targets
    named = set(re.findall(r"\./rsdfm ([a-z]+)", readme))
    assert named, "README.md shows no command"
    assert named <= commands, f"README.md shows {sorted(named - commands)}"


def test_the_readme_links_to_files_that_exist(root: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (root / "README.md").read_text()):
        assert (root / target).exists(), f"README.md links to {target}"
