"""Helpers of the tests of the Gazebo world: one written world, and readers of SDF and OBJ independent of its writer."""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rsdfm_ros.sim.gazebo.world import Scene, make_scene
from rsdfm_ros.sim.gazebo.write import write_world

SEED, FRAMES, START_S = 9000, 60, 20.0
PERIOD_S = 0.5
#: What Debian's `ign` prints on stderr because a library of another package is missing; it says nothing about the file.
_HARMLESS = "Library error: libignition-tools-backward.so not found"


def agents(n: int) -> list[str]:
    return [f"uav{k + 1}" for k in range(n)]


@functools.cache
def scene() -> Scene:
    """The scene of SEED with four UAVs."""
    return make_scene(SEED, agents(4), FRAMES, START_S)


def written(folder: Path) -> Path:
    """The folder, with the world of SEED in it as config/gazebo has it."""
    write_world(folder, scene(), ground_px=1024)
    return folder


def world_of(folder: Path) -> ET.Element:
    """The <world> of a folder."""
    found = ET.parse(folder / "world.sdf").getroot().find("world")
    assert found is not None
    return found


def text(element: ET.Element, path: str) -> str:
    found = element.find(path)
    assert found is not None and found.text is not None, f"no <{path}> in <{element.tag}>"
    return found.text


def values(element: ET.Element, path: str) -> NDArray[np.float64]:
    return np.array([float(v) for v in text(element, path).split()])


def wrapped(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Corners (N, 3) and triangles (T, 3) of an OBJ file; normals must agree with the winding."""
    points, normals, faces = [], [], []
    for line in path.read_text().splitlines():
        tag, *rest = line.split()
        if tag == "v":
            points.append([float(v) for v in rest])
        elif tag == "vn":
            normals.append([float(v) for v in rest])
        elif tag == "f":
            faces.append([[int(i or 0) for i in corner.split("/")] for corner in rest])
    p, f = np.array(points), np.array(faces)
    corners = p[f[:, :, 0] - 1]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sized = np.linalg.norm(flat, axis=1) > 0.02  # slivers have no direction to a centimetre
    said = np.array(normals)[f[:, 0, 2] - 1]
    cosine = (flat * said).sum(1) / np.maximum(
        np.linalg.norm(flat, axis=1) * np.linalg.norm(said, axis=1), 1e-9
    )
    assert np.quantile(cosine[sized], 0.1) > 0.98  # the uneven undersides of crowns share one normal
    return p, f[:, :, 0] - 1


def _checker() -> list[str]:
    for command in (["ign", "sdf"], ["gz", "sdf"]):
        if shutil.which(command[0]):
            known = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60)
            if known.returncode == 0 and "--check" in known.stdout:
                return [*command, "--check"]
    return []


CHECKER = _checker()
needs_checker = pytest.mark.skipif(
    not CHECKER,
    reason="no SDF checker here: apt install sdformat-sdf libsdformat-dev ignition-tools (Debian), or Gazebo's gz",
)


def complaints(path: Path) -> str:
    """Complaints of the checker about a file: "" if it is valid."""
    done = subprocess.run([*CHECKER, str(path)], capture_output=True, text=True, timeout=120)
    errors = "\n".join(line for line in done.stderr.splitlines() if _HARMLESS not in line)
    if done.returncode == 0 and done.stdout.strip() == "Valid." and not errors:
        return ""
    return f"{done.stdout}\n{errors}".strip() or f"status {done.returncode}"
