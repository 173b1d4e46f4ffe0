"""Maps of agents for tests."""

from __future__ import annotations

import numpy as np
import torch

from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.model.perception import AgentBev
from rsdfm_ros.wire.boxes import SideBoxes
from support.sightings import camera, covariance, noisy_pose, scattered, seen_with

WINDOW = square_window(48.0, 1.0)


def smooth(seed: int, window: Window = WINDOW, channels: int = 4) -> torch.Tensor:
    """Features (C, H, W) that vary over about 8 m."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, channels, window.ni // 8, window.nj // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=window.shape, mode="bicubic", align_corners=False)[0]


def bev_of(features: torch.Tensor, visible: torch.Tensor | None = None, sigma: float = 0.0) -> AgentBev:
    seen = torch.ones(features.shape[1:], dtype=torch.bool) if visible is None else visible
    return AgentBev(features * seen, seen, torch.full(features.shape[1:], sigma))


def boxes_at(xy: np.ndarray, velocities: np.ndarray | None = None) -> SideBoxes:
    n = len(xy)
    return SideBoxes(
        np.zeros(n, np.int64),
        np.full(n, 0.9),
        np.column_stack([xy, np.full(n, 0.8)]),
        np.tile([4.5, 1.9, 1.6], (n, 1)),
        np.zeros(n),
        np.zeros((n, 2)) if velocities is None else velocities,
    )


def painted_cars(xy: np.ndarray) -> torch.Tensor:
    """A map with a bump at every car."""
    centres = WINDOW.centres()
    out = np.zeros((3, *WINDOW.shape), np.float32)
    for point in xy:
        out[0] += np.exp(-((centres - point) ** 2).sum(-1) / (2 * 1.5**2))
    out[1:] = smooth(9, channels=2).numpy() * 0.05
    return torch.from_numpy(out)


def views(sigma: float, seed: int = 5) -> tuple[View, list[View]]:
    rng = np.random.default_rng(seed)
    cars = scattered(rng, 24)
    made = []
    for n in range(3):
        believed = noisy_pose(camera(n), rng, sigma, sigma)
        seen = seen_with(cars, camera(n), believed)
        bev = bev_of(painted_cars(seen), sigma=1.0)
        made.append(View(bev, believed, covariance(sigma, sigma), boxes_at(seen)))
    return made[0], made[1:]
