"""One agent's use of a model: the functions that offline evaluation and the online nodes share.

Everything here takes and gives arrays; all work is on one device, in inference mode, batch 1.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.camera import scaled_intrinsics
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.exchange import Exchange
from rsdfm_ros.model.heads.detection import DetectionHead
from rsdfm_ros.model.heads.registry import Head, TaskAnswer, plug_ins
from rsdfm_ros.model.heads.segmentation import InstanceMap, SegmentationHead
from rsdfm_ros.model.heads.trajectory import Prediction, TrajectoryHead
from rsdfm_ros.model.mapping import image_part
from rsdfm_ros.model.maps import AgentBev, FusedMap, as_int8
from rsdfm_ros.model.region import check_region, crop_detections
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, wire_fingerprint
from rsdfm_ros.shipped import shipped

__all__ = ["AgentBev", "FusedMap", "Perception"]


class Perception(Exchange):
    """A loaded model and how to run it."""

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Perception:
        """The model of a folder made by `rsdfm train`; refuses weights that differ from the manifest."""
        model, manifest, fingerprint = load_model(shipped(folder))
        return cls(model, fingerprint, manifest, device)

    @classmethod
    def random(cls, config: ModelConfig, seed: int = 0) -> Perception:
        """An untrained model, for tests of everything around it. It accepts every peer: its maps show no
        consistency."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = RSDFM(config)
        return cls(model, wire_fingerprint(model), {"thresholds": {"map_consistency": -1.0}})

    def at(self, region: Window) -> Perception:
        """The same weights on another part of the lattice; nothing is copied.

        region: whole tiles, at most as large as the model's window. Only the region is mapped, sent, fused and
        answered; the time behind the encoder is proportional to its area. Raises: RegionError.
        """
        if region == self.window:
            return self
        check_region(self.config, region)
        other = copy.copy(self)
        other.window, other.output_window, other._tiles = region, region.refined(2), region.tiles()
        return other

    def on_ground(self, ground: Ground) -> Perception:
        """The same weights over another ground, on which maps are made and boxes stand; the default is z = 0."""
        if ground is self.ground:
            return self
        other = copy.copy(self)
        other.ground = ground
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
        ground_height_m: float | None = None,
    ) -> AgentBev:
        """Encoder and mapping: an RGB image (H, W, 3) with intrinsics and pose → the agent's map.

        K (3, 3) belongs to the image as given; it is resized, and K with it, to the model's input. ground_height_m:
        level ground at that height instead of `ground`.
        """
        images, scaled = self._resized(image, K)
        pose, ground = np.asarray(T_map_camera, np.float64), self._ground(ground_height_m)
        intrinsics = torch.from_numpy(scaled.copy()).to(self.device)
        camera = torch.from_numpy(pose.copy()).to(self.device)
        sigma = self._sigma(pose, covariance, ground)
        if self.window != self.config.window:
            size = (self.config.image_height, self.config.image_width)
            part = image_part(self.config, size, intrinsics, camera, ground, self.window)
            if part is None:
                features = torch.zeros(*self.window.shape, self.config.channels, device=self.device)
                nothing = torch.zeros(self.window.shape, dtype=torch.bool, device=self.device)
                return AgentBev(features.permute(2, 0, 1), nothing, sigma)
            images = images[:, :, part[0], part[1]]
            intrinsics[:2, 2] -= torch.tensor([part[1].start, part[0].start], device=self.device)
        with torch.autocast(**self._autocast):
            maps, visible, _ = self.model.map_views(
                images, intrinsics[None], camera[None], ground=ground, window=self.window
            )
        return AgentBev(maps[0].float(), visible[0, 0], sigma)

    @torch.inference_mode()
    def bins_of(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability (h, w, D + 1) of every bin of the lift, and of "nothing", at every pixel of the encoder's output,
        which is ENCODER_STRIDE times smaller than the model's input."""
        images, _ = self._resized(image, np.eye(3))
        with torch.autocast(**self._autocast):
            _, logits = self.model.encoder(images)
        return np.asarray(torch.softmax(logits[0].float(), dim=0).permute(1, 2, 0).cpu().numpy())

    def _resized(
        self, image: NDArray[np.uint8], K: NDArray[np.float64]
    ) -> tuple[Tensor, NDArray[np.float64]]:
        """An image as the encoder wants it, and the intrinsics that then belong to it."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise RsdfmError(f"expected an RGB image (H, W, 3) of uint8, got {image.shape} {image.dtype}")
        size = (self.config.image_height, self.config.image_width)
        scaled = scaled_intrinsics(K, (image.shape[0], image.shape[1]), size)
        if image.shape[:2] != size:
            image = np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)
        return normalise_images(torch.from_numpy(image[None]).to(self.device)), scaled

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
    def fuse(
        self,
        ego: AgentBev,
        peers: Sequence[AgentBev],
        ages_s: Sequence[float],
        *,
        with_dominant: bool = False,
    ) -> FusedMap:
        """Interaction and neck: the ego's map with any number of peers' maps and their ages in seconds.

        with_dominant: also give the agent with the largest weight in every cell, for views.
        """
        if len(peers) != len(ages_s):
            raise RsdfmError(f"expected an age for each of {len(peers)} peers, got {len(ages_s)}")
        mixed = self.model.interaction.fuse([ego, *peers], [0.0, *ages_s], with_dominant=with_dominant)
        with torch.autocast(**self._autocast):
            features = self.model.neck(mixed.features[None], mixed.visible[None, None])
        return replace(mixed, features=features[0].float())

    @torch.inference_mode()
    def detect(self, history: Sequence[FusedMap]) -> Detections:
        """3D boxes in the map frame from a history of fused maps, newest last.

        The network knows heights above the ground; the ground's own height at the middle of a box is added to its z.
        """
        head = self._head("detection")
        assert isinstance(head, DetectionHead)
        threshold, window = self.thresholds["detection"], self.window
        found = head.decode(self._outputs(head, history), threshold=threshold, window=window)
        on_ground = found.centres.copy()
        on_ground[:, 2] += self.ground.elevation(on_ground[:, :2])
        return crop_detections(replace(found, centres=on_ground), window)

    @torch.inference_mode()
    def segment(self, history: Sequence[FusedMap]) -> InstanceMap:
        """Instances on the output window."""
        head = self._head("segmentation")
        assert isinstance(head, SegmentationHead)
        threshold = self.thresholds["segmentation"]
        return head.decode(self._outputs(head, history), threshold=threshold, window=self.output_window)

    @torch.inference_mode()
    def predict(self, history: Sequence[FusedMap], present: InstanceMap | None = None) -> Prediction:
        """Instances now and at the coming steps; `present` saves segmenting the newest map again."""
        head = self._head("trajectory")
        assert isinstance(head, TrajectoryHead)
        now = present if present is not None else self.segment(history)
        threshold = self.thresholds["trajectory"]
        return head.decode(self._outputs(head, history), now, threshold=threshold, window=self.output_window)

    @property
    def plug_ins(self) -> tuple[str, ...]:
        """The tasks of this model beside detection, segmentation and trajectories."""
        return plug_ins(self.config.heads)

    @torch.inference_mode()
    def answer(self, name: str, history: Sequence[FusedMap]) -> TaskAnswer:
        """The answer of a plug-in head to a history of fused maps, newest last, for the region."""
        head = self._head(name)
        visible = history[-1].visible.cpu().numpy() if history else np.zeros(self.window.shape, np.bool_)
        return head.answer(self._outputs(head, history), visible, self.window, self.window)

    @torch.inference_mode()
    def objectness(self, history: Sequence[FusedMap]) -> Tensor:
        """Objectness of each cell (H, W) in [0, 1]: the detector's confidence in an object of any class."""
        heat = self._outputs(self._head("detection"), history)["heat"]
        return torch.sigmoid(heat.float())[0].amax(dim=0)

    def quantise_fused(self, fused: FusedMap) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Features of the region as int8 (C, H, W) with one scale (C,) per channel, for FusedBev messages."""
        x = fused.features
        scale = (x.abs().amax(dim=(1, 2)) / 127.0).clamp_min(1e-8)
        return as_int8(x / scale[:, None, None]), scale.cpu().numpy()

    def dequantise_fused(
        self,
        values: NDArray[np.int8],
        scale: NDArray[np.float32],
        visible: NDArray[np.bool_],
        contributors: int = 1,
    ) -> FusedMap:
        """The fused map of a FusedBev message, whose arrays cover the region."""
        expected = (self.config.channels, *self.window.shape)
        if values.shape != expected or scale.shape != expected[:1] or visible.shape != expected[1:]:
            raise RsdfmError(f"expected a fused map of shape {expected}, got {values.shape}")
        x = values.astype(np.float32) * scale[:, None, None].astype(np.float32)
        return FusedMap(
            torch.from_numpy(x).to(self.device),
            torch.from_numpy(np.array(visible, np.bool_)).to(self.device),
            contributors,
        )

    def _head(self, name: str) -> Head:
        if name not in self.model.heads:
            raise RsdfmError(f"this model has no {name} head; it has {', '.join(self.model.heads)}")
        return self.model.head(name)

    def _outputs(self, head: Head, history: Sequence[FusedMap]) -> dict[str, Tensor]:
        if not history:
            raise RsdfmError("a task head needs at least one fused map")
        kept = list(history)[-self.config.history :]
        kept = [kept[0]] * (self.config.history - len(kept)) + kept
        with torch.autocast(**self._autocast):
            out: dict[str, Tensor] = head(torch.stack([f.features for f in kept])[None])
        return out
