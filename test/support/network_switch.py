"""A switch between network interfaces that loses and delays frames: network_switch.py SEED INTERFACE INTERFACE …

Every IPv4 and ARP frame that comes in on one interface goes out on all others; each direction between two of them is a
link of wire/faults/link.py, which IPv4 frames pass. A line on stdin, fields of LinkFaults as JSON, sets the
faults; the answer on stdout are the counts since the last answer. It ends with stdin.
"""

from __future__ import annotations

import heapq
import itertools
import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass

from rsdfm_ros.wire.faults.link import Link, LinkFaults, link_of

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 3, 263, 15, 4
VNET_BYTES, ETHERNET_BYTES, FRAGMENT_FIELD = 10, 14, 6
"""Of virtio_net_hdr, which carries checksums that are still to be computed; of an Ethernet header; the place of the
fragment field in an IPv4 header."""
IPV4, ARP = 0x0800, 0x0806


@dataclass
class Counts:
    """IPv4 frames that came in, their bytes with Ethernet headers; fragments among them; the largest; those lost on a
    link."""

    frames: int = 0
    bytes: int = 0
    fragments: int = 0
    largest: int = 0
    lost: int = 0


class Switch:
    """The interfaces, the frames on the way, and the counts."""

    def __init__(self, seed: int, names: list[str]) -> None:
        self.faults, self.counts = LinkFaults(), Counts()
        self.sockets = [self._open(name) for name in names]
        pairs = itertools.permutations(range(len(names)), 2)
        self._links: dict[tuple[int, int], Link] = {(a, b): link_of(f"{a} {b}", seed) for a, b in pairs}
        self._due: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()

    def _open(self, name: str) -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.bind((name, ETH_P_ALL))
        made.setblocking(False)
        return made

    def take(self, source: int) -> None:
        """Take the frames that wait at an interface."""
        while True:
            try:
                data, address = self.sockets[source].recvfrom(1 << 17)
            except BlockingIOError:
                return
            frame = memoryview(data)[VNET_BYTES:]
            kind = int.from_bytes(frame[12:14], "big")
            if address[2] == PACKET_OUTGOING or kind not in (IPV4, ARP):
                continue
            now = time.monotonic()
            if kind == IPV4:
                self._count(frame)
            for target in range(len(self.sockets)):
                if target == source:
                    continue
                faults = self.faults if kind == IPV4 else LinkFaults()
                found = self._links[source, target].arrivals(len(frame), now, faults)
                self.counts.lost += not found
                for arrival in found:
                    heapq.heappush(self._due, (arrival.due_s, next(self._number), target, data))

    def _count(self, frame: memoryview) -> None:
        c, at = self.counts, ETHERNET_BYTES + FRAGMENT_FIELD
        c.frames, c.bytes, c.largest = c.frames + 1, c.bytes + len(frame), max(c.largest, len(frame))
        c.fragments += bool(int.from_bytes(frame[at : at + 2], "big") & 0x3FFF)

    def deliver(self) -> float | None:
        """Send what is due; the time until the next frame is, None if there is none."""
        while self._due:
            wait_s = self._due[0][0] - time.monotonic()
            if wait_s > 0:
                return wait_s
            _, _, target, data = heapq.heappop(self._due)
            try:
                self.sockets[target].send(data)
            except OSError:  # the interface is going down, or its queue is full
                self.counts.lost += 1
        return None


def main() -> None:
    """Run until stdin ends."""
    switch = Switch(int(sys.argv[1]), sys.argv[2:])
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin, selectors.EVENT_READ)
        for number, one in enumerate(switch.sockets):
            ready.register(one, selectors.EVENT_READ, number)
        print(json.dumps(asdict(switch.counts)), flush=True)
        while True:
            for key, _ in ready.select(switch.deliver()):
                if key.data is not None:
                    switch.take(key.data)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                switch.faults = LinkFaults(**json.loads(line))
                print(json.dumps(asdict(switch.counts)), flush=True)
                switch.counts = Counts()


if __name__ == "__main__":
    main()
