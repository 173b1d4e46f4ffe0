"""CPU time of the packets that cost a receiver most: legal ones that decode to as much as may be, and refused ones.

python -m benchmarks.packet_cost [--repeats 40]

Times are of the CPU, so that they hold on a busy machine, too: median and slowest of all calls.
"""

from __future__ import annotations

import argparse
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from rich.console import Console
from rich.table import Table

from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.features import CELLS_PER_TILE, FeatureFrame
from rsdfm_ros.wire.header import CRC_OFFSET, Header, fields_of
from rsdfm_ros.wire.packet import MAX_DENSE_PACKET_BYTES, Expected, decode_packet, encode_frame

CHANNELS = 16
"""Of the shipped model, in both bands."""
WARM_UP = 3


def large_frame(tiles: int, cells: int, noise: float) -> FeatureFrame:
    """Tiles side by side whose first cells are sent, with small latents in a share `noise` of the numbers."""
    rng = np.random.default_rng(0)
    keys, places = np.arange(tiles), np.arange(cells)
    high = np.where(rng.random((cells, CHANNELS)) < noise, rng.integers(-3, 4, (cells, CHANNELS)), 0)
    scale = np.full(CHANNELS, 0.5, np.float32)
    return FeatureFrame(
        tiles=np.stack([keys // 32 - 16, keys % 32 - 16], axis=1).astype(np.int32),
        low=np.ones((tiles, CHANNELS, 2, 2), np.int8),
        low_scale=scale,
        visible=np.ones((tiles, 16, 16), np.bool_),
        high_tile=(places // CELLS_PER_TILE).astype(np.int32),
        high_cell=(places % CELLS_PER_TILE).astype(np.uint8),
        high=high.astype(np.int8),
        high_scale=scale,
    )


def packets() -> Iterator[tuple[str, bytes]]:
    """Names and packets."""
    for tiles, cells in ((1024, 65_535), (114, 29_000), (64, 16_384), (1024, 0)):
        for noise in (0.0, 0.02, 0.1, 0.3) if cells else (0.0,):
            sent = encode_frame(large_frame(tiles, cells, noise), MAX_DENSE_PACKET_BYTES)
            packet = max(sent, key=len)
            yield f"{tiles} tiles, {cells} cells, noise {noise:g}", packet
            yield f"{tiles} tiles, {cells} cells, noise {noise:g}, last word wrong", _wrong_at_the_end(packet)


def _wrong_at_the_end(packet: bytes) -> bytes:
    """The packet with another last word and the checksum of it, so that only the end of decoding tells."""
    data = bytearray(packet)
    header = Header.of(fields_of(packet))
    data[header.carried_bytes - header.body_bytes - 1] ^= 0x55
    data[CRC_OFFSET : CRC_OFFSET + 4] = bytes(4)
    data[CRC_OFFSET : CRC_OFFSET + 4] = struct.pack("<I", zlib.crc32(data))
    return bytes(data)


def cpu_ms(packet: bytes, repeats: int) -> tuple[float, float]:
    """Median and slowest CPU time of decoding or refusing a packet."""
    expected, times = Expected(None, CHANNELS, CHANNELS), []
    for _ in range(WARM_UP + repeats):
        start = time.process_time()
        with suppress(WireError):
            decode_packet(packet, expected=expected)
        times.append(1000.0 * (time.process_time() - start))
    return float(np.median(times[WARM_UP:])), max(times[WARM_UP:])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    args = parser.parse_args()
    table = Table(title="CPU time of one packet, ms")
    for column in ("frame", "bytes", "median", "slowest"):
        table.add_column(column, justify="left" if column == "frame" else "right")
    for name, packet in packets():
        median, slowest = cpu_ms(packet, args.repeats)
        table.add_row(name, str(len(packet)), f"{median:.1f}", f"{slowest:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
