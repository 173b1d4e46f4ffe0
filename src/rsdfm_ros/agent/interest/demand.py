"""Demand maps: the tiles that a UAV wants of its peers, checked when they come. Free of ROS."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.envelope import MAX_NAME, Refused
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.wire.errors import FingerprintMismatch, OverLimit, TileOutOfBounds
from rsdfm_ros.wire.limits import Limits

if TYPE_CHECKING:  # torch takes a second to import, and nodes need it only once they are active
    from rsdfm_ros.model.maps import AgentBev
    from rsdfm_ros.model.perception import Perception

BLOCKS = 4
"""Values per tile: of its 8 × 8 blocks."""
KINDS = ("region", "evidence", "off")
"""What a UAV tells its peers: the region that it maps; with it, where its own map is weak; or nothing."""


@dataclass(frozen=True)
class Demand:
    """A rectangle of tiles, and how much of each of their blocks is wanted: 255 (all) to 0 (nothing).

    corner: first tile (ti, tj) · size: tiles along x and y · values (M, 4) for the tiles, tj fastest; None: 255
    everywhere.
    """

    corner: tuple[int, int]
    size: tuple[int, int]
    values: NDArray[np.uint8] | None = None

    @property
    def tiles(self) -> NDArray[np.int32]:
        """Keys (M, 2) of the tiles."""
        ti, tj = (np.arange(start, start + n) for start, n in zip(self.corner, self.size, strict=True))
        return np.stack(np.meshgrid(ti, tj, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int32)

    @property
    def blocks(self) -> NDArray[np.uint8]:
        """Values (M, 4) of the tiles."""
        count = self.size[0] * self.size[1]
        return np.full((count, BLOCKS), 255, np.uint8) if self.values is None else self.values

    def touches(self, region: Window) -> bool:
        """Whether a tile of it lies in a region of whole tiles."""
        first = (region.i0 // TILE_CELLS, region.j0 // TILE_CELLS)
        last = ((region.i0 + region.ni - 1) // TILE_CELLS, (region.j0 + region.nj - 1) // TILE_CELLS)
        return all(
            n > 0 and start <= end and start + n > begin
            for start, n, begin, end in zip(self.corner, self.size, first, last, strict=True)
        )


def demand_for(model: Perception, bev: AgentBev | None = None) -> Demand:
    """What a UAV wants that maps the region of `model`: all of it, or with its map as much as it is unsure."""
    region = model.region
    corner = (region.i0 // TILE_CELLS, region.j0 // TILE_CELLS)
    size = (region.ni // TILE_CELLS, region.nj // TILE_CELLS)
    return Demand(corner, size, None if bev is None else model.demand(bev)[1])


def demand_of(message: Any, *, topic_agent: str, frame_id: str, cell_size: float, fingerprint: int) -> Demand:
    """The demand of a message, whose every field is untrusted.

    topic_agent: the name that the topic belongs to · frame_id, cell_size, fingerprint: our own. Raises: WireError.
    """
    if message.agent != topic_agent:
        raise Refused("agent_name", f"{message.agent[:MAX_NAME]!r} asks on the topic of {topic_agent!r}")
    if message.header.frame_id != frame_id:
        raise Refused("frame_id", f"expected tiles in frame {frame_id!r}, got {message.header.frame_id!r}")
    if message.cell_size != cell_size:  # also if it is not a number
        raise Refused("cell_size", f"expected cells of {cell_size} m, got {message.cell_size}")
    if message.fingerprint != fingerprint:
        raise FingerprintMismatch(fingerprint, int(message.fingerprint))
    corner = (int(message.tile_i0), int(message.tile_j0))
    size = (int(message.tiles_i), int(message.tiles_j))
    limits, count = Limits(), size[0] * size[1]
    if max(*size, count) > limits.max_tiles:
        raise OverLimit("tiles of a demand", limits.max_tiles, max(*size, count))
    far = limits.max_tile_key
    if min(corner) < -far or max(start + n - 1 for start, n in zip(corner, size, strict=True)) > far:
        raise TileOutOfBounds(corner, far)
    values = np.frombuffer(bytes(message.values), np.uint8)
    if len(values) not in (0, BLOCKS * count):
        raise Refused("demand_size", f"{count} tiles have {len(values)} values instead of {BLOCKS * count}")
    return Demand(corner, size, values.reshape(count, BLOCKS) if len(values) else None)


def combined(maps: Collection[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """The demand of all receivers (H, W): the greatest of each cell, so that none takes anything from another; None
    without receivers."""
    return np.maximum.reduce(list(maps)) if maps else None


def demanded(model: Perception, demands: Iterable[Demand]) -> NDArray[np.float32]:
    """What receivers want of the region of `model` (H, W) in [0, 1], as Perception.compress takes it."""
    found = combined([model.demand_map(d.tiles, d.blocks) for d in demands if d.touches(model.region)])
    return np.zeros(model.region.shape, np.float32) if found is None else found
