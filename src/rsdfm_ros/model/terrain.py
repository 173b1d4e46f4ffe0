"""Intersection of image rays with terrain: geometry/height_grid.py in torch, for all pixels and bins at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.geometry.height_grid import MARCH_STEPS, REFINEMENTS, HeightGrid

_TOUCH_M = 1e-3
"""Distance at which a ray counts as on a surface: single precision at some hundred metres."""


def terrain_depths(
    grid: HeightGrid,
    rays: Tensor,
    T_map_camera: Tensor,
    bins: Sequence[float],
    max_depth_m: float,
    horizon_margin: float,
) -> Iterator[Tensor]:
    """Depth (V, N) along rays (V, 3, N) at which they first come down to every height of `bins` above the terrain.

    NaN where there is none; the algorithm and its limits are those of geometry.height_grid.meet_terrain. The march
    along the rays is done once and serves all bins.
    """
    terrain = _Terrain(grid, rays, T_map_camera)
    lowest, highest = terrain.relief(max_depth_m)
    descent = -rays[:, 2]
    down = descent > horizon_margin
    steep = descent.where(down, 1.0)
    begin = ((-highest - max(*bins, 0.0)) / steep).clamp(0.0, max_depth_m)
    end = torch.maximum(begin, (-lowest / steep).clamp(0.0, max_depth_m))
    shares = torch.linspace(0.0, 1.0, MARCH_STEPS + 1, device=rays.device)
    above = torch.stack([terrain.clearance(torch.lerp(begin, end, s)) for s in shares])  # (S, V, N)
    met_ground = down & (above <= _TOUCH_M).any(dim=0)
    for h in bins:
        below = above <= h + _TOUCH_M
        first = below.to(torch.uint8).argmax(dim=0)
        found = met_ground & below.any(dim=0) & ((first > 0) | (above[0] > h - _TOUCH_M))
        before = (first - 1).clamp_min(0)
        a, b = torch.lerp(begin, end, shares[before]), torch.lerp(begin, end, shares[first])
        fa, fb = (above.gather(0, n[None])[0] - h for n in (before, first))
        for step in range(REFINEMENTS):
            middle = torch.lerp(a, b, 0.5) if step % 2 else _between(a, b, fa, fb)
            value = terrain.clearance(middle) - h
            hit = value <= 0
            a, fa = a.where(hit, middle), fa.where(hit, value)
            b, fb = middle.where(hit, b), value.where(hit, fb)
        yield _between(a, b, fa, fb).where(found, torch.nan)


class _Terrain:
    """A grid relative to the cameras of a batch: heights against theirs, positions in units of the grid's samples."""

    def __init__(self, grid: HeightGrid, rays: Tensor, T_map_camera: Tensor) -> None:
        self._grid, self._centres = grid, T_map_camera[:, :3, 3].cpu().numpy()
        device, centre = rays.device, T_map_camera[:, :3, 3]
        self._heights = torch.from_numpy(grid.heights).to(device)[None, None]
        corner = torch.tensor([grid.x0, grid.y0], device=device, dtype=torch.float64)
        # grid_sample wants -1…1 from the first to the last node, the last axis of the map first.
        scale = 2.0 / (grid.cell_m * (torch.tensor(grid.heights.shape, device=device) - 1)).double()
        self._start = ((centre[:, :2] - corner) * scale - 1.0).float().flip(1)[:, :, None]
        self._step = (rays[:, :2] * scale.float()[:, None]).flip(1)
        self._z, self._down = centre[:, 2:].float(), rays[:, 2]
        self._rate = float(rays[:, :2].norm(dim=1).max())  # horizontal metres per metre of depth

    def relief(self, reach_m: float) -> tuple[Tensor, Tensor]:
        """Lowest and highest ground (V, 1) around every camera, against the camera's height."""
        found = [self._grid.relief(c[:2], reach_m * self._rate) for c in self._centres]
        both = torch.tensor(found, device=self._z.device, dtype=torch.float32) - self._z
        return both[:, :1], both[:, 1:]

    def clearance(self, depth: Tensor) -> Tensor:
        """Height (V, N) of the rays over the terrain at depths (V, N)."""
        places = torch.addcmul(self._start, self._step, depth[:, None]).transpose(1, 2)
        ground = F.grid_sample(
            self._heights, places.reshape(1, 1, -1, 2), "bilinear", padding_mode="border", align_corners=True
        )
        return torch.addcmul(self._z, self._down, depth) - ground.view(depth.shape)


def _between(a: Tensor, b: Tensor, fa: Tensor, fb: Tensor) -> Tensor:
    """Position where the line through (a, fa) and (b, fb) is zero, within a…b."""
    drop = fa - fb
    share = (fa / drop.clamp_min(1e-9)).where(drop > 1e-9, 1.0)
    return torch.lerp(a, b, share.clamp(0.0, 1.0))
