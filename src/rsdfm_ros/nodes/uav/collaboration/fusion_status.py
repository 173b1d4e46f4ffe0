"""Diagnostics of the peers and of the newest fusion: whose maps were moved, corrected or left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.nodes.core.diagnostics import OK, RECENT_S, WARN, Status, peer_status
from rsdfm_ros.nodes.core.health import Health

if TYPE_CHECKING:
    from rsdfm_ros.agent.prefusion.prepare import Prepared
    from rsdfm_ros.geometry.alignment import Correction


def note_fusion(ready: Prepared, agent: str, peers: Sequence[Peer], health: Health) -> None:
    """Note the fused peers and their corrections. The caller holds the lock of the peers."""
    ages_s = {v.name: v.age_s for v in ready.peers}
    for peer in peers:
        correction = ready.corrections.get(peer.name)
        peer.age_s, peer.left_out = ages_s.get(peer.name), ready.left_out.get(peer.name, "")
        peer.moved_m, peer.turned_deg = extent_of(correction)
        peer.common = correction.matches if correction is not None else 0
    for why in ready.left_out.values():
        health.count(f"peers_left_out_{why}")
    health.count("poses_corrected", len(ready.corrections))
    health.moved_m, health.turned_deg = extent_of(ready.corrections.get(agent))


def extent_of(correction: Correction | None) -> tuple[float | None, float | None]:
    """Metres and degrees by which a pose was corrected."""
    if correction is None:
        return None, None
    shift, turn = np.linalg.norm(correction.delta[:3]), np.linalg.norm(correction.delta[3:])
    return float(shift), float(np.degrees(turn))


def peer_statuses(receiver: Receiver | None, health: Health, stale_s: float) -> list[tuple[str, Status]]:
    """Diagnostics of every peer and of the newest fusion. receiver: None while the node is not active · stale_s: a peer
    that is silent for longer is stale."""
    if receiver is None:
        return list(fusion_status(health, []))
    with receiver.lock:
        peers, now_s = receiver.peers, monotonic()
        statuses = [(f"peer {p.name}", peer_status(p, now_s, stale_s)) for p in peers]
    return [*statuses, *fusion_status(health, peers)]


def fusion_status(health: Health, peers: Sequence[Peer]) -> Iterable[tuple[str, Status]]:
    """Preparation of the maps before the newest fusion, for diagnostics."""
    left_out = {p.name: p.left_out for p in peers if p.left_out}
    counts, _ = health.snapshot()
    values: dict[str, object] = {
        name: counts[name]
        for name in sorted(counts)
        if name.startswith("peers_left_out_") or name == "poses_corrected"
    }
    if health.moved_m is not None:
        values |= {"own_moved_m": f"{health.moved_m:.2f}", "own_turned_deg": f"{health.turned_deg:.2f}"}
    recent = any(health.recent(name, RECENT_S) for name in counts if name.startswith("peers_left_out_"))
    words = ", ".join(f"{name} ({why})" for name, why in left_out.items())
    if words:
        yield "interaction", Status(WARN, f"left out of the newest fusion: {words}", values)
    elif recent:
        yield "interaction", Status(WARN, "peers were left out lately", values)
    elif values:
        yield "interaction", Status(OK, "all peers are used", values)
