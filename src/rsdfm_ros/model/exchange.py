"""Maps to frames for the wire, compressed or dense, and back; and the demand maps of receivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import Ground, GroundPlane, position_sigma, surface
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model import codec
from rsdfm_ros.model.compression import LOW_BLOCK, cell_priority, top_cells
from rsdfm_ros.model.engine.device import autocast_arguments
from rsdfm_ros.model.engine.engines import make_runtime
from rsdfm_ros.model.maps import AgentBev, as_int8, tile_view, to_tiles
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import trunk_fingerprint
from rsdfm_ros.model.thresholds import thresholds_of
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame, half

#: Position uncertainty is clipped here: cells beyond it are of no use.
MAX_SIGMA_M = 5.0


class Exchange:
    """A loaded model on a window of the lattice, with its maps as sent and received frames; the base of Perception."""

    def __init__(
        self,
        model: RSDFM,
        fingerprint: int,
        manifest: dict[str, Any] | None = None,
        device: str | torch.device = "cpu",
        engine: str = "torch",
        folder: Path | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.model: RSDFM = model.eval().to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = fingerprint
        self.trunk_fingerprint = trunk_fingerprint(model)
        self.manifest = manifest or {}
        self.config = model.config
        self.window = model.config.window
        self.ground: Ground = GroundPlane()
        self.output_window = model.config.output_window
        self.thresholds = thresholds_of(self.manifest)
        self._tiles = self.window.tiles()
        self._autocast = autocast_arguments(self.device)
        self.runtime = make_runtime(self.model, self.device, engine, folder)

    @property
    def region(self) -> Window:
        """The region of interest: all of the window."""
        return self.window

    @torch.inference_mode()
    def compress(
        self,
        bev: AgentBev,
        cells: int,
        demand: NDArray[np.float32] | None = None,
        *,
        low: bool = True,
    ) -> FeatureFrame:
        """Compress a map: the low band of every tile with a visible cell, and the `cells` best cells of the high band.

        demand (H, W) in [0, 1]: where receivers are unsure; cells are then ranked by demand · q instead of q.
        low: False for a low band of zeros, which is not sent; the high band is then of the map itself.
        """
        found = codec.encode(self.model.compression, bev.features, bev.visible, low=low)
        score = cell_priority(found.score)
        if demand is not None:
            score = score * torch.from_numpy(np.ascontiguousarray(demand, np.float32)).to(self.device)
        allowed = bev.visible & (score > 0)
        sent = top_cells(score[None, None], allowed[None, None], max(0, int(cells)))[0, 0]
        # The latents of sent cells, tile after tile.
        place = sent.flatten().nonzero()[:, 0]
        high = found.high[:, sent[bev.visible]] / found.high_step[:, None]
        at, j = place.cpu().numpy() // self.window.nj, place.cpu().numpy() % self.window.nj
        tile = at // TILE_CELLS * (self.window.nj // TILE_CELLS) + j // TILE_CELLS
        cell = at % TILE_CELLS * TILE_CELLS + j % TILE_CELLS
        order = np.lexsort((cell, tile))
        visible = to_tiles(bev.visible[None])[:, 0].cpu().numpy()  # (tiles, 16, 16)
        touched = visible.reshape(len(visible), -1).any(axis=1)
        return FeatureFrame(
            tiles=self._tiles[touched],
            low=as_int8(to_tiles(found.low, TILE_CELLS // LOW_BLOCK))[touched],
            low_scale=half(found.low_step.cpu().numpy()),
            visible=visible[touched],
            high_tile=(np.cumsum(touched) - 1)[tile[order]].astype(np.int32),
            high_cell=cell[order].astype(np.uint8),
            high=as_int8(high.T)[order],
            high_scale=half(found.high_step.cpu().numpy()),
        )

    @torch.inference_mode()
    def usefulness(self, bev: AgentBev) -> Tensor:
        """The learned score q (H, W) in [0, 1] of sending a cell, 0 where nothing is seen."""
        score = codec.score(self.model.compression, bev.features, bev.visible)
        return torch.sigmoid(score) * bev.visible

    def demand(self, bev: AgentBev) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Demand for features of this agent: tiles (M, 2) and 255 · (1 − mean q) of their four blocks (M, 4)."""
        blocks = torch.nn.functional.avg_pool2d(self.usefulness(bev)[None, None], LOW_BLOCK)[0]
        values = to_tiles(255.0 * (1.0 - blocks), TILE_CELLS // LOW_BLOCK).flatten(1)
        return self._tiles, values.round().to(torch.uint8).cpu().numpy()

    def demand_map(self, tiles: NDArray[np.int32], values: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A received demand per cell (H, W) in [0, 1]; 0 in tiles that were not listed."""
        i, j, inside = self._places(tiles)
        out = np.zeros(self.window.shape, np.float32)
        side = TILE_CELLS // LOW_BLOCK
        blocks = values[inside].reshape(-1, side, side).astype(np.float32) / 255.0
        tile_view(out)[i, :, j] = blocks.repeat(LOW_BLOCK, axis=1).repeat(LOW_BLOCK, axis=2)
        return out

    @torch.inference_mode()
    def decompress(
        self,
        frame: FeatureFrame,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64] | None = None,
        ground_height_m: float | None = None,
        *,
        stale: NDArray[np.bool_] | None = None,
        stale_s: float = 0.0,
    ) -> AgentBev:
        """The map that a received frame stands for; tiles outside the window are left out.

        stale (M,), stale_s: tiles that are older than the rest, and their additional age (wire/concealment.py).
        """
        cfg = self.config
        low_fits = len(frame.tiles) == 0 or frame.low.shape[1] == cfg.low_channels
        if not low_fits or (len(frame.high) and frame.high.shape[1] != cfg.high_channels):
            raise RsdfmError(
                f"expected {cfg.low_channels} low and {cfg.high_channels} high channels, "
                f"got {frame.low.shape[1]} and {frame.high.shape[1]}"
            )
        i, j, inside = self._places(frame.tiles)
        shape = (self.window.ni // TILE_CELLS, 2, self.window.nj // TILE_CELLS, 2)
        low = np.zeros((cfg.low_channels, *shape), np.float32)
        visible = np.zeros(self.window.shape, bool)
        if len(i):
            low[:, i, :, j] = frame.low[inside] * frame.low_scale[:, None, None]
            tile_view(visible)[i, :, j] = frame.visible[inside]
        rows = np.full(len(frame.tiles), -1)
        rows[inside] = np.arange(len(i))
        row = rows[frame.high_tile]
        ok = row >= 0
        ci = i[row[ok]] * TILE_CELLS + frame.high_cell[ok] // TILE_CELLS
        cj = j[row[ok]] * TILE_CELLS + frame.high_cell[ok] % TILE_CELLS
        seen = torch.from_numpy(visible).to(self.device)
        latents = codec.decode(
            self.model.compression,
            torch.from_numpy(low.reshape(cfg.low_channels, shape[0] * 2, shape[2] * 2)).to(self.device),
            frame.high[ok] * frame.high_scale,
            ci * self.window.nj + cj,
            seen,
        )
        sigma = self._sigma(np.asarray(T_map_camera, np.float64), covariance, self._ground(ground_height_m))
        lag_s = None
        if stale is not None and stale.any():
            lag = np.zeros(self.window.shape, np.float32)
            tile_view(lag)[i, :, j] = np.float32(stale_s) * stale[inside][:, None, None]
            lag_s = torch.from_numpy(lag).to(self.device)
        return AgentBev(latents, seen, sigma, lag_s)

    def dense_frame(self, bev: AgentBev) -> DenseFrame:
        """The whole map as float16, for the uncompressed baseline."""
        tiles_visible = to_tiles(bev.visible[None])[:, 0]
        touched = tiles_visible.flatten(1).any(dim=1)
        values = to_tiles(bev.features)[touched].permute(0, 2, 3, 1)[tiles_visible[touched]]
        return DenseFrame(
            tiles=self._tiles[touched.cpu().numpy()],
            visible=tiles_visible[touched].cpu().numpy(),
            values=values.to(torch.float16).cpu().numpy(),
        )

    def from_dense_frame(
        self,
        frame: DenseFrame,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64] | None = None,
        ground_height_m: float | None = None,
    ) -> AgentBev:
        """The map of a received dense frame; tiles outside the window are left out."""
        features = np.zeros((*self.window.shape, self.config.channels), np.float32)
        visible = np.zeros(self.window.shape, bool)
        i, j, inside = self._places(frame.tiles)
        tile_view(visible)[i, :, j] = frame.visible[inside]
        tile, di, dj = np.nonzero(frame.visible)
        ok = inside[tile]
        row = (np.cumsum(inside) - 1)[tile[ok]]
        features[i[row] * TILE_CELLS + di[ok], j[row] * TILE_CELLS + dj[ok]] = frame.values[ok]
        return AgentBev(
            torch.from_numpy(np.ascontiguousarray(features.transpose(2, 0, 1))).to(self.device),
            torch.from_numpy(visible).to(self.device),
            self._sigma(np.asarray(T_map_camera, np.float64), covariance, self._ground(ground_height_m)),
        )

    def _ground(self, height_m: float | None) -> Ground:
        return self.ground if height_m is None else GroundPlane(offset=height_m)

    def _sigma(
        self, pose: NDArray[np.float64], covariance: NDArray[np.float64] | None, ground: Ground
    ) -> Tensor:
        """Position uncertainty (H, W) in metres of the cells, at their height and slope of the ground."""
        if covariance is None or not np.any(covariance):
            return torch.zeros(self.window.shape, device=self.device)
        points, normals = surface(ground, self.window.centres())
        sigma = position_sigma(points, pose[:3, 3], covariance, normals).clip(0.0, MAX_SIGMA_M)
        return torch.from_numpy(sigma.astype(np.float32)).to(self.device)

    def _places(
        self, tiles: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Tile rows and columns in the window of the tiles that lie inside, and which do."""
        i = tiles[:, 0].astype(np.int64) - self.window.i0 // TILE_CELLS
        j = tiles[:, 1].astype(np.int64) - self.window.j0 // TILE_CELLS
        corner = np.array([self.window.i0, self.window.j0], np.int64)
        inside = self.window.contains(tiles.astype(np.int64) * TILE_CELLS - corner)
        return i[inside], j[inside], inside
