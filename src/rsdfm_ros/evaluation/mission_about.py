"""Facts known at the start of a mission, as they go into result.json (fleet/about.py makes them). Free of ROS."""

from __future__ import annotations

import json
from typing import Any

from rsdfm_ros.errors import RsdfmError

PARTS = ("protocol", "provenance")


def about_of(text: str) -> dict[str, dict[str, Any]]:
    """The parts of a JSON text. Raises: RsdfmError."""
    try:
        about = json.loads(text)
    except ValueError:
        about = None
    if (
        not isinstance(about, dict)
        or set(about) - {*PARTS}
        or not all(isinstance(part, dict) for part in about.values())
    ):
        raise RsdfmError(f"about: expected a JSON object with {' and '.join(PARTS)}, got {text[:60]!r}")
    return about


def with_about(
    result: dict[str, Any], about: dict[str, dict[str, Any]], fingerprint: int | None
) -> dict[str, Any]:
    """A result with the facts about its mission; fingerprint: of the model, from the packets."""
    provenance = dict(about.get("provenance", {}))
    if fingerprint is not None:
        provenance["model"] = {**(provenance.get("model") or {}), "fingerprint": f"{fingerprint:016x}"}
    protocol = {**result["protocol"], **about.get("protocol", {})}
    return {**result, "protocol": protocol, "provenance": provenance}
