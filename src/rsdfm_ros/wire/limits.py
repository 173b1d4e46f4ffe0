"""Limits of a receiver: caps against hostile packets, and the counts that its model expects."""

from __future__ import annotations

from dataclasses import dataclass

#: Feature packets of one frame are split so that none exceeds this: bounds the damage of one loss, and stays far
#: below the 64 kB at which UDP datagrams end.
MAX_PACKET_BYTES = 16_384

#: One dense tile of 256 cells × 64 channels × 2 bytes is 32 kB before compression: dense baselines need more room.
MAX_DENSE_PACKET_BYTES = 65_536


@dataclass(frozen=True)
class Limits:
    """Caps checked on the header, before anything is decompressed or allocated.

    max_packet_bytes 65 536: the largest packet of any kind; a UDP datagram cannot be longer.
    max_tiles 1024: 512 × 512 m at 1 m cells, sixteen times the window of the shipped model.
    max_channels 64: as many as the shipped model's features have before compression.
    max_decoded_bytes 768 KiB: largest decoded size of a packet, which bounds the time that a packet takes: 10 ms
    (docs/wire_format.md). A full-size dense packet needs at most about 0.1 MiB, all cells of the window of the shipped
    model 0.54 MiB; senders split a frame accordingly.
    max_scale 32: largest quantisation scale. The shipped model sends up to 0.5, and four times that where it rounds
    more coarsely: larger ones come from no trained model, and features made of them overflow in fusion.
    max_tile_key 8192: ±131 km around the map origin, farther than one flat map is meaningful.
    """

    max_packet_bytes: int = MAX_DENSE_PACKET_BYTES
    max_tiles: int = 1024
    max_channels: int = 64
    max_decoded_bytes: int = 768 * 1024
    max_scale: float = 32.0
    max_tile_key: int = 8192


@dataclass(frozen=True)
class Expected:
    """Values that the receiver's model requires of a packet; None accepts anything within the limits."""

    fingerprint: int | None = None
    low_channels: int | None = None
    high_channels: int | None = None
    dense_channels: int | None = None
