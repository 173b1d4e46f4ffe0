"""What a payload holds, for people: fields of its header, tiles, cells, bytes by part, checksum, and what is wrong.

Work and memory are bounded as in a receiver: the same checks come first, with the same limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdfm_ros.wire.boxes import BOX_BYTES, carries_boxes, decode_boxes
from rsdfm_ros.wire.decode import decode_packet
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.header import (
    COUNT_BYTES,
    FIXED_BYTES,
    HALF_BYTES,
    TILE_KEY_BYTES,
    VISIBLE_BYTES,
    WORD_BYTES,
    Header,
    Kind,
    checksum,
    fields_of,
)
from rsdfm_ros.wire.limits import Limits

BOXES = "boxes"


def inspect_payload(payload: bytes, limits: Limits = Limits()) -> dict[str, Any]:  # noqa: B008 - frozen
    """Facts of a payload, ready for JSON; none raises.

    bytes · kind: `compressed`, `dense`, `boxes`, None if it is none of them · header: its fields, where there are
    enough bytes · content: tiles, cells, scales and latents, or boxes, where it decodes · parts: bytes by part, those
    of the body before compression · error: reason and text of the refusal, None for a good one.
    """
    facts: dict[str, Any] = {"bytes": len(payload), "kind": None, "header": None}
    facts |= {"content": None, "parts": None, "error": None}
    try:
        if carries_boxes(payload):
            facts["kind"] = BOXES
            found = decode_boxes(payload)
            facts["content"] = {
                "boxes": len(found.classes),
                "best_score": max(found.scores.tolist(), default=None),
            }
            size = BOX_BYTES * len(found.classes)
            facts["parts"] = {"header": len(payload) - size, "boxes": size}
            return facts
        if FIXED_BYTES <= len(payload) <= limits.max_packet_bytes:
            facts |= _header_facts(payload)
        part = decode_packet(payload, limits=limits)
        facts["content"] = _content(part.frame)
        facts["parts"] = _parts(payload)
    except WireError as error:
        facts["error"] = {"reason": error.reason, "text": str(error)}
    return facts


def _header_facts(payload: bytes) -> dict[str, Any]:
    """The kind and the fields, none of them checked but the checksum."""
    raw = fields_of(payload)
    known = raw.kind in tuple(Kind)
    header = {
        **raw._asdict(),
        "magic": raw.magic.decode("latin-1"),
        "fingerprint": f"{raw.fingerprint:016x}",
        "crc32": f"{raw.crc32:08x}",
        "crc32_of_bytes": f"{checksum(memoryview(payload)):08x}",
    }
    return {"header": header, "kind": Kind(raw.kind).name.lower() if known else None}


def _content(frame: FeatureFrame | DenseFrame) -> dict[str, Any]:
    content: dict[str, Any] = {
        "tiles": len(frame.tiles),
        "tile_min": frame.tiles.min(axis=0).tolist(),
        "tile_max": frame.tiles.max(axis=0).tolist(),
        "visible_cells": int(np.count_nonzero(frame.visible)),
    }
    if isinstance(frame, DenseFrame):
        return content | {"channels": frame.channels[0], "value_range": _range(frame.values)}
    low, high = frame.channels
    return content | {
        "low_channels": low,
        "high_channels": high,
        "sent_cells": len(frame.high),
        "low_scale_range": _range(frame.low_scale) if frame.has_low else None,
        "high_scale_range": _range(frame.high_scale),
        "low_range": _range(frame.low),
        "high_range": _range(frame.high),
    }


def _parts(payload: bytes) -> dict[str, int]:
    """Bytes by part of a packet that was decoded; bytes of the body that the words carry count as words."""
    header = Header.of(fields_of(payload))
    sent = {"header": FIXED_BYTES, "body": header.body_bytes - header.carried_bytes}
    sent["words"] = WORD_BYTES * header.words
    content = {
        "tile_keys": TILE_KEY_BYTES * header.tiles,
        "visibility": VISIBLE_BYTES * header.tiles,
    }
    if header.kind is Kind.DENSE:
        content["values"] = HALF_BYTES * header.high * header.cells
    else:
        sent |= {"scales": HALF_BYTES * header.scales, "tables": header.tables_bytes}
        content["counts"] = COUNT_BYTES * header.tiles
    return sent | {f"body_{name}": size for name, size in content.items()}


def _range(values: np.ndarray[Any, Any]) -> list[float] | None:
    return [values.min().item(), values.max().item()] if values.size else None
