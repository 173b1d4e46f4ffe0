"""One agent's use of a model: the functions that offline evaluation and the online nodes share.

Everything here takes and gives arrays; all work is on one device, in inference mode, batch 1.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.camera import scaled_intrinsics
from rsdfm_ros.geometry.ground import GroundPlane, position_sigma
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model.compression import LOW_BLOCK, top_cells
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.heads.detection import DetectionHead, Detections
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.heads.segmentation import InstanceMap, SegmentationHead
from rsdfm_ros.model.heads.trajectory import Prediction, TrajectoryHead
from rsdfm_ros.model.region import (
    crop_detections,
    crop_instances,
    crop_prediction,
    pad_instances,
    window_around,
)
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, state_fingerprint
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame

#: Position uncertainty is clipped here: beyond it a cell is worthless anyway.
MAX_SIGMA_M = 5.0
DEFAULT_THRESHOLDS = {"segmentation": 0.5, "trajectory": 0.5, "detection": 0.05, "resemblance": 0.4}


@dataclass(frozen=True)
class AgentBev:
    """One agent's map on the model's window: features (C, H, W), visible (H, W) bool, sigma (H, W) m."""

    features: Tensor
    visible: Tensor
    sigma: Tensor


@dataclass(frozen=True)
class FusedMap:
    """What the task heads read: features (C, H, W), visible (H, W) bool: seen by any agent, and

    contributors: number of agents fused, ego included · shares (A,): mean weight of every agent over the seen cells ·
    dominant (H, W) uint8, only on request: 0 unseen, 1 the ego weighs most there, 1 + k the k-th peer does.
    """

    features: Tensor
    visible: Tensor
    contributors: int = 1
    shares: tuple[float, ...] = field(default=(1.0,))
    dominant: Tensor | None = None


class Perception:
    """A loaded model and how to run it."""

    def __init__(
        self,
        model: RSDFM,
        fingerprint: int,
        manifest: dict[str, Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.model: RSDFM = model.eval().to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = fingerprint
        self.manifest = manifest or {}
        self.config = model.config
        self.window = self.region = model.config.window
        self.output_window = model.config.output_window
        self.thresholds = DEFAULT_THRESHOLDS | dict(self.manifest.get("thresholds", {}))
        self._tiles = self.window.tiles()
        self._autocast = autocast_arguments(self.device)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Perception:
        """The model of a folder made by `rsdfm train`; refuses weights that are not what the manifest says."""
        model, manifest, fingerprint = load_model(folder)
        return cls(model, fingerprint, manifest, device)

    @classmethod
    def random(cls, config: ModelConfig, seed: int = 0) -> Perception:
        """An untrained model, for tests of everything around it."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = RSDFM(config)
        return cls(model, state_fingerprint(model))

    def at(self, region: Window) -> Perception:
        """The same weights on another part of the lattice; nothing is copied.

        region: whole tiles, at most as large as the model's window, which comes to lie around it (`window`). Received
        tiles outside the region are not fused, and nothing is known or answered outside: `output_window` is the region.
        Raises: RegionError.
        """
        if region == self.region:
            return self
        other = copy.copy(self)
        other.window, other.region = window_around(self.config, region), region
        other.output_window = region.refined(2)
        other._tiles = other.window.tiles()
        return other

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Perception:
        """The same weights with some of the thresholds replaced."""
        other = copy.copy(self)
        other.thresholds = self.thresholds | dict(thresholds)
        return other

    @torch.inference_mode()
    def perceive(
        self,
        image: NDArray[np.uint8],
        K: NDArray[np.float64],
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64] | None = None,
        ground_height_m: float = 0.0,
    ) -> AgentBev:
        """Encoder and mapping: an RGB picture (H, W, 3) with intrinsics and pose → the agent's map.

        K (3, 3) belongs to the picture as given; it is resized, and K with it, to the model's input.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise RsdfmError(f"expected an RGB image (H, W, 3) of uint8, got {image.shape} {image.dtype}")
        size = (self.config.image_height, self.config.image_width)
        scaled = scaled_intrinsics(K, (image.shape[0], image.shape[1]), size)
        if image.shape[:2] != size:
            image = np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)
        pose = np.asarray(T_map_camera, np.float64)
        with torch.autocast(**self._autocast):
            maps, visible, _ = self.model.map_views(
                normalise_images(torch.from_numpy(image[None]).to(self.device)),
                torch.from_numpy(scaled[None]).to(self.device),
                torch.from_numpy(pose[None].copy()).to(self.device),
                plane=GroundPlane(offset=ground_height_m),
                window=self.window,
            )
        sigma = self._sigma(pose, covariance, ground_height_m)
        return AgentBev(maps[0].float(), visible[0, 0], sigma)

    @torch.inference_mode()
    def combine(self, views: Sequence[AgentBev]) -> AgentBev:
        """The maps of several cameras of one UAV at one instant as one map, before it is compressed; one map as it is.

        Cells that several cameras see are mixed by the weights of the interaction, without its neck.
        """
        if not views:
            raise RsdfmError("expected the map of at least one camera")
        if len(views) == 1:
            return views[0]
        visible = torch.stack([v.visible for v in views])[:, None]
        sigma = torch.stack([v.sigma for v in views])[:, None]
        merged, weights = self.model.interaction.merge(
            torch.stack([v.features for v in views]), visible, sigma
        )
        seen = visible.any(dim=0)[0]
        mixed_sigma = torch.where(seen, (weights * sigma).sum(dim=0)[0], sigma.amin(dim=0)[0])
        return AgentBev(merged[0].float(), seen, mixed_sigma)

    @torch.inference_mode()
    def compress(
        self,
        bev: AgentBev,
        cells: int,
        demand: NDArray[np.float32] | None = None,
        *,
        low: bool = True,
    ) -> FeatureFrame:
        """What travels: the low band of every tile with a visible cell, and the `cells` best cells of the high band.

        demand (H, W) in [0, 1]: where receivers are unsure; cells are then ranked by demand · q instead of q.
        low: False for an ablation whose low band is all zeros.
        """
        visible = bev.visible[None, None]
        with torch.autocast(**self._autocast):
            latents = self.model.compression.encode(bev.features[None], visible, low=low)
        score = torch.sigmoid(latents.score.float())
        if demand is not None:
            score = score * torch.from_numpy(np.ascontiguousarray(demand, np.float32)).to(self.device)
        sent = top_cells(score, visible & (score > 0), max(0, int(cells)))[0, 0]
        tiles_visible = _to_tiles(bev.visible[None])[:, 0]  # (tiles, 16, 16)
        touched = tiles_visible.flatten(1).any(dim=1)
        blocks = _to_tiles(latents.low[0], TILE_CELLS // LOW_BLOCK)[touched]
        high = latents.high[0].permute(1, 2, 0)
        tile_of_row = torch.cumsum(touched, 0) - 1
        sent_tiles = _to_tiles(sent[None])[:, 0].flatten(1)  # (tiles, 256)
        tile, cell = torch.nonzero(sent_tiles, as_tuple=True)
        per_row = self.window.nj // TILE_CELLS
        i = (tile // per_row) * TILE_CELLS + cell // TILE_CELLS
        j = (tile % per_row) * TILE_CELLS + cell % TILE_CELLS
        mask = touched.cpu().numpy()
        return FeatureFrame(
            tiles=self._tiles[mask],
            low=_int8(blocks),
            low_scale=latents.low_step[0, :, 0, 0].float().cpu().numpy(),
            visible=tiles_visible[touched].cpu().numpy(),
            high_tile=tile_of_row[tile].to(torch.int32).cpu().numpy(),
            high_cell=cell.to(torch.uint8).cpu().numpy(),
            high=_int8(high[i, j]),
            high_scale=latents.high_step[0, :, 0, 0].float().cpu().numpy(),
        )

    @torch.inference_mode()
    def usefulness(self, bev: AgentBev) -> Tensor:
        """The learned score q (H, W) in [0, 1] of sending a cell, 0 where nothing is seen."""
        visible = bev.visible[None, None]
        with torch.autocast(**self._autocast):
            score = self.model.compression.score_of(bev.features[None], visible)
        return (torch.sigmoid(score.float()) * visible)[0, 0]

    def demand(self, bev: AgentBev) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Where this agent asks for features: tiles (M, 2) and 255 · (1 − mean q) of their four blocks (M, 4)."""
        blocks = torch.nn.functional.avg_pool2d(self.usefulness(bev)[None, None], LOW_BLOCK)[0]
        values = _to_tiles(255.0 * (1.0 - blocks), TILE_CELLS // LOW_BLOCK).flatten(1)
        return self._tiles, values.round().to(torch.uint8).cpu().numpy()

    def demand_map(self, tiles: NDArray[np.int32], values: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A received demand per cell (H, W) in [0, 1]; 0 in tiles that were not listed."""
        i, j, inside = self._places(tiles)
        out = np.zeros(self.window.shape, np.float32)
        side = TILE_CELLS // LOW_BLOCK
        blocks = values[inside].reshape(-1, side, side).astype(np.float32) / 255.0
        _tile_view(out)[i, :, j] = blocks.repeat(LOW_BLOCK, axis=1).repeat(LOW_BLOCK, axis=2)
        return out

    @torch.inference_mode()
    def decompress(
        self,
        frame: FeatureFrame,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64] | None = None,
        ground_height_m: float = 0.0,
    ) -> AgentBev:
        """The map that a received frame stands for; tiles outside the region are left out."""
        cfg = self.config
        low_fits = len(frame.tiles) == 0 or frame.low.shape[1] == cfg.low_channels
        if not low_fits or (len(frame.high) and frame.high.shape[1] != cfg.high_channels):
            raise RsdfmError(
                f"expected {cfg.low_channels} low and {cfg.high_channels} high channels, "
                f"got {frame.low.shape[1]} and {frame.high.shape[1]}"
            )
        i, j, inside = self._places(frame.tiles)
        low = np.zeros(
            (cfg.low_channels, self.window.ni // LOW_BLOCK, self.window.nj // LOW_BLOCK), np.float32
        )
        visible = np.zeros(self.window.shape, bool)
        low_tiles = low.reshape(
            cfg.low_channels, self.window.ni // TILE_CELLS, 2, self.window.nj // TILE_CELLS, 2
        )
        if len(i):
            low_tiles[:, i, :, j] = frame.low[inside] * frame.low_scale[:, None, None]
            _tile_view(visible)[i, :, j] = frame.visible[inside]
        high = np.zeros((*self.window.shape, cfg.high_channels), np.float32)
        sent = np.zeros(self.window.shape, bool)
        rows = np.full(len(frame.tiles), -1)
        rows[inside] = np.arange(len(i))
        row = rows[frame.high_tile]
        ok = row >= 0
        ci = i[row[ok]] * TILE_CELLS + frame.high_cell[ok] // TILE_CELLS
        cj = j[row[ok]] * TILE_CELLS + frame.high_cell[ok] % TILE_CELLS
        if ok.any():
            high[ci, cj] = frame.high[ok] * frame.high_scale
            sent[ci, cj] = True
        seen = torch.from_numpy(visible).to(self.device)
        with torch.autocast(**self._autocast):
            features = self.model.compression.decode(
                torch.from_numpy(low[None]).to(self.device),
                torch.from_numpy(high.transpose(2, 0, 1)[None]).to(self.device),
                torch.from_numpy(sent[None, None]).to(self.device),
                seen[None, None],
            )
        sigma = self._sigma(np.asarray(T_map_camera, np.float64), covariance, ground_height_m)
        return AgentBev(features[0].float(), seen, sigma)

    def dense_frame(self, bev: AgentBev) -> DenseFrame:
        """The whole map as float16, for the uncompressed baseline."""
        tiles_visible = _to_tiles(bev.visible[None])[:, 0]
        touched = tiles_visible.flatten(1).any(dim=1)
        values = _to_tiles(bev.features)[touched].permute(0, 2, 3, 1)[tiles_visible[touched]]
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
        ground_height_m: float = 0.0,
    ) -> AgentBev:
        """The map of a received dense frame; tiles outside the region are left out."""
        features = np.zeros((*self.window.shape, self.config.channels), np.float32)
        visible = np.zeros(self.window.shape, bool)
        i, j, inside = self._places(frame.tiles)
        _tile_view(visible)[i, :, j] = frame.visible[inside]
        tile, di, dj = np.nonzero(frame.visible)
        ok = inside[tile]
        row = (np.cumsum(inside) - 1)[tile[ok]]
        features[i[row] * TILE_CELLS + di[ok], j[row] * TILE_CELLS + dj[ok]] = frame.values[ok]
        return AgentBev(
            torch.from_numpy(np.ascontiguousarray(features.transpose(2, 0, 1))).to(self.device),
            torch.from_numpy(visible).to(self.device),
            self._sigma(np.asarray(T_map_camera, np.float64), covariance, ground_height_m),
        )

    @torch.inference_mode()
    def fuse(
        self,
        ego: AgentBev,
        peers: Sequence[AgentBev],
        ages_s: Sequence[float],
        *,
        with_dominant: bool = False,
    ) -> FusedMap:
        """Interaction and neck: the ego's map with any number of peers' maps and their ages in seconds.

        with_dominant: also say who weighs most in every cell, for people's views.
        """
        if len(peers) != len(ages_s):
            raise RsdfmError(f"expected an age for each of {len(peers)} peers, got {len(ages_s)}")
        agents = [ego, *peers]
        maps = torch.stack([a.features for a in agents])
        visible = torch.stack([a.visible for a in agents])[:, None]
        sigma = torch.stack([a.sigma for a in agents])[:, None]
        ages = torch.tensor([0.0, *ages_s], device=self.device)
        with torch.autocast(**self._autocast):
            fused, seen, weights = self.model.fuse(maps, visible, ages, sigma)
            features = self.model.neck(fused, seen)
        mean = (weights * seen).sum(dim=(1, 2, 3)) / seen.sum().clamp_min(1)
        # Only who sees a cell can dominate it: the ego takes part everywhere, with zeros where it sees nothing.
        dominant = ((weights * visible).argmax(dim=0)[0] + 1) * seen[0, 0] if with_dominant else None
        fused_map = FusedMap(
            features[0].float(),
            seen[0, 0],
            len(agents),
            tuple(float(v) for v in mean),
            None if dominant is None else dominant.to(torch.uint8),
        )
        return fused_map if self.region == self.window else self._only_region(fused_map)

    @torch.inference_mode()
    def detect(self, history: Sequence[FusedMap]) -> Detections:
        """3D boxes from a history of fused maps, newest last."""
        head = self._head("detection")
        assert isinstance(head, DetectionHead)
        threshold, window = self.thresholds["detection"], self.window
        found = head.decode(self._outputs(head, history), threshold=threshold, window=window)
        return found if self.region == window else crop_detections(found, self.region)

    @torch.inference_mode()
    def segment(self, history: Sequence[FusedMap]) -> InstanceMap:
        """Instances on the output window, which is the region."""
        head = self._head("segmentation")
        assert isinstance(head, SegmentationHead)
        threshold, window = self.thresholds["segmentation"], self.window.refined(2)
        whole = head.decode(self._outputs(head, history), threshold=threshold, window=window)
        return whole if self.region == self.window else crop_instances(whole, window, self.output_window)

    @torch.inference_mode()
    def predict(self, history: Sequence[FusedMap], present: InstanceMap | None = None) -> Prediction:
        """Instances now and at the coming steps; `present` saves segmenting the newest map again."""
        head = self._head("trajectory")
        assert isinstance(head, TrajectoryHead)
        now = present if present is not None else self.segment(history)
        threshold, window, part = (
            self.thresholds["trajectory"],
            self.window.refined(2),
            self.region != self.window,
        )
        if part:
            now = pad_instances(now, window, self.output_window)
        whole = head.decode(self._outputs(head, history), now, threshold=threshold, window=window)
        return crop_prediction(whole, window, self.output_window) if part else whole

    @torch.inference_mode()
    def objectness(self, history: Sequence[FusedMap]) -> Tensor:
        """How sure the detector is of an object at each cell (H, W) in [0, 1], whatever its class."""
        heat = self._outputs(self._head("detection"), history)["heat"]
        return torch.sigmoid(heat.float())[0].amax(dim=0)

    def quantise_fused(self, fused: FusedMap) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Features of the region as int8 (C, H, W) with one scale (C,) per channel, for FusedBev messages."""
        x = fused.features[(slice(None), *self.window.crop(self.region))]
        scale = (x.abs().amax(dim=(1, 2)) / 127.0).clamp_min(1e-8)
        return _int8(x / scale[:, None, None]), scale.cpu().numpy()

    def dequantise_fused(
        self,
        values: NDArray[np.int8],
        scale: NDArray[np.float32],
        visible: NDArray[np.bool_],
        contributors: int = 1,
    ) -> FusedMap:
        """The fused map of a FusedBev message, whose arrays cover the region."""
        expected = (self.config.channels, *self.region.shape)
        if values.shape != expected or scale.shape != expected[:1] or visible.shape != expected[1:]:
            raise RsdfmError(f"expected a fused map of shape {expected}, got {values.shape}")
        here = self.window.crop(self.region)
        x = np.zeros((self.config.channels, *self.window.shape), np.float32)
        seen = np.zeros(self.window.shape, np.bool_)
        x[(slice(None), *here)] = values.astype(np.float32) * scale[:, None, None].astype(np.float32)
        seen[here] = visible
        return FusedMap(
            torch.from_numpy(x).to(self.device), torch.from_numpy(seen).to(self.device), contributors
        )

    def _only_region(self, fused: FusedMap) -> FusedMap:
        """The map with nothing outside the region."""
        here = torch.zeros(self.window.shape, dtype=torch.bool, device=self.device)
        here[self.window.crop(self.region)] = True
        dominant = None if fused.dominant is None else fused.dominant * here
        return replace(fused, features=fused.features * here, visible=fused.visible & here, dominant=dominant)

    def _head(self, name: str) -> Head:
        if name not in self.model.heads:
            raise RsdfmError(f"this model has no {name} head; it has {', '.join(self.model.heads)}")
        return self.model.head(name)

    def _outputs(self, head: Head, history: Sequence[FusedMap]) -> dict[str, Tensor]:
        if not history:
            raise RsdfmError("a task head needs at least one fused map")
        length = self.config.history
        kept = list(history)[-length:]
        kept = [kept[0]] * (length - len(kept)) + kept
        with torch.autocast(**self._autocast):
            out: dict[str, Tensor] = head(torch.stack([f.features for f in kept])[None])
        return out

    def _sigma(
        self, pose: NDArray[np.float64], covariance: NDArray[np.float64] | None, ground_height_m: float
    ) -> Tensor:
        if covariance is None or not np.any(covariance):
            return torch.zeros(self.window.shape, device=self.device)
        xy = self.window.centres()
        ground = np.concatenate([xy, np.full_like(xy[..., :1], ground_height_m)], axis=-1)
        sigma = position_sigma(ground, pose[:3, 3], covariance).clip(0.0, MAX_SIGMA_M)
        return torch.from_numpy(sigma.astype(np.float32)).to(self.device)

    def _places(
        self, tiles: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Tile rows and columns in the window of the tiles that lie inside, and which do."""
        i = tiles[:, 0].astype(np.int64) - self.window.i0 // TILE_CELLS
        j = tiles[:, 1].astype(np.int64) - self.window.j0 // TILE_CELLS
        corner = np.array([self.region.i0, self.region.j0], np.int64)
        inside = self.region.contains(tiles.astype(np.int64) * TILE_CELLS - corner)
        return i[inside], j[inside], inside


def _to_tiles(x: Tensor, side: int = TILE_CELLS) -> Tensor:
    """(C, H, W) → (tiles, C, side, side), tiles in lexicographic order; side is 2 for the low band's blocks."""
    c, h, w = x.shape
    return x.reshape(c, h // side, side, w // side, side).permute(1, 3, 0, 2, 4).flatten(0, 1)


def _tile_view(x: NDArray[Any]) -> NDArray[Any]:
    """A view (H / 16, 16, W / 16, 16) of an array (H, W)."""
    return x.reshape(x.shape[0] // TILE_CELLS, TILE_CELLS, x.shape[1] // TILE_CELLS, TILE_CELLS)


def _int8(x: Tensor) -> NDArray[np.int8]:
    return x.float().round().clamp(-127, 127).to(torch.int8).cpu().numpy()
