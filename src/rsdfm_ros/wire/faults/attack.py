"""Attacks that need nothing but the packets of an honest UAV. What they make is well-formed, with valid checksums.

The offline evaluation (`--disturb attack_kind=…`) and fault_injector_node use the same functions.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.body import DensePart
from rsdfm_ros.wire.boxes import carries_boxes, decode_boxes, encode_boxes
from rsdfm_ros.wire.decode import decode_packet
from rsdfm_ros.wire.encode import encode_frame
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.header import LARGEST_PACKET_BYTES
from rsdfm_ros.wire.limits import Limits

NONE = "none"
SHIFTED, REPLAYED, SATURATED, COVARIANCE = "shifted", "replayed", "saturated", "covariance"
WIRE_ATTACKS = (NONE, SHIFTED, REPLAYED, SATURATED, COVARIANCE)
"""Attacks on packets that pass: `shifted_tiles`, `Replay`, `saturated`, and a covariance of zeros."""

LARGEST_LATENT = 127
SHIFT_TILES = (1, 0)
"""Tiles by which `shifted_tiles` moves a map: cells cannot be moved from one packet into another."""
REPLAY_AGE_S = 5.0
"""Age of replayed images, at least."""
REPLAYED_IMAGES = 64
"""Images that a replay keeps, at most."""

Packet = TypeVar("Packet")


def saturated(payload: bytes) -> bytes:
    """The packet with all latents, and the scales, at the largest values that receivers accept.

    Dense features have no latents: every channel takes the largest value that it has in the packet. Boxes stay as they
    are. Raises: WireError for a payload that no receiver accepts.
    """
    if carries_boxes(payload):
        return payload
    part = decode_packet(payload)
    if isinstance(part, DensePart):
        values = part.frame.values
        most = np.broadcast_to(values.max(axis=0, initial=-np.inf), values.shape).astype(np.float16)
        return _packet(replace(part.frame, values=most), part.fingerprint)
    frame, scale = part.frame, np.float32(Limits().max_scale)
    most_frame = replace(
        frame,
        low=np.full_like(frame.low, LARGEST_LATENT),
        low_scale=np.full_like(frame.low_scale, scale),
        high=np.full_like(frame.high, LARGEST_LATENT),
        high_scale=np.full_like(frame.high_scale, scale),
    )
    return _packet(most_frame, part.fingerprint)


def shifted_tiles(payload: bytes, cell_size_m: float, tiles: tuple[int, int] = SHIFT_TILES) -> bytes:
    """The packet with all its features, or boxes, moved by whole tiles of cells of `cell_size_m`.

    Raises: WireError for a payload that no receiver accepts, or for a place that no receiver accepts.
    """
    if carries_boxes(payload):
        boxes = decode_boxes(payload)
        shift_m = np.array([*tiles, 0.0]) * (TILE_CELLS * cell_size_m)
        return encode_boxes(replace(boxes, centres=boxes.centres + shift_m))
    part = decode_packet(payload)
    moved = part.frame.tiles + np.array(tiles, np.int32)
    return _packet(replace(part.frame, tiles=moved), part.fingerprint)


def _packet(frame: FeatureFrame | DenseFrame, fingerprint: int) -> bytes:
    """The one packet of a frame that came as one."""
    (packet,) = encode_frame(frame, LARGEST_PACKET_BYTES, fingerprint=fingerprint)
    return packet


class Replay(Generic[Packet]):
    """Sends an old image in place of every new one of a sender: all its packets when the first new one comes.

    age_s: the old image is the newest one that is so old, or else the oldest one known.
    """

    def __init__(self, age_s: float = REPLAY_AGE_S) -> None:
        self._age_ns = round(age_s * 1e9)
        self._images: deque[tuple[int, list[Packet]]] = deque(maxlen=REPLAYED_IMAGES)
        self._replaced_ns: int | None = None

    def packets(self, stamp_ns: int, packet: Packet) -> list[Packet]:
        """The packets to be sent when one of an image of this stamp comes: the old ones, or none where these were sent
        with an earlier packet of it; the packet itself if no other image is known."""
        if self._images and stamp_ns < self._images[-1][0]:  # another flight, or out of order
            self._images.clear()
        if not self._images or self._images[-1][0] != stamp_ns:
            self._images.append((stamp_ns, []))
        self._images[-1][1].append(packet)
        while len(self._images) > 1 and self._images[1][0] <= stamp_ns - self._age_ns:
            self._images.popleft()
        old_ns, old = self._images[0]
        if old_ns == stamp_ns:
            return [packet]
        again, self._replaced_ns = self._replaced_ns == stamp_ns, stamp_ns
        return [] if again else list(old)
