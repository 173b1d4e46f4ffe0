"""Times of one UAV-frame over the number of peers and over the size of the region of interest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.speed.scene import Scene
from rsdfm_ros.evaluation.speed.timing import Repeats, medians_ms
from rsdfm_ros.evaluation.speed.uav_frame import Packets, UavFrame
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model.perception import Perception

PEERS = (1, 2, 4, 8, 16)


def over_peers(
    model: Perception,
    scene: Scene,
    packets: Mapping[str, Sequence[Packets]],
    numbers: Sequence[int] = PEERS,
    repeats: Repeats | None = None,
    on_round: Callable[[], None] = lambda: None,
) -> dict[int, float]:
    """Milliseconds of one UAV-frame by number of peers, for the UAV of the scene that is none of them.

    packets: of at least as many peers as the largest number.
    """
    ego = next(name for name in scene.agents if name not in packets)
    names = list(packets)
    works = {
        str(n): UavFrame(model, scene, ego, {name: packets[name] for name in names[:n]}) for n in numbers
    }
    return {int(n): ms for n, ms in medians_ms(works, repeats, on_round).items()}


def slope(times: Mapping[int, float]) -> float:
    """Milliseconds per further peer: the least-squares line through times by number of peers."""
    if len(times) < 2:
        raise RsdfmError(f"expected times of at least two numbers of peers, got {len(times)}")
    return float(np.polyfit(list(times), list(times.values()), 1)[0])


def quarter(model: Perception) -> Window:
    """A region of a quarter of the model's area, whole tiles in its middle. Raises: RsdfmError if there is none."""
    whole = model.region
    tiles = (whole.ni // TILE_CELLS, whole.nj // TILE_CELLS)
    if any(n % 2 for n in tiles):
        raise RsdfmError(f"a map of {tiles[0]} by {tiles[1]} tiles has no quarter of whole tiles")
    half = [n // 2 * TILE_CELLS for n in tiles]
    start = [n // 4 * TILE_CELLS for n in tiles]
    return Window(whole.i0 + start[0], whole.j0 + start[1], half[0], half[1], whole.cell_size)


def quarter_share(
    model: Perception,
    scene: Scene,
    packets: Mapping[str, Sequence[Packets]],
    repeats: Repeats | None = None,
    on_round: Callable[[], None] = lambda: None,
) -> float:
    """Time of one UAV-frame that answers a quarter of the area, as share of one that answers the whole."""
    ego = next(name for name in scene.agents if name not in packets)
    works = {
        "whole": UavFrame(model, scene, ego, packets),
        "quarter": UavFrame(model.at(quarter(model)), scene, ego, packets),
    }
    times = medians_ms(works, repeats, on_round)
    return times["quarter"] / times["whole"]
