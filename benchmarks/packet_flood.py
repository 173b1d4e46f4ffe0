"""Memory and time that one legal packet costs a UAV when peers repeat it over indices and stamps.

python -m benchmarks.packet_flood [--peers 17] [--publishers 1]

The packet decodes to as much as may be. Every publisher sends it for eight images, four of the past and four ahead, 64
times each; then the peers' images are taken for one fusion. Resident memory before and after, CPU times.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.packet_cost import CHANNELS, large_frame
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.publishers import Gid
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.memory import keep_for_next_image
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import MAX_DENSE_PACKET_BYTES, Expected, encode_frame

NS = 10**9
IMAGES, PACKETS = 8, 64
NOW_NS = 100 * NS


def flood(
    peers: int = 17, publishers: int = 1, images: int = IMAGES, packets: int = PACKETS
) -> dict[str, Any]:
    """wire_mb: bytes that were sent · rss_mb, peak_mb: growth of resident memory to the end and at its peak · held_mb:
    of it counted as kept · receive_us: CPU time per packet · images_ms: of taking the images for a fusion · refused:
    packets by reason."""
    sent = encode_frame(large_frame(1024, 65_535, 0.0), MAX_DENSE_PACKET_BYTES, fingerprint=7)
    payload = max(sent, key=len)
    receiver = Receiver(
        "uav0", Expected(7, CHANNELS, CHANNELS), AgentOptions(max_peers=peers), clock=lambda: 0.0
    )
    receiver.newest_ns = NOW_NS
    listened = [receiver.listen(f"uav{k + 1}") for k in range(peers)]
    refused: Counter[str] = Counter()

    def refuse(peer: Peer, gid: Gid, error: WireError) -> None:
        refused[error.reason] += 1
        receiver.refuse(peer, gid, error)

    gc.collect()
    before_mb, start, number = _rss_mb(), time.process_time(), 0
    for peer in listened:
        assert peer is not None
        for gid in (b"%d" % k for k in range(publishers)):
            for k in range(images):
                stamp_ns = NOW_NS + (k - images // 2 + 1) * NS // 10
                for index in range(packets):
                    envelope = Envelope(
                        peer.name, stamp_ns, k, index, packets, 7, np.eye(4), np.zeros((6, 6))
                    )
                    copy = bytes(bytearray(payload))  # as it comes from the network: memory of its own
                    number += 1
                    try:
                        receiver.receive(peer, len(copy), lambda e=envelope, p=copy: (e, p), gid)
                    except WireError as error:
                        refuse(peer, gid, error)
    received = time.process_time()
    receiver.images(NOW_NS, refuse)
    taken = time.process_time()
    gc.collect()
    return {
        "packets": number,
        "wire_mb": number * len(payload) / 1e6,
        "rss_mb": _rss_mb() - before_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb,
        "held_mb": receiver.inbox.held_bytes / 2**20,
        "receive_us": 1e6 * (received - start) / number,
        "images_ms": 1e3 * (taken - received),
        "refused": dict(refused),
    }


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=17)
    parser.add_argument("--publishers", type=int, default=1, help="publishers on the topic of every peer")
    args = parser.parse_args()
    keep_for_next_image()  # as processes of nodes do
    for name, value in flood(args.peers, args.publishers).items():
        print(f"{name}: {value:.1f}" if isinstance(value, float) else f"{name}: {value}")


if __name__ == "__main__":
    main()
