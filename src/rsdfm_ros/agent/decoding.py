"""Frames of peers to maps, with loss concealment from the frame before."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.frame_store import PeerFrame
from rsdfm_ros.agent.inbox import features_of
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.wire.concealment import conceal_loss
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.limits import Expected

if TYPE_CHECKING:  # torch takes a second to import, and nodes need it only once they are active
    from rsdfm_ros.model.maps import AgentBev
    from rsdfm_ros.model.perception import Perception


@dataclass(frozen=True)
class Decoded:
    """A map, and the number of its tiles from the frame before."""

    bev: AgentBev
    concealed_tiles: int = 0


def expected_of(model: Perception) -> Expected:
    """Requirements of a model on packets."""
    return Expected(model.fingerprint, model.config.low_channels, model.config.high_channels)


def decode_features(
    model: Perception,
    now: FeatureFrame,
    before: FeatureFrame | None,
    gap_s: float,
    T_map_camera: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Decoded:
    """The map of the features that arrived; lost tiles are taken from the frame before, which is gap_s older."""
    found = conceal_loss(now, before, gap_s)
    bev = model.decompress(found.frame, T_map_camera, covariance, stale=found.stale, stale_s=found.stale_s)
    return Decoded(bev, int(found.stale.sum()))


class FrameDecoder:
    """Decodes frames of an inbox."""

    def decode(self, model: Perception, frame: PeerFrame, before: PeerFrame | None) -> Decoded:
        """The map of a frame. before: of the same peer, for the missing tiles. Raises: WireError if its packets
        contradict each other."""
        expected, first = expected_of(model), frame.first
        now = features_of(frame, expected)
        earlier = None if before is None else features_of(before, expected)
        gap_s = 0.0 if before is None else (first.stamp_ns - before.first.stamp_ns) / 1e9
        return decode_features(model, now, earlier, gap_s, first.T_map_camera, first.covariance)


@dataclass
class _Once:
    lock: threading.Lock = field(default_factory=threading.Lock)
    result: Decoded | Exception | None = None


class SharedDecoder(FrameDecoder):
    """Decodes every frame once for all UAVs that share an inbox and stand on the same ground. Safe from several
    threads; call `clear` after every instant."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[int, Ground], _Once] = {}

    def clear(self) -> None:
        """Forget all maps."""
        self._known = {}

    def decode(self, model: Perception, frame: PeerFrame, before: PeerFrame | None) -> Decoded:
        with self._lock:
            once = self._known.setdefault((id(frame), model.ground), _Once())
        with once.lock:
            if once.result is None:
                try:
                    once.result = super().decode(model, frame, before)
                except Exception as error:  # of any kind: the other UAVs get it, too
                    once.result = error
        if isinstance(once.result, Exception):
            raise once.result
        return once.result
