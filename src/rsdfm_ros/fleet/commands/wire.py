"""Look into feature packets: of a file with one payload, or of a bag."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsdfm_ros.agent.envelope import envelope_of
from rsdfm_ros.boundary import EXIT_PROBLEMS
from rsdfm_ros.data.bags.bag import Bag, BagMessage, open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.files import is_bag
from rsdfm_ros.data.bags.types import PACKAGE
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.fleet.commands.bag import FILE_WIDTH
from rsdfm_ros.options import require_range
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.inspect import inspect_payload
from rsdfm_ros.wire.limits import MAX_DENSE_PACKET_BYTES
from rsdfm_ros.words import counted, printable

TYPE = f"{PACKAGE}/msg/FeaturePacket"
USUAL_PACKETS, MOST_PACKETS = 100, 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm wire`."""
    commands = parser.add_subparsers(dest="wire_command", metavar="WHAT", required=True)
    inspect = commands.add_parser(
        "inspect", help="header, tiles, cells, bytes by part and checksum of packets; what is wrong with them"
    )
    inspect.add_argument("place", type=Path, metavar="FILE|BAG", help="a file with one payload, or a bag")
    inspect.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME",
        help="only this topic of a bag; may be repeated",
    )
    inspect.add_argument(
        "--packets", type=int, default=USUAL_PACKETS, metavar="N", help="at most the first N packets of a bag"
    )
    inspect.add_argument("--json", action="store_true", help="print it as JSON")
    inspect.set_defaults(run_wire=_inspect)


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm wire`."""
    return int(args.run_wire(args))


def _inspect(args: argparse.Namespace) -> int:
    require_range("--packets", args.packets, 1, MOST_PACKETS)
    if is_bag(args.place):
        with open_bag(args.place) as bag:
            found = bag_facts(bag, args.topic, args.packets)
    else:
        with args.place.open("rb") as file:
            payload = file.read(MAX_DENSE_PACKET_BYTES + 1)  # a longer one is refused whatever follows
        found = {"packets": [inspect_payload(payload)], "more": False, "damage": []}
    found = {"place": str(args.place), **found}
    if args.json:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        console = Console()
        _print(found, console if console.is_terminal else Console(width=FILE_WIDTH))
    return EXIT_PROBLEMS if found["damage"] or any(p["error"] for p in found["packets"]) else 0


def bag_facts(bag: Bag, topics: list[str], most: int) -> dict[str, Any]:
    """Facts of the first packets of a bag. Raises: BagError if there is none."""
    there = [name for name, topic in bag.topics.items() if topic.type_name == TYPE]
    absent = [name for name in topics if name not in there]
    if absent or not there:
        wanted = ", ".join(absent) or f"a topic of {TYPE}"
        raise BagError(
            bag.path, f"does not have {wanted}", f"its feature packets: {', '.join(there) or 'none'}"
        )
    packets: list[dict[str, Any]] = []
    more = False
    for message in bag.messages(topics or there):
        if len(packets) == most:
            more = True
            break
        packets.append(_message_facts(bag, message))
    return {"packets": packets, "more": more, "damage": bag.damage}


def _message_facts(bag: Bag, message: BagMessage) -> dict[str, Any]:
    """Facts of a message: of its fields, then of its payload."""
    facts: dict[str, Any] = {
        "topic": message.topic,
        "log_ns": message.log_ns,
        "message_bytes": len(message.raw),
    }
    try:
        packet = bag.decode(message)
        facts |= inspect_payload(bytes(packet.payload))
        facts["message"] = {
            "agent": packet.agent,
            "frame_id": packet.header.frame_id,
            "stamp_ns": packet.header.stamp.sec * 10**9 + packet.header.stamp.nanosec,
            "frame": packet.frame,
            "packet_index": packet.packet_index,
            "packet_count": packet.packet_count,
            "fingerprint": f"{packet.fingerprint:016x}",
        }
        envelope_of(packet, topic_agent=packet.agent, frame_id=packet.header.frame_id)
    except (MessageError, WireError, AttributeError, TypeError, ValueError) as error:
        if not isinstance(
            error, MessageError | WireError
        ):  # read by a definition of the bag that is not ours
            error = MessageError("other_definition", f"the bag's {TYPE} is not ours: {error}")
        empty = dict.fromkeys(("bytes", "kind", "header", "content", "parts", "error"))
        facts = {**empty, **facts}
        facts["error"] = facts["error"] or {"reason": error.reason, "text": str(error)}
    return facts


def _print(found: dict[str, Any], console: Console) -> None:
    """One packet in full, several as a table; what is wrong with each."""
    packets = found["packets"]
    if len(packets) == 1:
        for name, value in _flat(packets[0]):
            console.print(Text(f"{name:28}{printable(value)}"))
        return
    table = Table("topic", "stamp s", "frame", "part", "kind")
    for heading in ("bytes", "tiles", "cells", "body", "words"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    for packet in packets:
        table.add_row(*(Text(printable(value)) for value in _row(packet)))
    console.print(table)
    good = sum(not packet["error"] for packet in packets)
    size = sum(packet["message_bytes"] for packet in packets)
    text = f"{counted(len(packets), 'packet')}, {good} of them good, {size} bytes of messages"
    console.print(text + (": there are more (--packets)" if found["more"] else ""), highlight=False)
    for sentence in found["damage"]:
        console.print(Text(f"damage: {printable(sentence)}"))


def _row(packet: dict[str, Any]) -> tuple[Any, ...]:
    message, content, parts = (packet.get(key) or {} for key in ("message", "content", "parts"))
    stamp = f"{message['stamp_ns'] / 1e9:.3f}" if message else ""
    place = f"{message['packet_index'] + 1}/{message['packet_count']}" if message else ""
    error = packet["error"]
    return (
        packet["topic"],
        stamp,
        message.get("frame", ""),
        place,
        packet["kind"] or "",
        packet["bytes"],
        content.get("tiles", ""),
        content.get("sent_cells", content.get("boxes", "")),
        parts.get("body", ""),
        parts.get("words", ""),
        f"{error['reason']}: {error['text']}" if error else "good",
    )


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Names such as header.tiles with their values."""
    out: list[tuple[str, Any]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            out += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            out.append((prefix + name, value))
    return out
