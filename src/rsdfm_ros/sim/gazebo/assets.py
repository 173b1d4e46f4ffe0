"""Meshes and textures of the scene as files that gz-sim loads: Wavefront OBJ and JPEG images.

The geometry is that of sim/meshes.py and sim/ground.py, which the MuJoCo scene uses too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.gazebo.xml import SdfError, number, numbers
from rsdfm_ros.sim.ground import GROUND_PX, Image
from rsdfm_ros.sim.meshes import Mesh

MATERIAL = "surface"
MATERIALS_FILE = "surface.mtl"


def obj_text(mesh: Mesh, *, textured: bool) -> str:
    """A mesh as OBJ: flat faces, equal points, normals and texture coordinates once.

    Points to a centimetre; normals, of which buildings have upright and level ones and leaves any, to a tenth.
    OBJ, like OpenGL, has v = 0 at the image's lower edge; the mesh has it at the upper one, as MuJoCo does.
    """
    points = [numbers(p, 2) for p in mesh.vertices]
    normals = [numbers(n, 1) for n in mesh.normals]
    uvs = [numbers((u, 1.0 - v), 3) for u, v in mesh.uvs] if textured else []
    lines = [f"mtllib {MATERIALS_FILE}", f"usemtl {MATERIAL}"]
    index: dict[str, Mapping[str, int]] = {}
    for tag, values in (("v", points), ("vt", uvs), ("vn", normals)):
        unique = dict.fromkeys(values)
        index[tag] = {value: n + 1 for n, value in enumerate(unique)}
        lines += [f"{tag} {value}" for value in unique]
    for face in mesh.faces:
        corners = []
        for k in face:
            uv = str(index["vt"][uvs[k]]) if textured else ""
            corners.append(f"{index['v'][points[k]]}/{uv}/{index['vn'][normals[k]]}")
        lines.append("f " + " ".join(corners))
    return "\n".join(lines) + "\n"


def ground_obj() -> str:
    """The painted square: the image's upper edge lies in the north (+y)."""
    e = PAINTED_EXTENT_M
    corners = (((-e, -e), (0, 0)), ((e, -e), (1, 0)), ((e, e), (1, 1)), ((-e, e), (0, 1)))
    lines = [f"mtllib {MATERIALS_FILE}", f"usemtl {MATERIAL}"]
    lines += [f"v {number(x, 2)} {number(y, 2)} 0" for (x, y), _ in corners]
    lines += [f"vt {u} {v}" for _, (u, v) in corners]
    lines += ["vn 0 0 1", "f 1/1/1 2/2/1 3/3/1", "f 1/1/1 3/3/1 4/4/1"]
    return "\n".join(lines) + "\n"


def material_text() -> str:
    """The material that OBJ files must name; in the world, every visual has its own."""
    return f"newmtl {MATERIAL}\nKd 1 1 1\nKs 0 0 0\n"


def write_meshes(folder: Path, meshes: Mapping[str, Mesh], textured: Collection[str]) -> None:
    """Write the ground and all meshes that have faces to <folder>/<name>.obj; `textured`: those with images."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MATERIALS_FILE).write_text(material_text())
    (folder / "ground.obj").write_text(ground_obj())
    for name, mesh in meshes.items():
        if mesh.faces:
            (folder / f"{name}.obj").write_text(obj_text(mesh, textured=name in textured))


def write_textures(folder: Path, ground: Image, facades: Iterable[Image], ground_px: int) -> None:
    """Write the ground at ground_px pixels a side and the facades, as JPEG."""
    if not 64 <= ground_px <= GROUND_PX:
        raise SdfError(f"ground_px: expected 64 to {GROUND_PX} pixels, got {ground_px}")
    folder.mkdir(parents=True, exist_ok=True)
    image = ground
    if ground_px != GROUND_PX:
        image = np.asarray(cv2.resize(ground, (ground_px, ground_px), interpolation=cv2.INTER_AREA), np.uint8)
    quality = 92 if ground_px == GROUND_PX else 75
    _write(folder / "ground.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    for n, facade in enumerate(facades):
        _write(folder / f"facade{n}.jpg", facade, [cv2.IMWRITE_JPEG_QUALITY, 90])


def _write(path: Path, image: Image, options: list[int]) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options):
        raise SdfError(f"cannot write {path}")
