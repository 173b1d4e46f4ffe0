"""A fleet in one process whose UAVs exchange real packets, with maps that nobody rendered; see __main__.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.__main__ import camera
from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.decoding import FrameDecoder
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.fusion import fuse_instant
from rsdfm_ros.agent.interest.demand import demand_for, demanded
from rsdfm_ros.agent.interest.interests import Interests
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.bags.message_sizes import demand_message, feature_message
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError

SPEED_MPS = 10.0
SEEN_M = 55.0
"""A UAV sees this far around the middle of its region."""
DRAWN = 8
"""Drawn images, whose maps give the tiles."""
OF_EACH = 16
"""Tiles of each map: those of which most is seen."""
WARM_UP = 2
"""Images before those that count: demands are known then."""
EGOS = 8
"""So many UAVs fuse; all send."""
NS = 10**9


@dataclass
class Traffic:
    """Bytes of one UAV over the images that count."""

    features_out: int = 0
    demand_out: int = 0
    features_in: int = 0
    demand_in: int = 0
    neighbours: list[int] = field(default_factory=list)
    fusion_ms: list[tuple[int, float]] = field(default_factory=list)
    """Peers that were fused, and CPU time of decoding, preparing and fusing."""


class World:
    """Tiles of features, the same at a place for every UAV."""

    def __init__(self, model: Perception, seed: int = 0) -> None:
        self.model, rng = model, np.random.default_rng(seed)
        size = (model.config.image_height, model.config.image_width)
        K = intrinsics_from_fov(size[1], size[0], 1.3)
        tiles = []
        for k in range(DRAWN):
            noise = rng.integers(60, 200, (size[0] // 16, size[1] // 16, 3)).astype(np.uint8)
            image = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)
            for _ in range(40):
                corner = rng.integers(0, size[::-1])
                cv2.rectangle(
                    image, corner, corner + rng.integers(4, 40, 2), rng.integers(0, 255, 3).tolist(), -1
                )
            bev = model.perceive(image, K, camera(0.7 * k))
            cells = bev.features * bev.visible
            side = TILE_CELLS
            blocks = cells.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
            seen = bev.visible.unfold(0, side, side).unfold(1, side, side).flatten(0, 1).sum(dim=(1, 2))
            tiles.append(blocks[seen.argsort(descending=True, stable=True)[:OF_EACH]])
        self.tiles = torch.cat(tiles)

    def bev(self, region: Window) -> AgentBev:
        """What a UAV in the middle of a region sees of it."""
        keys = region.tiles().astype(np.int64)
        chosen = (keys[:, 0] * 7919 + keys[:, 1] * 104_729) % len(self.tiles)
        rows, columns = region.ni // TILE_CELLS, region.nj // TILE_CELLS
        found = self.tiles[chosen].reshape(rows, columns, -1, TILE_CELLS, TILE_CELLS)
        features = found.permute(2, 0, 3, 1, 4).reshape(-1, region.ni, region.nj)
        x0, y0, x1, y1 = region.bounds
        away = region.centres() - np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        visible = torch.from_numpy(np.hypot(away[..., 0], away[..., 1]) <= SEEN_M)
        return AgentBev(features * visible, visible, torch.zeros(region.shape))


class Fleet:
    """UAVs over a square. demand: whether they ask for tiles; without, all send everything to those that listen."""

    def __init__(self, world: World, uavs: int, area_km2: float, *, demand: bool, seed: int = 0) -> None:
        self.world, self.model, self.demand = world, world.model, demand
        rng, side = np.random.default_rng(seed), 1000.0 * np.sqrt(area_km2)
        self.start = rng.uniform(-side / 2, side / 2, (uavs, 2))
        turn = rng.uniform(0, 2 * np.pi, uavs)
        self.velocity = SPEED_MPS * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        self.names = [f"uav{k + 1}" for k in range(uavs)]
        self.now_s = 0.0
        self.agents = [Agent(name, self.model) for name in self.names]
        for agent in self.agents[:EGOS]:
            for name in self.names:
                if name != agent.name:
                    agent.receiver.listen(name)
        self.interests = [Interests(clock=lambda: self.now_s) for _ in self.names]
        self.traffic = [Traffic() for _ in self.names]

    def region(self, uav: int) -> Window:
        """Whole tiles around a UAV, as large as the model's window."""
        ni, nj = self.model.config.window.shape
        middle = (self.start[uav] + self.velocity[uav] * self.now_s) / self.model.config.cell_size_m
        i0, j0 = (round((m - n / 2) / TILE_CELLS) * TILE_CELLS for m, n in zip(middle, (ni, nj), strict=True))
        return Window(i0, j0, ni, nj, self.model.config.cell_size_m)

    def fly(self, images: int) -> list[Traffic]:
        """All UAVs' images, exchanged and fused; traffic without that of the first ones."""
        for k in range(WARM_UP + images):
            self.now_s = k * FRAME_PERIOD_S
            self._image(k, counts=k >= WARM_UP)
        return self.traffic

    def _image(self, k: int, *, counts: bool) -> None:
        regions = [self.region(n) for n in range(len(self.names))]
        asked = [demand_for(self.model.at(region)) for region in regions]
        if self.demand and k % round(1 / FRAME_PERIOD_S) == 0:
            self._ask(k, asked, counts=counts)
        for n, region in enumerate(regions):
            touching = sum(demand.touches(region) for demand in asked) - 1
            self.traffic[n].neighbours += [touching] if counts else []
            receivers = [m for m in range(len(self.names)) if m != n and self._hears(m, n, regions[m])]
            self._send(n, k, region, receivers, counts=counts)
        for n in range(min(EGOS, len(self.names))):
            self._fuse(n, k, regions[n], counts=counts)

    def _ask(self, k: int, asked: Sequence[Any], *, counts: bool) -> None:
        for n, demand in enumerate(asked):
            message = demand_message(
                demand.tiles,
                None,
                agent=self.names[n],
                stamp_ns=round(self.now_s * NS),
                frame=k,
                fingerprint=self.model.fingerprint,
                cell_size=self.model.config.cell_size_m,
            )
            for m, book in enumerate(self.interests):
                if m != n:
                    book.receive(self.names[n], self._gid(n), lambda demand=demand: demand)
                    self.traffic[m].demand_in += len(message) * counts
            self.traffic[n].demand_out += len(message) * counts

    def _hears(self, receiver: int, sender: int, region: Window) -> bool:
        """Whether a UAV subscribes to the features of another one: without demands, as many as it may by name."""
        if not self.demand:
            return sender - (sender > receiver) < DEFAULTS.max_peers
        return not self.interests[receiver].far(self.names[sender], [self._gid(sender)], region)

    def _send(self, n: int, k: int, region: Window, receivers: Sequence[int], *, counts: bool) -> None:
        agent, model, T = self.agents[n], self.model.at(region), np.eye(4)
        own = self._own(n, k, region)
        wishes = self.interests[n].wishes([self._gid(m) for m in receivers]) if self.demand else None
        wanted = None if wishes is None else demanded(model, wishes)

        def transmit(payload: bytes, index: int, count: int) -> int:
            about = {"agent": agent.name, "index": index, "count": count, "fingerprint": model.fingerprint}
            pose = {"T_map_camera": T, "covariance": own.covariance}
            size = len(feature_message(payload, stamp_ns=own.stamp_ns, frame=k, **about, **pose))
            envelope = Envelope(stamp_ns=own.stamp_ns, frame=k, **about, **pose)
            for m in receivers:
                self.traffic[m].features_in += size * counts
                if m < EGOS:
                    try:
                        self.agents[m].receiver.inbox.put(envelope, payload, own.stamp_ns, later=True)
                    except WireError as error:
                        raise RuntimeError(f"{agent.name} was refused by {self.names[m]}: {error}") from error
            return size

        sent = agent.sender.send(
            model, own.bev, own.covariance, transmit, lambda: None, demand=wanted, now_s=self.now_s
        )
        self.traffic[n].features_out += sent.message_bytes * counts

    def _fuse(self, n: int, k: int, region: Window, *, counts: bool) -> None:
        agent, own = self.agents[n], self._own(n, k, region)
        start = time.process_time()
        images = agent.receiver.images(own.stamp_ns)
        fuse_instant(
            agent.name,
            self.model,
            own,
            images,
            agent.fusion,
            FrameDecoder(),
            lambda *_: None,
            with_single=False,
        )
        if counts:
            self.traffic[n].fusion_ms.append((len(images), 1e3 * (time.process_time() - start)))

    def _own(self, n: int, k: int, region: Window) -> OwnFeatures:
        model, stamp_ns = self.model.at(region), round((1.0 + self.now_s) * NS)
        covariance = np.zeros((6, 6))
        return self.agents[n].encoder.take(
            model, self.world.bev(region), np.eye(4), covariance, stamp_ns, frame=k
        )

    @staticmethod
    def _gid(uav: int) -> bytes:
        return uav.to_bytes(12, "big")
