"""A tiny made-up dataset: flat ground seen by oblique cameras, boxes of which the nearest one is painted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap, layout_of_rectangles
from rsdfm_ros.data.nuscenes import SceneInfo
from rsdfm_ros.data.nuscenes.images import CameraImage
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.camera import intrinsics_from_fov, viewing_rays
from rsdfm_ros.geometry.ground import GroundPlane, points_at_heights
from rsdfm_ros.geometry.lattice import square_window
from support.cameras import oblique_camera, pixel_grid
from support.traffic import moved, traffic

K = intrinsics_from_fov(96, 64, 1.3)
LAYOUT = layout_of_rectangles(
    {"road": [(-60.0, -4.0, 60.0, 4.0), (8.0, -60.0, 16.0, 60.0)], "building": [(-20.0, 6.0, -8.0, 20.0)]},
    60.0,
)


class FlatWorld:
    """Two scenes of six frames, three agents; vehicles are red paint on grey ground."""

    scenes = tuple(SceneInfo(f"flat-{n}", n, 6, ("uav1", "uav2", "uav3")) for n in range(2))

    def objects(self, scene: int, k: int) -> Objects:
        now = moved(traffic(seed=scene), 0.5 * k)
        return Objects(*(getattr(now, f) for f in list(vars(now))[:-1]), np.ones((len(now), 3)))

    def layout(self, scene: int) -> LayoutMap | None:
        return LAYOUT

    def dem(self, scene: int) -> None:
        return None

    def images(self, scene: int, k: int) -> tuple[tuple[CameraImage, ...], ...]:
        here, size = Path("image.png"), (64, 96)
        return tuple(
            (CameraImage(f"uav{a + 1}", "", here, None, size, K, self._pose(a), np.zeros((6, 6))),)
            for a in range(3)
        )

    def load(
        self,
        scene: int,
        k: int,
        *,
        images: bool = True,
        depth: bool = False,
        agents: Sequence[int] | None = None,
    ) -> WorldFrame:
        objects = self.objects(scene, k)
        chosen = range(3) if agents is None else agents
        views = tuple(self._view(objects, a) for a in chosen)
        return WorldFrame(k, 500_000_000 * k, views, objects)

    def _pose(self, agent: int) -> NDArray[np.float64]:
        T = oblique_camera(40.0 + 5 * agent, 55.0, 2.0 * agent)
        T[:2, 3] -= 20.0 * np.array([np.cos(2.0 * agent), np.sin(2.0 * agent)])
        return T

    def _view(self, objects: Objects, agent: int) -> CameraView:
        T = self._pose(agent)
        rays = viewing_rays(pixel_grid(64, 96), K, T)
        points, valid = points_at_heights(rays, T[:3, 3], [0.0], GroundPlane())
        window = square_window(32.0, 0.5)
        cells = window.cells(points[..., 0, :2])
        inside = window.contains(cells) & valid[..., 0]
        ids = np.zeros(inside.shape, np.int32)
        ids[inside] = rasterise(objects, window)[cells[inside][:, 0], cells[inside][:, 1]]
        image = np.full((64, 96, 3), 90, np.uint8)
        image[ids > 0] = (220, 40, 40)
        depth = np.where(valid[..., 0], -T[2, 3] / np.minimum(rays[..., 2], -1e-3), 0.0).astype(np.float32)
        return CameraView(f"uav{agent + 1}", image, K, T, depth=depth, ids=ids)
